//! Jobs in the catalog, and the executions that carry them.

use super::{Catalog, Item, item, key, string, value, was_done};
use crate::failure::Failure;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use holdfast_core::ids::JobId;
use holdfast_core::job::{Job, JobStatus, Progress};
use holdfast_core::recovery_point::RecoveryPoint;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What came of opening a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The job and its recovery point were written.
    Opened,
    /// A job of this occasion is there already.
    Found(Box<Job>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Execution {
    pub(super) job_id: JobId,
}

/// The sort key of an execution.
pub(super) const EXECUTION: &str = "EXECUTION";

pub(super) fn pk(job: &JobId) -> String {
    format!("JOB#{job}")
}

pub(super) fn execution_pk(execution_id: &str) -> String {
    format!("EXECUTION#{execution_id}")
}

impl Catalog {
    /// Writes a job, its recovery point and the execution that carries them, all or nothing, and has the plan looked
    /// after by retention.
    ///
    /// # Errors
    /// The call failed, or it met another write to the same records.
    pub async fn open_job(&self, job: &Job, point: &RecoveryPoint) -> Result<Opening, Failure> {
        let point = item(
            &super::recovery_points::pk(&point.plan_id),
            point.recovery_point_id.as_str(),
            point,
        )?;
        // From its first recovery point on, a plan is one that retention looks after.
        let registered = super::retention::retention_registry_item(&job.plan_id);
        self.open(job, vec![(point, true), (registered, false)]).await
    }

    /// Writes a job and the execution that carries it with what belongs to them, all or nothing. What is marked as new
    /// must not be there.
    ///
    /// # Errors
    /// The call failed, or it met another write to the same records.
    pub(super) async fn open(&self, job: &Job, beside: Vec<(Item, bool)>) -> Result<Opening, Failure> {
        let what = format!("opening {}", job.job_id);
        let mut job_item = item(&pk(&job.job_id), "JOB", job)?;
        job_item.insert(
            "job_day".to_owned(),
            string(job.created_at.strftime("%Y-%m-%d").to_string()),
        );
        let execution = Execution {
            job_id: job.job_id.clone(),
        };
        let execution = item(&execution_pk(&job.execution_id), EXECUTION, &execution)?;
        let mut transaction = self.client.transact_write_items();
        let items = [(job_item, true), (execution, true)].into_iter().chain(beside);
        for (item, is_new) in items {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .set_condition_expression(is_new.then(|| "attribute_not_exists(pk)".to_owned()))
                .build()
                .map_err(|error| Failure::permanent_from(what.clone(), error))?;
            transaction = transaction.transact_items(TransactWriteItem::builder().put(put).build());
        }
        match transaction.send().await {
            Ok(_) => Ok(Opening::Opened),
            Err(SdkError::ServiceError(context))
                if matches!(
                    context.err(),
                    TransactWriteItemsError::TransactionCanceledException(_)
                ) =>
            {
                match self.find_job(&job.job_id).await? {
                    Some(found) => Ok(Opening::Found(Box::new(found))),
                    None => Err(Failure::retryable(format!(
                        "{what}: another write to the same records is going on"
                    ))),
                }
            }
            Err(error) => Err(Failure::call(what, error)),
        }
    }

    /// The job of that id.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_job(&self, job_id: &JobId) -> Result<Option<Job>, Failure> {
        self.read(&format!("job {job_id}"), &pk(job_id), "JOB").await
    }

    /// The job that an execution opened, if it opened one.
    ///
    /// # Errors
    /// The call failed, or the record is not as it should be.
    pub async fn find_job_of_execution(&self, execution_id: &str) -> Result<Option<Job>, Failure> {
        let what = format!("execution {execution_id}");
        let execution: Option<Execution> = self.read(&what, &execution_pk(execution_id), EXECUTION).await?;
        match execution {
            Some(execution) => self.find_job(&execution.job_id).await,
            None => Ok(None),
        }
    }

    /// The job of that id, which a request names.
    ///
    /// # Errors
    /// As [`Catalog::find_job`], and for good if there is no such job.
    pub async fn job(&self, job_id: &JobId) -> Result<Job, Failure> {
        let found = self.find_job(job_id).await?;
        found.ok_or_else(|| Failure::permanent(format!("job_id: {job_id} is not in the catalog")))
    }

    /// Lets a job go over to `status`, saying what it came to where it ends. Gives the job as it stands afterwards,
    /// which is as it was where its status does not allow the change.
    ///
    /// # Errors
    /// The call failed, or there is no such job.
    pub async fn advance_job(
        &self,
        job_id: &JobId,
        status: JobStatus,
        message: Option<&str>,
        now: Timestamp,
    ) -> Result<Job, Failure> {
        let what = format!("setting {job_id} to {status}");
        let before: Vec<JobStatus> = JobStatus::before(status).collect();
        let names: Vec<String> = (0..before.len()).map(|index| format!(":before{index}")).collect();
        let mut set = "SET #status = :status, status_since = :now".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(job_id), "JOB")))
            .condition_expression(format!("#status IN ({})", names.join(", ")))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", value("status", &status)?)
            .expression_attribute_values(":now", value("status_since", &now)?);
        for (name, status) in names.into_iter().zip(&before) {
            update = update.expression_attribute_values(name, value("status", status)?);
        }
        if status.is_terminal() {
            set.push_str(", ended_at = :now");
        }
        if let Some(message) = message {
            set.push_str(", message = :message");
            update = update.expression_attribute_values(":message", string(message));
        }
        was_done(update.update_expression(set).send().await, || what)?;
        self.job(job_id).await
    }

    /// Writes down how far a job is, while it runs.
    ///
    /// # Errors
    /// The call failed.
    pub async fn record_progress(&self, job_id: &JobId, progress: Progress) -> Result<(), Failure> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(job_id), "JOB")))
            .update_expression("SET progress = :progress")
            .condition_expression("#status = :running")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":running", value("status", &JobStatus::Running)?)
            .expression_attribute_values(":progress", value("progress", &progress)?);
        was_done(update.send().await, || {
            format!("writing the progress of {job_id}")
        })
        .map(drop)
    }

    /// Writes down that an ended job's metrics and event were sent.
    ///
    /// # Errors
    /// The call failed.
    pub async fn record_report(&self, job_id: &JobId, now: Timestamp) -> Result<(), Failure> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&pk(job_id), "JOB")))
            .update_expression("SET reported_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", value("reported_at", &now)?)
            .send()
            .await
            .map_err(|error| Failure::call(format!("writing down the report of {job_id}"), error))?;
        Ok(())
    }
}
