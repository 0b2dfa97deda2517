//! The steps of one resource, one after the other, until one has to be waited for; and the way back.

use crate::RestoreInstance;
use holdfast_aws::failure::Failure;
use holdfast_aws::restoring::survey::Clients;
use holdfast_aws::snapshots::Refusal;
use holdfast_core::ids::{InstanceId, JobId};
use holdfast_core::job::JobStatus;
use holdfast_core::message::ExecutionFailure;
use holdfast_core::pacing::{later, whole_seconds};
use holdfast_core::restoring::message::RestoreStepped;
use holdfast_core::restoring::record::{NoReturn, Restore, RestoreStatus};
use holdfast_core::restoring::step::{Part, Step};
use holdfast_core::restoring::tags;
use jiff::{SignedDuration, Timestamp};
use std::time::Instant;

/// The shortest wait for a state to be reached.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// The longest.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// How long to leave a restore alone that another run is at work on.
const TAKEN_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// How long a refusal for a state is waited out: another run, or EC2 itself, is changing it.
const STATE_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// How long a refusal is waited out where giving up would leave less than there was.
const ROOM_WAIT: SignedDuration = SignedDuration::from_mins(30);
/// What EC2 says when there is no room for an instance: none in the zone, on the host or in the reservation, or no more
/// of the account's quota. Some of them come as errors of the server. Source: EC2's error codes.
const NO_ROOM: [&str; 6] = [
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientCapacityOnHost",
    "ReservationCapacityExceeded",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
];
/// How long a step of the way back, or past the cut-over, is tried before what is left is only named.
const LONGEST_TRY: SignedDuration = SignedDuration::from_hours(2);

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The state is reached.
    Yes,
    /// It is not, and why.
    NotYet(String),
}

/// Why a step cannot be taken.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// EC2 or a neighbour refuses.
    Refused(Refusal),
    /// The state can never be reached.
    Hopeless(String),
    /// Another run has written the restore.
    Taken,
    /// The invocation cannot go on.
    Failed(Failure),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One resource at work.
pub(crate) struct Work {
    pub(crate) restore: Restore,
    pub(crate) clients: Clients,
    /// The value of the tag on what is made.
    pub(crate) tag: String,
    now: Timestamp,
    began: Instant,
}

impl Work {
    /// What time it is by now: calls take time.
    pub(crate) fn clock(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        later(self.now, elapsed)
    }

    pub(crate) fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.clients.ec2
    }

    /// The client token for `what`.
    pub(crate) fn token(&self, what: &str) -> String {
        tags::client_token(&self.restore.job_id, &self.restore.resource_id, what)
    }

    /// A new instance that must be there by now.
    pub(crate) fn made(&self, part: Part) -> Result<InstanceId, Trouble> {
        let made = self.restore.made.instances.get(&part).cloned();
        made.ok_or_else(|| Trouble::Hopeless(format!("there is no {part} instance")))
    }

    /// Whether a refusal is for a state that may be on its way to another one.
    fn may_change(&self, refusal: &Refusal) -> bool {
        let states = ["IncorrectState", "IncorrectInstanceState", "VolumeInUse"];
        let waited = self.clock().duration_since(self.restore.since);
        refusal.code.as_deref().is_some_and(|code| states.contains(&code)) && waited < STATE_WAIT
    }

    /// Whether a refusal is waited out at a step that must not fail for it: where there is no way back any refusal, for giving up
    /// would leave less than there was; and want of room where the original is to run again.
    fn waits_out(&self, step: Step, refusal: &Refusal) -> bool {
        let must_not_fail = match step {
            Step::StartOriginal | Step::ReturnOriginal => is_for_want_of_room(refusal),
            // The original is not gone before EC2 has taken the call that ends it.
            Step::ReleaseOriginal => false,
            _ => self.restore.is_past_return(),
        };
        must_not_fail && self.clock().duration_since(self.restore.since) < ROOM_WAIT
    }

    /// Whether a refusal may pass by itself. Want of room does not, or not soon, whatever EC2 thinks of whose fault it is.
    pub(crate) fn may_pass(&self, refusal: &Refusal) -> bool {
        refusal.is_temporary() && !is_for_want_of_room(refusal) || self.may_change(refusal)
    }

    /// When to look again: the longer it takes, the less often.
    fn next_look(&self) -> Timestamp {
        let now = self.clock();
        let waited = now.duration_since(self.restore.since) / 10;
        later(now, waited.clamp(SHORTEST_WAIT, LONGEST_WAIT))
    }
}

