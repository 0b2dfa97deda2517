//! Gives instances of a recovery point back.
//!
//! `prepare` surveys, decides and writes the decision down, before anything is made. `step` takes the steps of one
//! resource, each a state to be reached, until one has to be waited for; on failure or abort it takes the way back.
//! `close` ends the job. See [`holdfast_core::restoring`].

mod build;
mod close;
mod expire;
mod finish;
mod original;
mod points;
mod prepare;
mod prove;
mod step;
mod swap;
mod undo;

pub use points::Points;

use aws_config::{Region, SdkConfig};
use holdfast_aws::catalog::Catalog;
use holdfast_aws::failure::Failure;
use holdfast_aws::restoring::survey::Clients;
use holdfast_core::replica::Destination;
use holdfast_core::restoring::message::{RestoreInstanceRequest, RestoreInstanceResponse};
use jiff::Timestamp;

/// The restore-instance function.
#[derive(Debug, Clone)]
pub struct RestoreInstance {
    /// Clients of this account and region.
    pub here: Clients,
    /// What clients of other regions are made from.
    pub config: SdkConfig,
    /// This account and region.
    pub own: Destination,
    /// Holds restore jobs; in the main stack also plans and recovery points.
    pub catalog: Catalog,
    /// Where recovery points are found.
    pub points: Points,
    /// Takes the event.
    pub events: aws_sdk_eventbridge::Client,
    /// The bus it goes to.
    pub event_bus: String,
}

impl RestoreInstance {
    /// Answers one request.
    ///
    /// # Errors
    /// Permanent: a request that cannot be met, with the field's name and what it may be. Retryable: AWS could not
    /// answer.
    pub async fn handle(
        &self,
        request: RestoreInstanceRequest,
        now: Timestamp,
    ) -> Result<RestoreInstanceResponse, Failure> {
        use RestoreInstanceRequest as Ask;
        use RestoreInstanceResponse as Answer;
        Ok(match request {
            Ask::Prepare {
                input,
                execution_id,
                started_at,
            } => Answer::Prepared(Box::pin(self.prepare(&input, &execution_id, started_at, now)).await?),
            Ask::Step { job_id, wave, number } => {
                Answer::Stepped(Box::pin(self.step(&job_id, wave, number, None, now)).await?)
            }
            Ask::Fail {
                job_id,
                wave,
                number,
                failure,
            } => Answer::Stepped(Box::pin(self.step(&job_id, wave, number, Some(&failure), now)).await?),
            Ask::Close {
                execution_id,
                failure,
            } => Answer::Told(Box::pin(self.close(&execution_id, failure.as_ref(), now)).await?),
            Ask::Abort { job_id } => Answer::Told(self.abort(&job_id, now).await?),
            Ask::Describe { job_id } => Answer::Told(self.describe(&job_id).await?),
            Ask::ExpireUndo {} => Answer::Expired(self.expire_undo(now).await?),
        })
    }

    /// Clients of a region.
    fn clients_in(&self, region: &str) -> Clients {
        if region == self.own.region {
            return self.here.clone();
        }
        let config = self
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .build();
        Clients::new(&config)
    }
}
