//! Looking at what is in flight, and taking off what has landed.

use crate::{CopyRegion, Work};
use holdfast_aws::copies::{
    delete_temporary, describe_by_ids, describe_copies, lock_snapshot, unshare_snapshot,
};
use holdfast_aws::failure::Failure;
use holdfast_aws::sessions::Session;
use holdfast_aws::snapshots::ListedSnapshot;
use holdfast_core::copying::{
    CopyState, Flight, FlightStep, MAX_ATTEMPTS, Seen, SnapshotCopy, Stage, Stopped, decide_flight,
    explain_copy_error,
};
use holdfast_core::ids::SnapshotId;
use holdfast_core::tags;
use std::collections::HashMap;

/// What EC2 shows of the flights, by stage and source.
type Sight = HashMap<(Stage, SnapshotId), Seen>;

impl CopyRegion {
    /// Looks at every flight once and does what follows from it. The copy job is not written here: whoever is cut off
    /// does the same again.
    pub(crate) async fn look(&self, work: &mut Work, session: &Session) -> Result<(), Failure> {
        let mut sight = Sight::new();
        for stage in [Stage::Hop, Stage::Copy] {
            self.see_made(work, session, stage, &mut sight).await?;
            self.see_in_doubt(work, session, stage, &mut sight).await?;
        }
        let mut flying = Vec::with_capacity(work.copies.flights.len());
        for flight in std::mem::take(&mut work.copies.flights) {
            let seen = sight.get(&(flight.stage, flight.key.snapshot_id.clone()));
            if work.copies.stopped.is_some() && !flight.takes_slot() {
                // It is not asked for any more.
                let why = work.copies.stopped.as_ref().map(|stopped| stopped.why.clone());
                self.fail(work, &flight, why.unwrap_or_default()).await?;
                self.clean_up(work, &flight).await?;
            } else {
                flying.extend(self.step(work, session, flight, seen).await?);
            }
        }
        work.copies.flights = flying;
        Ok(())
    }

    /// Asks EC2 for what flights of a stage have made.
    async fn see_made(
        &self,
        work: &Work,
        session: &Session,
        stage: Stage,
        sight: &mut Sight,
    ) -> Result<(), Failure> {
        let flights = work.copies.flights.iter().filter(|flight| flight.stage == stage);
        let made: HashMap<&SnapshotId, &SnapshotId> = flights
            .filter_map(|flight| Some((flight.made.as_ref()?, &flight.key.snapshot_id)))
            .collect();
        if made.is_empty() {
            return Ok(());
        }
        let ids: Vec<SnapshotId> = made.keys().map(|id| (*id).clone()).collect();
        for listed in describe_by_ids(&self.ec2_of(session, stage), &ids).await? {
            if let Some(source) = made.get(&listed.snapshot.snapshot_id) {
                sight.insert((stage, (*source).clone()), seen(listed));
            }
        }
        Ok(())
    }

    /// Asks EC2, by tags, for what flights of a stage may have made whose answer was lost. Of twins the oldest counts.
    async fn see_in_doubt(
        &self,
        work: &Work,
        session: &Session,
        stage: Stage,
        sight: &mut Sight,
    ) -> Result<(), Failure> {
        let flights = work.copies.flights.iter();
        let in_doubt: HashMap<SnapshotId, &Flight> = flights
            .filter(|flight| flight.stage == stage && flight.is_in_doubt())
            .map(|flight| (flight.key.snapshot_id.clone(), flight))
            .collect();
        if in_doubt.is_empty() {
            return Ok(());
        }
        let ec2 = self.ec2_of(session, stage);
        let key = self.seal_key(work).await?;
        let sources: Vec<SnapshotId> = in_doubt.keys().cloned().collect();
        let hop_for = (stage == Stage::Hop).then_some(&work.destination);
        let mut listed = describe_copies(&ec2, &work.point.recovery_point_id, &sources, hop_for).await?;
        // Only what carries our seal is ours.
        listed.retain(|listed| key.verifies(&listed.tags));
        listed.sort_by_key(|listed| (listed.snapshot.started_at, listed.snapshot.snapshot_id.clone()));
        for listed in listed {
            let source = listed
                .tags
                .get(tags::SOURCE_SNAPSHOT)
                .cloned()
                .unwrap_or_default();
            let Some(flight) = SnapshotId::try_from(source)
                .ok()
                .and_then(|source| in_doubt.get(&source))
            else {
                continue;
            };
            // What an earlier attempt left behind is no answer to this one.
            let id = &listed.snapshot.snapshot_id;
            if self.record_of(work, flight).await?.leftovers.contains(id) {
                continue;
            }
            let place = (stage, flight.key.snapshot_id.clone());
            if let std::collections::hash_map::Entry::Vacant(entry) = sight.entry(place) {
                entry.insert(seen(listed));
            } else if stage == Stage::Copy {
                self.note_leftover(work, flight, id).await?;
            } else {
                delete_temporary(&self.ec2, id).await?;
            }
        }
        Ok(())
    }