impl RestoreInstance {
    pub(crate) async fn step(
        &self,
        job_id: &JobId,
        wave: u32,
        number: u32,
        failure: Option<&ExecutionFailure>,
        now: Timestamp,
    ) -> Result<RestoreStepped, Failure> {
        let restore = self.catalog.restore(job_id, wave, number).await?;
        let mut work = Work {
            clients: self.clients_in(&restore.place.region),
            tag: tags::restore_value(&restore.job_id, &restore.resource_id),
            restore,
            now,
            began: Instant::now(),
        };
        let stepped = match self.go_on(&mut work, failure).await {
            Ok(stepped) => stepped,
            Err(Trouble::Taken) => waiting(later(work.clock(), TAKEN_WAIT)),
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(Trouble::Refused(refusal)) => return Err(Failure::retryable(refusal.reason)),
            Err(Trouble::Hopeless(why)) => return Err(Failure::permanent(why)),
        };
        tracing::info!(
            job = %work.restore.job_id,
            resource = %work.restore.resource_id,
            status = ?work.restore.status,
            step = ?work.restore.step(),
            finished = stepped.finished,
            "restore looked at"
        );
        Ok(stepped)
    }

    async fn go_on(
        &self,
        work: &mut Work,
        failure: Option<&ExecutionFailure>,
    ) -> Result<RestoreStepped, Trouble> {
        if let Some(failure) = failure
            && note_failure(work, failure)
        {
            self.save(work).await?;
        }
        self.take_steps(work).await
    }

    async fn take_steps(&self, work: &mut Work) -> Result<RestoreStepped, Trouble> {
        if work.restore.status.is_terminal() {
            return Ok(finished(work.clock()));
        }
        let job = self.catalog.job(&work.restore.job_id).await?;
        if matches!(job.status, JobStatus::Aborting | JobStatus::Aborted) && work.restore.can_turn_back() {
            let now = work.clock();
            work.restore.turn_back("it was stopped", true, now);
            self.save(work).await?;
        }
        let now = work.clock();
        work.restore.begin(now);
        loop {
            let now = work.clock();
            if work.restore.status.is_terminal() {
                return Ok(finished(now));
            }
            self.check_deadlines(work).await?;
            let Some(step) = work.restore.step() else {
                work.restore.end(work.clock());
                self.save(work).await?;
                return Ok(finished(work.clock()));
            };
            match self.take(step, work).await {
                Ok(Reached::Yes) => {
                    let now = work.clock();
                    work.restore.advance(now);
                }
                Ok(Reached::NotYet(why)) => return self.wait(work, step, &why).await,
                Err(Trouble::Refused(refusal)) if work.may_pass(&refusal) => {
                    return self.wait(work, step, &refusal.reason).await;
                }
                Err(Trouble::Refused(refusal)) if work.waits_out(step, &refusal) => {
                    if is_for_want_of_room(&refusal) {
                        self.make_room(work).await?;
                    }
                    return self.wait(work, step, &refusal.reason).await;
                }
                Err(Trouble::Refused(refusal)) => self.turn_back(work, step, &refusal.reason).await?,
                Err(Trouble::Hopeless(why)) => self.turn_back(work, step, &why).await?,
                Err(trouble) => return Err(trouble),
            }
            self.save(work).await?;
        }
    }

    /// Whether the restore, or the way back, has taken too long.
    async fn check_deadlines(&self, work: &mut Work) -> Result<(), Trouble> {
        let now = work.clock();
        let restore = &work.restore;
        let step = restore.step();
        // A proof has a deadline of its own.
        let has_own = matches!(step, Some(Step::Prove(_)));
        let is_tried_long = !has_own && now >= later(restore.since, LONGEST_TRY);
        match restore.status {
            // The deadline is for turning back. Past the cut-over there is only forward.
            RestoreStatus::Running if restore.is_past_return() && is_tried_long => {
                let what = step.map(|step| step.in_words(restore.blueprint.way.as_ref()));
                let why = format!("it took too long to {}", what.unwrap_or_default());
                self.give_up(work, &why).await
            }
            RestoreStatus::Running if now >= restore.blueprint.deadline && !restore.is_past_return() => {
                let what = step.map(|step| step.in_words(restore.blueprint.way.as_ref()));
                let why = format!(
                    "its deadline is over, and it was about to {}",
                    what.unwrap_or_default()
                );
                self.give_up(work, &why).await
            }
            RestoreStatus::Returning if is_tried_long => {
                let what = step.map(|step| step.in_words(restore.blueprint.way.as_ref()));
                let restore = &mut work.restore;
                restore.notes.push(format!(
                    "on the way back it took too long to {}; what it made carries the tag {} = {}",
                    what.unwrap_or_default(),
                    tags::RESTORE,
                    work.tag
                ));
                restore.is_stuck = true;
                // What comes after it may still be done.
                restore.advance(now);
                self.save(work).await
            }
            _ => Ok(()),
        }
    }

