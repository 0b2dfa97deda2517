//! One call's share of a plan's retention.
//!
//! First the points that are on their way out already, then as many of those that nothing keeps as the bucket of
//! `DeleteSnapshot` holds: looked up, decided about again, and their intents written before the first is touched. Always
//! the oldest first; and last of all what could not go before.

use crate::ApplyRetention;
use crate::{count, decide};
use holdfast_aws::failure::Failure;
use holdfast_aws::retention_report::{RetentionCounts, write_retention_metrics};
use holdfast_core::message::{ApplyRetentionResponse, GoneResource};
use holdfast_core::pacing::whole_seconds;
use holdfast_core::recovery_point::Retirement;
use holdfast_core::retiring::{
    BURST, Findings, KnownPoint, LastBackup, PlanHistory, refilled_at, why_it_goes,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Points that one call looks up at most.
const EXAMINED: usize = 1_000;
/// Gone resources that an answer names at most: it is handed on by a state machine.
const NAMED: usize = 100;

/// What a call may still do, and what it has done.
#[derive(Debug)]
pub(crate) struct Round {
    /// Snapshots that may still be deleted.
    pub(crate) room: usize,
    /// Delete calls that were made.
    pub(crate) asked: usize,
    /// Whether EC2 has said that the bucket is empty.
    pub(crate) throttled: bool,
    /// Whether something is left that could be done as soon as the bucket is full again.
    pub(crate) open: bool,
    /// Whether anything came of this call. What came to nothing is left to the next run.
    pub(crate) moved: bool,
    /// Snapshots that could not be deleted yet, whenever that was first seen.
    pub(crate) deferred: u32,
    pub(crate) counts: RetentionCounts,
}

impl Round {
    fn new() -> Self {
        Self {
            room: BURST,
            asked: 0,
            throttled: false,
            open: false,
            moved: false,
            deferred: 0,
            counts: RetentionCounts::default(),
        }
    }

    /// Whether nothing more can be deleted in this call.
    pub(crate) fn is_spent(&self) -> bool {
        self.room == 0 || self.throttled
    }

    fn wait_until(&self, now: Timestamp) -> Timestamp {
        let asked = if self.throttled { BURST } else { self.asked };
        whole_seconds(refilled_at(asked, now))
    }
}

impl ApplyRetention {
    pub(crate) async fn apply(
        &self,
        history: &PlanHistory,
        now: Timestamp,
    ) -> Result<ApplyRetentionResponse, Failure> {
        let (mut answer, mut findings) = self.begin(history, NAMED, now).await?;
        if history.points.is_empty() {
            return Ok(answer);
        }

        let mut round = Round::new();
        let leaving = history.points.iter().rev();
        let leaving = leaving.filter_map(|point| Some((point, point.retirement.as_ref()?)));
        // What could not go before must not keep the bucket from what can: it comes last.
        let (stuck, begun): (Vec<_>, Vec<_>) =
            leaving.partition(|(_, retirement)| !retirement.deferred.is_empty());
        self.let_go(history, &begun, &mut round, now).await?;
        if round.is_spent() {
            round.open |= decide(history, &findings, now)?.going().next().is_some();
        } else {
            self.retire(history, &mut findings, &mut round, now).await?;
        }
        self.let_go(history, &stuck, &mut round, now).await?;
        let decided = decide(history, &findings, now)?;
        if !round.is_spent() {
            self.archive(history, &decided, &mut round, now).await?;
        }

        count(&decided, &mut answer);
        answer.gone = round.counts.retired;
        answer.going = answer.going.saturating_sub(answer.gone);
        answer.deferred = round.deferred;
        answer.finished = !(round.open && (round.moved || round.throttled));
        if !answer.finished {
            answer.wait_until = round.wait_until(now);
        }
        write_retention_metrics(std::io::stdout().lock(), &history.plan_id, round.counts, now).map_err(
            |error| {
                Failure::permanent_from(format!("writing the metrics of plan {}", history.plan_id), error)
            },
        )?;
        tracing::info!(
            plan = %history.plan_id,
            kept = answer.kept,
            going = answer.going,
            gone = answer.gone,
            deleted = round.counts.deleted,
            deferred = answer.deferred,
            finished = answer.finished,
            "retention applied"
        );
        Ok(answer)
    }

    /// What an answer begins with, and which resources are gone. Rules that decide nothing end the call here, before it
    /// deletes anything.
    pub(crate) async fn begin(
        &self,
        history: &PlanHistory,
        most_named: usize,
        now: Timestamp,
    ) -> Result<(ApplyRetentionResponse, Findings), Failure> {
        let mut findings = Findings::default();
        let decided = decide(history, &findings, now)?;
        let gone = self.find_gone(history, &decided).await?;
        if history.expire_gone_resources {
            findings.expirable = gone.iter().map(|last| last.number).collect();
        }
        let answer = ApplyRetentionResponse {
            plan_id: Some(history.plan_id.clone()),
            finished: true,
            wait_until: now,
            unreadable: history.unreadable,
            gone_resources: name_gone(&gone, most_named),
            ..ApplyRetentionResponse::default()
        };
        Ok((answer, findings))
    }

    /// Lets go of points that nothing keeps, as many as there is room for.
    async fn retire(
        &self,
        history: &PlanHistory,
        findings: &mut Findings,
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let candidates: Vec<usize> = decide(history, findings, now)?.going().collect();
        let mut candidates = candidates.as_slice();
        let (mut examined, mut free) = (0, 0);
        while !candidates.is_empty() {
            if free >= round.room || examined >= EXAMINED {
                round.open = true;
                break;
            }
            let found = self.examine(history, candidates, round.room - free, now).await?;
            candidates = candidates.get(found.len()..).unwrap_or_default();
            examined += found.len();
            for (place, found) in found {
                findings.protections.insert(place, found.protections);
                if found.protections.is_empty() {
                    free += found.snapshots;
                }
            }
        }
        let decided = decide(history, findings, now)?;
        let going: Vec<usize> = decided
            .going()
            .filter(|place| findings.protections.contains_key(place))
            .collect();
        let mut intended = Vec::with_capacity(going.len());
        for point in going.into_iter().filter_map(|place| history.points.get(place)) {
            let retirement = Retirement {
                decided_at: now,
                reasons: why_it_goes(history, point),
                deferred: BTreeMap::new(),
                ended_at: None,
            };
            if self.ledger.intend(&history.plan_id, point, &retirement).await? {
                tracing::info!(
                    plan = %history.plan_id,
                    recovery_point = %point.recovery_point_id,
                    reasons = ?retirement.reasons,
                    "a recovery point goes"
                );
                intended.push((point, retirement));
            } else {
                // Held since it was read, or somebody else lets it go: the next call sees which.
                round.open = true;
            }
            round.moved = true;
        }
        let intended: Vec<(&KnownPoint, &Retirement)> = intended
            .iter()
            .map(|(point, retirement)| (*point, retirement))
            .collect();
        self.let_go(history, &intended, round, now).await
    }
}

/// Gone resources as an answer names them.
fn name_gone(gone: &[LastBackup<'_>], most: usize) -> Vec<GoneResource> {
    let named = gone.iter().take(most).map(|last| GoneResource {
        resource_id: last.resource.clone(),
        recovery_point_id: last.point.recovery_point_id.clone(),
    });
    named.collect()
}
