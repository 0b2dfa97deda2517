//! Asking for copies: written down first, then asked for once each, side by side.

use crate::{CopyRegion, Saved, Work};
use futures::stream::{self, StreamExt};
use holdfast_aws::copies::{CopyOrder, copy_snapshot, describe_by_ids, share_snapshot};
use holdfast_aws::failure::Failure;
use holdfast_aws::sessions::Session;
use holdfast_aws::snapshots::{ListedSnapshot, Refusal};
use holdfast_core::configuration::Tags;
use holdfast_core::copying::{
    CopySource, CopyState, Flight, Stage, Stopped, decide_copy_tags, decide_hop_tags,
};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::SnapshotId;
use holdfast_core::pacing::later;
use holdfast_core::polling::SnapshotState;
use holdfast_core::seal::SealKey;
use jiff::SignedDuration;
use std::collections::HashMap;

/// Copy calls at the same time.
const CONCURRENCY: usize = 8;
/// How long after its intent a copy is still asked for. A call may take half as long again, and still be seen before
/// anybody asks a second time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// What became of asking for one copy.
enum Asked {
    /// EC2 makes it.
    Made(SnapshotId),
    /// Nothing was made; it is asked for again when there is room.
    NotNow,
    /// Nobody knows: it is looked up in the next round.
    InDoubt,
    /// The snapshot's key keeps it from being shared: it is copied under a key of ours first.
    NeedsHop,
    /// It will be refused again.
    Refused(String),
    /// Everything will be refused there.
    Broken(String),
}