    /// Turns back after a refusal, or on the way back skips what cannot be done.
    async fn turn_back(&self, work: &mut Work, step: Step, why: &str) -> Result<(), Trouble> {
        let what = step.in_words(work.restore.blueprint.way.as_ref());
        if work.restore.status == RestoreStatus::Returning {
            let now = work.clock();
            let restore = &mut work.restore;
            restore.is_stuck = true;
            restore
                .notes
                .push(format!("on the way back it could not {what}: {why}"));
            restore.advance(now);
            return Ok(());
        }
        let why = format!("it could not {what}: {why}");
        self.give_up(work, &why).await
    }

    /// Turns back; past the cut-over it ends where it stands, with everything kept that stands.
    async fn give_up(&self, work: &mut Work, why: &str) -> Result<(), Trouble> {
        let now = work.clock();
        if work.restore.can_turn_back() {
            work.restore.turn_back(why, false, now);
            return Ok(());
        }
        self.strand(work, why).await
    }

    /// Goes where there is no way back from, unless somebody has stopped the job by now. It is written down first.
    pub(crate) async fn cross(&self, work: &mut Work, line: NoReturn) -> Result<Reached, Trouble> {
        let job = self.catalog.job(&work.restore.job_id).await?;
        if job.status != JobStatus::Running {
            let now = work.clock();
            work.restore.turn_back("it was stopped", true, now);
            return Ok(Reached::NotYet("the job was stopped".to_owned()));
        }
        work.restore.no_return = Some(line);
        self.save(work).await?;
        Ok(Reached::Yes)
    }

    /// One round is over.
    async fn wait(&self, work: &mut Work, step: Step, why: &str) -> Result<RestoreStepped, Trouble> {
        tracing::info!(
            job = %work.restore.job_id,
            resource = %work.restore.resource_id,
            ?step,
            why,
            "not there yet"
        );
        self.save(work).await?;
        Ok(waiting(work.next_look()))
    }

    pub(crate) async fn save(&self, work: &mut Work) -> Result<(), Trouble> {
        if self.catalog.save_restore(&mut work.restore).await? {
            Ok(())
        } else {
            Err(Trouble::Taken)
        }
    }

    async fn take(&self, step: Step, work: &mut Work) -> Result<Reached, Trouble> {
        match step {
            Step::MakeVolumes => self.make_volumes(work).await,
            Step::ObtainImage => self.obtain_image(work).await,
            Step::StopOriginal => self.stop_original(work).await,
            Step::Launch(part) => self.launch(work, part).await,
            Step::ExchangeBootVolume(part) => self.exchange_boot_volume(work, part).await,
            Step::Prove(part) => {
                let instance = work.made(part)?;
                self.prove(work, &instance).await
            }
            Step::ReleaseOriginal => self.release_original(work).await,
            Step::RemoveCandidate => self.remove_candidate(work).await,
            Step::Dress => self.dress(work).await,
            Step::ReplaceRoot => self.replace_root(work).await,
            Step::SwapVolumes => self.swap_volumes(work).await,
            Step::StartOriginal => self.start_original(work).await,
            Step::ProveOriginal => {
                let instance = work.restore.resource_id.clone();
                self.prove(work, &instance).await
            }
            Step::AttachVolumes => self.attach_volumes(work).await,
            Step::Settle => self.settle(work).await,
            Step::MakeImage => self.make_image(work).await,
            Step::Finish => self.finish(work).await,
            Step::RemoveMade => self.remove_made(work).await,
            Step::SwapBack => self.swap_back(work).await,
            Step::ReturnOriginal => self.return_original(work).await,
        }
    }
}

/// A failure of the task itself. One that may pass is only waited for; after any other the restore turns back. Says
/// whether anything changed.
fn note_failure(work: &mut Work, failure: &ExecutionFailure) -> bool {
    let restore = &mut work.restore;
    if failure.is_temporary() || restore.status.is_terminal() {
        return false;
    }
    let why = failure.in_words();
    tracing::error!(job = %restore.job_id, resource = %restore.resource_id, why, "a step failed");
    if restore.can_turn_back() && restore.status != RestoreStatus::Returning {
        restore.turn_back(why, false, work.now);
    } else {
        // Neither forward nor back: it ends where it stands, and says so.
        restore.failure.get_or_insert(why);
        restore.is_stuck = true;
        restore
            .notes
            .push(format!("what it made carries the tag {}", tags::RESTORE));
        restore.end(work.now);
    }
    true
}

fn is_for_want_of_room(refusal: &Refusal) -> bool {
    let code = refusal.code.as_deref();
    code.is_some_and(|code| NO_ROOM.contains(&code))
}

fn finished(now: Timestamp) -> RestoreStepped {
    RestoreStepped {
        finished: true,
        wait_until: whole_seconds(now),
    }
}

fn waiting(until: Timestamp) -> RestoreStepped {
    RestoreStepped {
        finished: false,
        wait_until: whole_seconds(until),
    }
}