    /// Does what a look at one flight asks for. Gives the flight back while it flies.
    async fn step(
        &self,
        work: &mut Work,
        session: &Session,
        mut flight: Flight,
        seen: Option<&Seen>,
    ) -> Result<Option<Flight>, Failure> {
        let step = decide_flight(&flight, seen, work.now);
        if seen.is_some() {
            flight.seen_at = Some(work.now);
        }
        match step {
            FlightStep::Keep => Ok(Some(flight)),
            FlightStep::Adopt(id) => {
                tracing::info!(source = %flight.key.snapshot_id, copy = %id, "copy adopted");
                flight.made = Some(id);
                Ok(Some(flight))
            }
            FlightStep::AskAgain if flight.made.is_none() => {
                flight.make_ready(flight.stage);
                Ok(Some(flight))
            }
            FlightStep::AskAgain => {
                self.stumble(work, flight, "the copy is not there any more", false)
                    .await
            }
            FlightStep::Land => self.land(work, session, flight).await,
            FlightStep::Fail { reason, key_problem } => {
                self.stumble(work, flight, &format!("EC2 says: {reason}"), key_problem)
                    .await
            }
        }
    }

    async fn land(
        &self,
        work: &mut Work,
        session: &Session,
        mut flight: Flight,
    ) -> Result<Option<Flight>, Failure> {
        if let Some(intended_at) = flight.intended_at {
            work.copies.learn(work.now.duration_since(intended_at));
        }
        if flight.stage == Stage::Hop {
            flight.hop = flight.made.take();
            flight.make_ready(Stage::Copy);
            return Ok(Some(flight));
        }
        let mut copy = self.record_of(work, &flight).await?;
        let made = flight.made.clone();
        match (copy.state, &made) {
            (CopyState::Waiting, Some(made)) => {
                if let Some(lock) = work.replica.lock.clone()
                    && let Err(refusal) = lock_snapshot(&session.ec2(), made, &lock).await
                {
                    if refusal.is_temporary() {
                        // It is complete, and stays in flight until it is locked.
                        return Ok(Some(flight));
                    }
                    work.copies
                        .leave_behind(format!("{made} is not locked: {}", refusal.reason));
                }
                copy.state = CopyState::Completed;
                copy.copy_id = Some(made.clone());
                self.end_copy(work, &copy).await?;
                work.copies.completed += 1;
            }
            // It had landed, or was given up, in a run that was cut off.
            (CopyState::Completed, made) if copy.copy_id == *made => work.copies.completed += 1,
            (_, Some(made)) => {
                self.note_leftover(work, &flight, made).await?;
                work.copies.failed += u32::from(copy.state == CopyState::Failed);
            }
            (_, None) => {}
        }
        self.clean_up(work, &flight).await?;
        Ok(None)
    }

    /// A copy came to nothing: explained, and tried again where that can help.
    async fn stumble(
        &self,
        work: &mut Work,
        mut flight: Flight,
        reason: &str,
        key_problem: bool,
    ) -> Result<Option<Flight>, Failure> {
        let key = match flight.stage {
            Stage::Hop => Some(self.hop_key_id.as_str()),
            Stage::Copy => work.replica.kms_key_arn.as_deref(),
        };
        let explained = explain_copy_error(reason, key_problem, &work.destination, key);
        tracing::warn!(source = %flight.key.snapshot_id, attempt = flight.attempt, explained, "a copy came to nothing");
        match (&flight.made, flight.stage) {
            (Some(made), Stage::Copy) => self.note_leftover(work, &flight, made).await?,
            (Some(made), Stage::Hop) => self.remove_hop(work, made).await?,
            (None, _) => {}
        }
        flight.attempt += 1;
        let can_hop = key_problem && self.can_hop(work, &flight).await?;
        if flight.attempt > MAX_ATTEMPTS || (key_problem && !can_hop) {
            flight.made = None;
            self.fail(work, &flight, explained.clone()).await?;
            self.clean_up(work, &flight).await?;
            if key_problem && work.copies.completed == 0 {
                // The others would fail in the same way. What is in flight shows whether that is so.
                work.copies.stop(Stopped {
                    why: explained,
                    aborted: false,
                    lands: true,
                });
            }
            return Ok(None);
        }
        // With a copy under a key of ours, at least the source's key is out of the way.
        flight.make_ready(if can_hop { Stage::Hop } else { flight.stage });
        Ok(Some(flight))
    }

