//! Looking at what is in flight, and taking off what has landed.

use crate::{CopyRegion, Work};
use holdfast_aws::copies::{delete_hop, describe_by_ids, describe_copies, lock_snapshot, unshare_snapshot};
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

impl CopyRegion {
    /// Looks at every flight once and does what follows from it. The copy job is not written here: whoever is cut off
    /// does the same again.
    pub(crate) async fn look(&self, work: &mut Work, session: &Session) -> Result<(), Failure> {
        if !work.copies.flights.iter().any(Flight::takes_slot) {
            return Ok(());
        }
        let mut seen: HashMap<(Stage, SnapshotId), Seen> = HashMap::new();
        for stage in [Stage::Hop, Stage::Copy] {
            self.see(work, session, stage, &mut seen).await?;
        }
        let mut flying = Vec::with_capacity(work.copies.flights.len());
        for flight in std::mem::take(&mut work.copies.flights) {
            let found = seen.get(&(flight.stage, flight.key.snapshot_id.clone()));
            flying.extend(self.step(work, session, flight, found).await?);
        }
        work.copies.flights = flying;
        Ok(())
    }

    /// Asks EC2 for the flights of a stage: by id where that is known, else by tags. Gives them by their source.
    async fn see(
        &self,
        work: &Work,
        session: &Session,
        stage: Stage,
        seen: &mut HashMap<(Stage, SnapshotId), Seen>,
    ) -> Result<(), Failure> {
        let of_stage = || {
            let flights = work.copies.flights.iter();
            flights.filter(move |flight| flight.stage == stage && flight.takes_slot())
        };
        let made: HashMap<&SnapshotId, &SnapshotId> = of_stage()
            .filter_map(|flight| Some((flight.made.as_ref()?, &flight.key.snapshot_id)))
            .collect();
        let in_doubt: Vec<SnapshotId> = of_stage()
            .filter(|flight| flight.made.is_none())
            .map(|flight| flight.key.snapshot_id.clone())
            .collect();
        let ec2 = self.ec2_of(session, stage);
        let mut note = |source: &SnapshotId, listed: ListedSnapshot| {
            let entry = Seen {
                snapshot_id: listed.snapshot.snapshot_id,
                state: listed.state,
                message: listed.message,
            };
            seen.insert((stage, source.clone()), entry);
        };
        if !made.is_empty() {
            let ids: Vec<SnapshotId> = made.keys().map(|id| (*id).clone()).collect();
            for listed in describe_by_ids(&ec2, &ids).await? {
                if let Some(source) = made.get(&listed.snapshot.snapshot_id) {
                    note(source, listed);
                }
            }
        }
        if !in_doubt.is_empty() {
            let key = self.seal_key(work).await?;
            let hop_for = (stage == Stage::Hop).then_some(&work.destination);
            let mut listed = describe_copies(&ec2, &work.point.recovery_point_id, &in_doubt, hop_for).await?;
            // Only what carries our seal is ours; of twins the oldest counts, and comes last here. Those that an
            // earlier attempt left in `error` are no answer to this one.
            listed.retain(|listed| key.verifies(&listed.tags) && !is_known(work, &listed.snapshot.snapshot_id));
            listed.sort_by(|a, b| {
                let order = |listed: &ListedSnapshot| {
                    (listed.snapshot.started_at, listed.snapshot.snapshot_id.clone())
                };
                order(b).cmp(&order(a))
            });
            for listed in listed {
                let source = listed.tags.get(tags::SOURCE_SNAPSHOT).cloned().unwrap_or_default();
                if let Ok(source) = SnapshotId::try_from(source) {
                    note(&source, listed);
                }
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
        match decide_flight(&flight, seen, work.now) {
            FlightStep::Keep => Ok(Some(flight)),
            FlightStep::Adopt(id) => {
                tracing::info!(source = %flight.key.snapshot_id, copy = %id, "copy adopted");
                flight.made = Some(id);
                Ok(Some(flight))
            }
            FlightStep::AskAgain => {
                flight.make_ready(flight.stage);
                Ok(Some(flight))
            }
            FlightStep::Land => self.land(work, session, flight).await,
            FlightStep::Fail { reason, key_problem } => {
                self.stumble(work, flight, &reason, key_problem).await
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
        if let (Some(lock), Some(made)) = (&work.replica.lock, &flight.made)
            && copy.state == CopyState::Waiting
            && let Err(refusal) = lock_snapshot(&session.ec2(), made, lock).await
        {
            if refusal.is_temporary() {
                // It is complete and stays in flight until it is locked.
                return Ok(Some(flight));
            }
            copy.note = Some(format!("{made} is not locked: {}", refusal.reason));
        }
        copy.state = CopyState::Completed;
        copy.copy_id = flight.made.clone();
        self.end_copy(work, &copy).await?;
        self.clean_up(work, &flight).await?;
        work.copies.completed += 1;
        Ok(None)
    }

    /// A copy ended in `error`: explained, and tried again where that can help.
    async fn stumble(
        &self,
        work: &mut Work,
        mut flight: Flight,
        reason: &str,
        key_problem: bool,
    ) -> Result<Option<Flight>, Failure> {
        let made = flight.made.clone();
        if let Some(made) = made.clone().filter(|_| flight.stage == Stage::Copy) {
            work.copies.leftovers.push(made);
        }
        let explained = explain_copy_error(reason, &work.destination, self.key_in_words(work, flight.stage));
        tracing::warn!(source = %flight.key.snapshot_id, attempt = flight.attempt, explained, "a copy ended in error");
        if flight.stage == Stage::Hop
            && let Some(made) = &made
        {
            delete_hop(&self.ec2, made).await?;
        }
        flight.attempt += 1;
        if flight.attempt > MAX_ATTEMPTS || (key_problem && !self.can_hop(work, &flight).await?) {
            self.clean_up(work, &flight).await?;
            self.fail(work, &flight, explained.clone()).await?;
            if key_problem && work.copies.completed == 0 {
                work.copies.stopped.get_or_insert(Stopped {
                    why: explained,
                    aborted: false,
                });
            }
            return Ok(None);
        }
        // With a copy under a key of ours, at least the source's key is out of the way.
        let stage = if key_problem { Stage::Hop } else { flight.stage };
        flight.make_ready(stage);
        Ok(Some(flight))
    }

    /// Whether a hop can still help: the snapshot is encrypted, goes to another account, and has made none yet.
    async fn can_hop(&self, work: &Work, flight: &Flight) -> Result<bool, Failure> {
        let crosses = work.replica.account.is_some();
        let first = flight.hop.is_none() && flight.stage == Stage::Copy;
        Ok(crosses && first && self.record_of(work, flight).await?.encrypted)
    }

    /// Ends what a flight did on the source's side: the hop goes, the sharing ends.
    pub(crate) async fn clean_up(&self, work: &Work, flight: &Flight) -> Result<(), Failure> {
        let hop = flight.hop.as_ref();
        let unfinished = flight.made.as_ref().filter(|_| flight.stage == Stage::Hop);
        for hop in hop.into_iter().chain(unfinished) {
            delete_hop(&self.ec2, hop).await?;
        }
        if work.replica.account.is_none() || self.others_need(work, flight).await? {
            return Ok(());
        }
        unshare_snapshot(&self.ec2, &flight.key.snapshot_id, &work.destination.account_id).await
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
            if is_open && !copies.status.is_terminal() && copies.stopped.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes down that a snapshot gets no copy.
    pub(crate) async fn fail(
        &self,
        work: &mut Work,
        flight: &Flight,
        reason: String,
    ) -> Result<(), Failure> {
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

    pub(crate) async fn record_of(&self, work: &Work, flight: &Flight) -> Result<SnapshotCopy, Failure> {
        let point = &work.point.recovery_point_id;
        let found = self.catalog.find_copy(point, &work.destination, &flight.key).await?;
        found.ok_or_else(|| {
            let snapshot = &flight.key.snapshot_id;
            Failure::permanent(format!("the record of the copy of {snapshot} is not in the catalog"))
        })
    }

    fn key_in_words<'a>(&'a self, work: &'a Work, stage: Stage) -> Option<&'a str> {
        match stage {
            Stage::Hop => Some(&self.hop_key_id),
            Stage::Copy => work.replica.kms_key_arn.as_deref(),
        }
    }
}

/// Whether a snapshot is one that an earlier attempt left behind.
fn is_known(work: &Work, id: &SnapshotId) -> bool {
    work.copies.leftovers.contains(id)
}
