//! Ending a destination's copies before they are all there: nothing more is begun, what is half done is undone, and
//! what is whole is written down.

use crate::{CopyRegion, Saved, Work, finished};
use holdfast_aws::failure::Failure;
use holdfast_core::copying::{CopyState, Flight, Stage, Stopped};
use holdfast_core::job::Job;
use holdfast_core::message::{CopyRegionResponse, ExecutionFailure};
use holdfast_core::pacing::{VISIBILITY, later, whole_seconds};
use jiff::{SignedDuration, Timestamp};

/// How long to leave a destination alone after a failure that may pass.
const OUTAGE_WAIT: SignedDuration = SignedDuration::from_mins(5);

impl CopyRegion {
    /// Ends the copies of every destination of an execution that came to an end it was not meant for. One that cannot
    /// be ended does not keep the others from it.
    pub(crate) async fn end_all(
        &self,
        execution_id: &str,
        failure: &ExecutionFailure,
        now: Timestamp,
    ) -> Result<CopyRegionResponse, Failure> {
        let Some(job) = self.catalog.find_job_of_execution(execution_id).await? else {
            return Ok(finished(now));
        };
        let point = self.catalog.recovery_point(&job).await?;
        if point.outcome.is_none() {
            // Its snapshots were not complete, so no copy has begun.
            return Ok(finished(now));
        }
        let mut left = None;
        for (number, _) in (0..).zip(&point.plan.replicas) {
            match Box::pin(self.end(&job, number, failure, now)).await {
                Ok(answer) if answer.finished => {}
                Ok(_) => {
                    left = Some(Failure::retryable(format!(
                        "ending the copies of {}: what was just asked for is not seen yet",
                        point.recovery_point_id
                    )));
                }
                Err(failure) => {
                    tracing::error!(cause = failure.chain(), "a destination's copies cannot be ended");
                    left = Some(failure);
                }
            }
        }
        left.map_or(Ok(finished(now)), Err)
    }

    /// Ends a destination's copies after a failure, unless it is one that may pass: then they go on later.
    pub(crate) async fn end_after(
        &self,
        job: &Job,
        number: u32,
        failure: &ExecutionFailure,
        now: Timestamp,
    ) -> Result<CopyRegionResponse, Failure> {
        if failure.is_temporary() {
            let Some(work) = self.gather(job, number, now).await? else {
                return Ok(finished(now));
            };
            let next = later(now, OUTAGE_WAIT);
            if next < work.copies.deadline(&work.replica) && work.copies.stopped.is_none() {
                tracing::warn!(destination = %work.destination, why = failure.in_words(), "going on later");
                return Ok(CopyRegionResponse {
                    finished: false,
                    wait_until: whole_seconds(next),
                });
            }
        }
        Box::pin(self.end(job, number, failure, now)).await
    }

    async fn end(
        &self,
        job: &Job,
        number: u32,
        failure: &ExecutionFailure,
        now: Timestamp,
    ) -> Result<CopyRegionResponse, Failure> {
        let Some(mut work) = self.gather(job, number, now).await? else {
            return Ok(finished(now));
        };
        work.copies.stop(Stopped {
            why: failure.in_words(),
            aborted: failure.is_abort(),
            lands: false,
        });
        // From here on no round that is still running begins anything more.
        if let Saved::Taken = self.save(&mut work).await? {
            return Err(Failure::retryable(format!(
                "ending the copies of {} to {}: a round is still at work",
                work.point.recovery_point_id, work.destination
            )));
        }
        Box::pin(self.conclude(work)).await
    }

    /// Takes the flights of a copy job down that lets none of them land, and ends it. What was asked for just now may
    /// not be seen yet: then it is not finished.
    pub(crate) async fn conclude(&self, mut work: Work) -> Result<CopyRegionResponse, Failure> {
        let mut session = match self.sessions.open(&work.replica).await {
            Ok(session) => Some(session),
            Err(failure @ Failure::Retryable { .. }) => return Err(failure),
            Err(failure) => {
                tracing::error!(destination = %work.destination, cause = failure.chain(), "out of reach");
                None
            }
        };
        if let Some(open) = &session {
            match self.look(&mut work, open).await {
                Ok(()) => {}
                Err(failure @ Failure::Retryable { .. }) => return Err(failure),
                Err(failure) => {
                    tracing::error!(destination = %work.destination, cause = failure.chain(), "out of reach");
                    session = None;
                }
            }
        }
        self.clear(&mut work, session.is_some()).await?;
        let in_doubt = work
            .copies
            .flights
            .iter()
            .filter_map(|flight| flight.intended_at)
            .max();
        if let Some(intended_at) = in_doubt {
            self.save(&mut work).await?;
            return Ok(CopyRegionResponse {
                finished: false,
                wait_until: whole_seconds(later(intended_at, VISIBILITY)),
            });
        }
        match session {
            Some(session) => self.finish(work, &session).await,
            // Nothing can be written where nothing can be reached.
            None => self.give_up(work).await,
        }
    }

    /// Undoes what flights have done on the source's side, and leaves what they have made to the destination's
    /// retention. One in doubt stays until it can be seen, where it can be looked for at all.
    async fn clear(&self, work: &mut Work, is_reachable: bool) -> Result<(), Failure> {
        let mut staying = Vec::new();
        for flight in std::mem::take(&mut work.copies.flights) {
            let visible_at = flight
                .intended_at
                .map(|intended_at| later(intended_at, VISIBILITY));
            if is_reachable && flight.is_in_doubt() && visible_at.is_some_and(|at| work.now < at) {
                staying.push(flight);
                continue;
            }
            self.take_down(work, &flight).await?;
        }
        work.copies.flights = staying;
        Ok(())
    }

    async fn take_down(&self, work: &mut Work, flight: &Flight) -> Result<(), Failure> {
        let record = self.record_of(work, flight).await?;
        if record.state == CopyState::Completed {
            // It had landed in a run that was cut off.
            work.copies.completed += 1;
        } else {
            if let (Stage::Copy, Some(made)) = (flight.stage, &flight.made) {
                self.note_leftover(work, flight, made).await?;
            }
            let why = work.copies.stopped.as_ref().map(|stopped| stopped.why.clone());
            self.fail(work, flight, why.unwrap_or_default()).await?;
        }
        self.clean_up(work, flight).await
    }
}
