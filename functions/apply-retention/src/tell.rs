//! A dry run: what retention would do, point by point, and why.

use crate::{ApplyRetention, count, decide};
use holdfast_aws::failure::Failure;
use holdfast_core::message::ApplyRetentionResponse;
use holdfast_core::retiring::{Decided, PlanHistory};
use jiff::Timestamp;
use std::collections::HashSet;

/// Snapshots that a dry run looks up at most.
const LOOKED_UP: usize = 20_000;
/// Rows in an answer at most.
const ROWS: usize = 2_000;
/// Bytes of rows in an answer: Lambda hands on 6 MB.
const BYTES: usize = 4_000_000;
/// Gone resources that an answer names at most.
const NAMED: usize = 2_000;

impl ApplyRetention {
    /// Decides as [`ApplyRetention::apply`] would, and changes nothing.
    pub(crate) async fn tell(
        &self,
        history: &PlanHistory,
        now: Timestamp,
    ) -> Result<ApplyRetentionResponse, Failure> {
        let (mut answer, mut findings) = self.begin(history, NAMED, now).await?;
        let mut unexamined = HashSet::new();
        let mut snapshots = 0;
        let candidates: Vec<usize> = decide(history, &findings, now)?.going().collect();
        let mut candidates = candidates.as_slice();
        while !candidates.is_empty() {
            if snapshots >= LOOKED_UP {
                unexamined.extend(candidates.iter().copied());
                break;
            }
            let found = self
                .examine(history, candidates, LOOKED_UP - snapshots, now)
                .await?;
            candidates = candidates.get(found.len()..).unwrap_or_default();
            for (place, found) in found {
                findings.protections.insert(place, found.protections);
                snapshots += found.snapshots;
            }
        }
        let decided = decide(history, &findings, now)?;
        count(&decided, &mut answer);
        write_rows(history, &decided, &unexamined, &mut answer);
        Ok(answer)
    }
}

/// Writes the rows, newest first, as many as an answer holds.
fn write_rows(
    history: &PlanHistory,
    decided: &Decided<'_>,
    unexamined: &HashSet<usize>,
    answer: &mut ApplyRetentionResponse,
) {
    let mut bytes = 0;
    for place in 0..history.points.len() {
        let Some(mut row) = decided.row(place) else {
            continue;
        };
        if unexamined.contains(&place) {
            row.reasons
                .push("not looked up yet: an AMI, a lock or a job may still keep it".to_owned());
        }
        let deferred = row.deferred.values().map(String::len).sum::<usize>() + 32 * row.deferred.len();
        bytes += 300 + deferred + row.reasons.iter().map(String::len).sum::<usize>();
        if answer.points.len() == ROWS || bytes > BYTES {
            answer.left_out = u32::try_from(history.points.len() - place).unwrap_or(u32::MAX);
            return;
        }
        answer.points.push(row);
    }
}
