//! Sending the copies of points that stay long to the archive tier: in vaults only.

use crate::apply::Round;
use crate::ledger::Proof;
use crate::{ApplyRetention, Ledger};
use holdfast_aws::failure::Failure;
use holdfast_aws::tiers::{archive_snapshot, describe_standard, find_archiving};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::SnapshotId;
use holdfast_core::polling::SnapshotState;
use holdfast_core::retiring::{ARCHIVES, Decided, KnownPoint, PlanHistory};
use jiff::Timestamp;
use std::collections::HashSet;

impl ApplyRetention {
    /// Archives copies of points that stay and for which that pays, a few in a call. A refusal is said and stops nothing:
    /// the copy stays where it is.
    pub(crate) async fn archive(
        &self,
        history: &PlanHistory,
        decided: &Decided<'_>,
        round: &mut Round,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if let Ledger::Table(_) = self.ledger {
            return Ok(());
        }
        let (mut asked, mut archived) = (0, 0);
        for place in decided.staying() {
            let (Some(point), Some(verdict)) = (history.points.get(place), decided.verdict(place)) else {
                continue;
            };
            let pays = point.archive.as_ref();
            if !pays.is_some_and(|archive| archive.pays(point.moment, verdict.goes_at(), now)) {
                continue;
            }
            let unarchived = match self.find_unarchived(history, point).await {
                Ok(unarchived) => unarchived,
                Err(failure @ Failure::Retryable { .. }) => return Err(failure),
                Err(failure) => {
                    let why = failure.chain();
                    tracing::error!(recovery_point = %point.recovery_point_id, why, "what could be archived is not known");
                    return Ok(());
                }
            };
            for copy in unarchived {
                if asked == ARCHIVES {
                    // Only if EC2 takes some at all is it worth coming back for the others today.
                    round.open |= archived > 0;
                    return Ok(());
                }
                asked += 1;
                match archive_snapshot(&self.ec2, &copy).await {
                    Ok(()) => {
                        archived += 1;
                        round.moved = true;
                        tracing::info!(recovery_point = %point.recovery_point_id, snapshot = %copy, "sent to the archive");
                    }
                    Err(refusal) => {
                        let reason = refusal.reason;
                        tracing::warn!(recovery_point = %point.recovery_point_id, snapshot = %copy, reason, "not archived");
                        if refusal.class == ErrorClass::Throttled {
                            round.open |= archived > 0;
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The complete copies of a point that neither lie in the archive nor are on their way there. The tags find them,
    /// and the catalog must name them too.
    async fn find_unarchived(
        &self,
        history: &PlanHistory,
        point: &KnownPoint,
    ) -> Result<Vec<SnapshotId>, Failure> {
        let id = &point.recovery_point_id;
        let proof: Proof = self.ledger.proof(point).await?;
        let standard = describe_standard(&self.ec2, &history.plan_id, id).await?;
        let ours = standard.into_iter().filter(|listed| {
            listed.state == SnapshotState::Completed && proof.is_ours(listed, &history.plan_id, id)
        });
        let mut found: Vec<SnapshotId> = ours.map(|listed| listed.snapshot.snapshot_id).collect();
        if found.is_empty() {
            return Ok(found);
        }
        let archiving = find_archiving(&self.ec2, &found).await?;
        found.retain(|copy| !archiving.contains(copy));
        if found.is_empty() {
            return Ok(found);
        }
        let mut named: HashSet<SnapshotId> = HashSet::new();
        let mut after = None;
        loop {
            let page = self.ledger.named(history, point, after.as_ref()).await?;
            let backups = page
                .backups
                .into_iter()
                .filter(|backup| backup.resource.is_some());
            named.extend(backups.flat_map(|backup| backup.snapshots));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found.retain(|copy| named.contains(copy));
        found.sort_unstable();
        Ok(found)
    }
}