    /// Whether a hop can still help: the snapshot is encrypted, goes to another account, and has made none yet.
    async fn can_hop(&self, work: &Work, flight: &Flight) -> Result<bool, Failure> {
        let crosses = work.replica.account.is_some();
        let first = flight.hop.is_none() && flight.stage == Stage::Copy;
        Ok(crosses && first && self.record_of(work, flight).await?.encrypted)
    }

    /// Ends what a flight did on the source's side: the hop goes, the sharing ends. What became of the snapshot is
    /// written down before: other destinations of the account look at that.
    pub(crate) async fn clean_up(&self, work: &mut Work, flight: &Flight) -> Result<(), Failure> {
        let unfinished = flight.made.as_ref().filter(|_| flight.stage == Stage::Hop);
        for hop in flight.hop.iter().chain(unfinished) {
            self.remove_hop(work, hop).await?;
        }
        if !flight.shares_source || self.others_need(work, flight).await? {
            return Ok(());
        }
        let account = &work.destination.account_id;
        match unshare_snapshot(&self.ec2, &flight.key.snapshot_id, account).await {
            Err(failure @ Failure::Permanent { .. }) => {
                let what = format!("{} stays shared: {}", flight.key.snapshot_id, failure.chain());
                work.copies.leave_behind(what);
                Ok(())
            }
            done => done,
        }
    }

    /// Deletes a hop. One that EC2 will not delete does not hold the copies up: the copy job tells of it.
    async fn remove_hop(&self, work: &mut Work, hop: &SnapshotId) -> Result<(), Failure> {
        match delete_temporary(&self.ec2, hop).await {
            Err(failure @ Failure::Permanent { .. }) => {
                work.copies
                    .leave_behind(format!("the hop {hop} is still there: {}", failure.chain()));
                Ok(())
            }
            done => done,
        }
    }

    /// Whether another destination of the plan in the same account still copies this snapshot. Each writes down that
    /// it is done before it asks, so the last one finds nobody.
    async fn others_need(&self, work: &Work, flight: &Flight) -> Result<bool, Failure> {
        for replica in &work.point.plan.replicas {
            let other = replica.destination(&self.sessions.own().account_id);
            if other.account_id != work.destination.account_id || other == work.destination {
                continue;
            }
            let point = &work.point.recovery_point_id;
            let Some(copies) = self.catalog.find_copy_job(point, &other).await? else {
                continue;
            };
            let record = self.catalog.find_copy(point, &other, &flight.key).await?;
            let is_open = record.is_some_and(|record| record.state == CopyState::Waiting);
            if is_open && !copies.status.is_terminal() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes down that a snapshot gets no copy.
    pub(crate) async fn fail(&self, work: &mut Work, flight: &Flight, reason: String) -> Result<(), Failure> {
        let mut copy = self.record_of(work, flight).await?;
        if copy.state == CopyState::Waiting {
            copy.state = CopyState::Failed;
            copy.reason = Some(reason);
            self.end_copy(work, &copy).await?;
        }
        work.copies.failed += 1;
        Ok(())
    }

    async fn end_copy(&self, work: &Work, copy: &SnapshotCopy) -> Result<(), Failure> {
        self.catalog
            .end_copy(&work.point.recovery_point_id, &work.destination, copy)
            .await
    }

    pub(crate) async fn note_leftover(
        &self,
        work: &Work,
        flight: &Flight,
        leftover: &SnapshotId,
    ) -> Result<(), Failure> {
        let point = &work.point.recovery_point_id;
        self.catalog
            .note_leftover(point, &work.destination, &flight.key, leftover)
            .await
    }

    pub(crate) async fn record_of(&self, work: &Work, flight: &Flight) -> Result<SnapshotCopy, Failure> {
        let point = &work.point.recovery_point_id;
        let found = self
            .catalog
            .find_copy(point, &work.destination, &flight.key)
            .await?;
        found.ok_or_else(|| {
            let snapshot = &flight.key.snapshot_id;
            Failure::permanent(format!(
                "the record of the copy of {snapshot} is not in the catalog"
            ))
        })
    }
}

fn seen(listed: ListedSnapshot) -> Seen {
    Seen {
        snapshot_id: listed.snapshot.snapshot_id,
        state: listed.state,
        message: listed.message,
    }
}