impl CopyRegion {
    /// Begins as many copies as there are free slots.
    pub(crate) async fn launch(
        &self,
        work: &mut Work,
        session: &Session,
        slots: u32,
    ) -> Result<Saved, Failure> {
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        self.take_waiting(work, slots).await?;
        let ready: Vec<usize> = (0..work.copies.flights.len())
            .filter(|index| !work.copies.flights[*index].takes_slot())
            .take(slots)
            .collect();
        let intended_at = work.clock();
        let crosses = work.replica.account.is_some();
        for index in &ready {
            let flight = &mut work.copies.flights[*index];
            flight.intended_at = Some(intended_at);
            if crosses && flight.stage == Stage::Copy {
                flight.shared_at.get_or_insert(intended_at);
                flight.shares_source |= flight.hop.is_none();
            }
        }
        // The intent, with what this round's look has found.
        if let Saved::Taken = self.save(work).await? {
            return Ok(Saved::Taken);
        }
        if ready.is_empty() {
            return Ok(Saved::Ours);
        }
        let sources: Vec<SnapshotId> = ready
            .iter()
            .map(|index| work.copies.flights[*index].key.snapshot_id.clone())
            .collect();
        let described = describe_by_ids(&self.ec2, &sources).await?;
        let described: HashMap<SnapshotId, ListedSnapshot> = described
            .into_iter()
            .map(|listed| (listed.snapshot.snapshot_id.clone(), listed))
            .collect();
        let key = self.seal_key(work).await?;
        let shared = &*work;
        let (described, key) = (&described, &key);
        let asked: Vec<(usize, Result<Asked, Failure>)> = stream::iter(ready)
            .map(|index| async move {
                let flight = &shared.copies.flights[index];
                let source = described.get(&flight.key.snapshot_id);
                (index, self.ask(shared, session, flight, source, key).await)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        self.note(work, asked).await?;
        self.save(work).await
    }

    /// Takes the next waiting snapshots on, if there are slots beyond those that are ready already.
    async fn take_waiting(&self, work: &mut Work, slots: usize) -> Result<(), Failure> {
        let ready = work
            .copies
            .flights
            .iter()
            .filter(|flight| !flight.takes_slot())
            .count();
        let room = slots.saturating_sub(ready);
        if room == 0 || work.copies.stopped.is_some() || work.copies.begun >= work.copies.total {
            return Ok(());
        }
        let point = &work.point.recovery_point_id;
        let cursor = work.copies.cursor.as_ref();
        let next = self
            .catalog
            .copies_after(point, &work.destination, cursor, room)
            .await?;
        if next.is_empty() {
            work.copies.begun = work.copies.total;
        }
        for copy in next {
            work.copies.begun += 1;
            work.copies.cursor = Some(copy.key.clone());
            // One that ended before this copy job's record says so belongs to a run that was cut off.
            match copy.state {
                CopyState::Waiting => work.copies.flights.push(Flight::ready(copy.key, Stage::Copy)),
                CopyState::Completed => work.copies.completed += 1,
                CopyState::Failed => work.copies.failed += 1,
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        work: &Work,
        session: &Session,
        flight: &Flight,
        source: Option<&ListedSnapshot>,
        key: &SealKey,
    ) -> Result<Asked, Failure> {
        let Some(source) = source.filter(|source| source.state == SnapshotState::Completed) else {
            return Ok(Asked::Refused("the snapshot is not there any more".to_owned()));
        };
        let clock = work.clock();
        if flight
            .intended_at
            .is_none_or(|intended_at| clock > later(intended_at, FRESH))
        {
            // Whoever looks for it takes it that nothing is asked for so late.
            return Ok(Asked::NotNow);
        }
        if let (Stage::Copy, Some(account)) = (flight.stage, &work.replica.account)
            && let Err(refusal) = share_snapshot(&self.ec2, flight.from(), &account.account_id).await
        {
            return Ok(share_refused(refusal, flight, source));
        }
        let tags = self.tags_of(work, flight, source, key)?;
        let description = format!(
            "Holdfast: {} of plan {}",
            flight.key.resource_id, work.point.plan_id
        );
        let order = CopyOrder {
            from: flight.from(),
            from_region: &self.sessions.own().region,
            key: match flight.stage {
                Stage::Hop => Some(&self.hop_key_id),
                Stage::Copy => work.replica.kms_key_arn.as_deref(),
            },
            encrypted: source.snapshot.encrypted,
            tags: &tags,
            description: &description,
        };
        let ec2 = self.ec2_of(session, flight.stage);
        Ok(match copy_snapshot(&ec2, &order).await {
            Ok(made) => Asked::Made(made),
            Err(refusal) => match refusal.class {
                ErrorClass::Throttled | ErrorClass::Busy => Asked::NotNow,
                ErrorClass::Unknown => Asked::InDoubt,
                // The destination may not have seen yet that the snapshot is shared.
                ErrorClass::Gone | ErrorClass::Refused if flight.is_sharing_fresh(clock) => Asked::NotNow,
                ErrorClass::Refused if refusal.is_forbidden() => Asked::Broken(refusal.reason),
                ErrorClass::Gone | ErrorClass::Refused => {
                    Asked::Refused(format!("EC2 says: {}", refusal.reason))
                }
            },
        })
    }

    fn tags_of(
        &self,
        work: &Work,
        flight: &Flight,
        source: &ListedSnapshot,
        key: &SealKey,
    ) -> Result<Tags, Failure> {
        let copy_source = CopySource {
            point: &work.point,
            resource_id: &flight.key.resource_id,
            snapshot_id: &flight.key.snapshot_id,
            volume_id: &source.snapshot.volume_id,
            place: self.sessions.own(),
            tags: &source.tags,
        };
        let tags = match flight.stage {
            Stage::Hop => decide_hop_tags(&copy_source, &work.destination, key),
            Stage::Copy => decide_copy_tags(&copy_source, key).map(|(tags, left_out)| {
                if !left_out.is_empty() {
                    tracing::warn!(source = %flight.key.snapshot_id, ?left_out, "tags without room on the copy");
                }
                tags
            }),
        };
        tags.map_err(|error| {
            Failure::permanent_from(
                format!("sealing the tags of a copy of {}", flight.key.snapshot_id),
                error,
            )
        })
    }

    /// Writes what became of each call into its flight.
    async fn note(
        &self,
        work: &mut Work,
        asked: Vec<(usize, Result<Asked, Failure>)>,
    ) -> Result<(), Failure> {
        let mut refused = Vec::new();
        let mut failure = None;
        for (index, asked) in asked {
            let flight = &mut work.copies.flights[index];
            match asked {
                Ok(Asked::Made(id)) => flight.made = Some(id),
                Ok(Asked::NotNow) => flight.make_ready(flight.stage),
                Ok(Asked::InDoubt) => {}
                Ok(Asked::NeedsHop) => {
                    flight.make_ready(Stage::Hop);
                    (flight.shared_at, flight.shares_source) = (None, false);
                }
                Ok(Asked::Refused(reason)) => refused.push((index, reason)),
                Ok(Asked::Broken(reason)) => {
                    let why = format!(
                        "EC2 says: {reason}. See that the role that copies to {} may do so",
                        work.destination
                    );
                    refused.push((index, why.clone()));
                    work.copies.stop(Stopped {
                        why,
                        aborted: false,
                        lands: true,
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        refused.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
        for (index, reason) in refused {
            let flight = work.copies.flights.remove(index);
            self.fail(work, &flight, reason).await?;
            self.clean_up(work, &flight).await?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// What it means that a snapshot cannot be shared. An encrypted one may be under a key that forbids it.
fn share_refused(refusal: Refusal, flight: &Flight, source: &ListedSnapshot) -> Asked {
    match refusal.class {
        // Asking twice changes nothing, and no copy was asked for yet.
        ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => Asked::NotNow,
        ErrorClass::Refused if refusal.is_forbidden() => Asked::Broken(refusal.reason),
        ErrorClass::Refused if source.snapshot.encrypted && flight.hop.is_none() => Asked::NeedsHop,
        ErrorClass::Gone | ErrorClass::Refused => Asked::Refused(refusal.reason),
    }
}
