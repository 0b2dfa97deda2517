//! Jobs: one run of something, and the statuses it goes through.

use crate::ids::{JobId, PlanId, RecoveryPointId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a job stands. The nine statuses of AWS Backup, with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Written down; nothing has been done.
    Created,
    /// Waiting for a place. Reached by jobs that queue: copy jobs.
    Pending,
    /// At work.
    Running,
    /// Somebody asked it to stop; it is putting things in order.
    Aborting,
    /// Stopped on request.
    Aborted,
    /// Everything it was for is done.
    Completed,
    /// Nothing it was for is done.
    Failed,
    /// It could not start inside its backup window. Reached by plans with a window.
    Expired,
    /// Some of what it was for is done; the record says what is not, and why.
    Partial,
}

impl JobStatus {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Pending,
        Self::Running,
        Self::Aborting,
        Self::Aborted,
        Self::Completed,
        Self::Failed,
        Self::Expired,
        Self::Partial,
    ];

    /// Whether the job has ended. An ended job never changes its status again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Aborted | Self::Completed | Self::Failed | Self::Expired | Self::Partial
        )
    }

    /// Whether a job may go from this status to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Created => matches!(
                next,
                Self::Pending | Self::Running | Self::Aborting | Self::Failed | Self::Expired | Self::Aborted
            ),
            Self::Pending => {
                matches!(
                    next,
                    Self::Running | Self::Aborting | Self::Failed | Self::Expired | Self::Aborted
                )
            }
            Self::Running => {
                matches!(
                    next,
                    Self::Aborting | Self::Aborted | Self::Completed | Self::Failed | Self::Partial
                )
            }
            // What cannot be taken back any more is brought to its end.
            Self::Aborting => {
                matches!(
                    next,
                    Self::Aborted | Self::Failed | Self::Completed | Self::Partial
                )
            }
            Self::Aborted | Self::Completed | Self::Failed | Self::Expired | Self::Partial => false,
        }
    }

    /// The statuses from which a job may become `next`: what a conditional write asks for.
    pub fn before(next: Self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |status| status.may_become(next))
    }

    /// The status as records, events and messages write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Aborting => "ABORTING",
            Self::Aborted => "ABORTED",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Partial => "PARTIAL",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a job is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// It takes a recovery point.
    #[default]
    Backup,
    /// It gives resources of a recovery point back.
    Restore,
}

/// One run of a backup or of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// What it is for.
    #[serde(default)]
    pub kind: JobKind,
    /// Its status.
    pub status: JobStatus,
    /// Since when it has that status.
    pub status_since: Timestamp,
    /// The plan it runs.
    pub plan_id: PlanId,
    /// The recovery point it makes, or restores from.
    pub recovery_point_id: RecoveryPointId,
    /// The state machine execution that carries it.
    pub execution_id: String,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How far its snapshots are.
    #[serde(default)]
    pub progress: Progress,
    /// What it came to; set when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When its metrics and event were sent; none while they are owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
}

/// How far a job's snapshots are, counted over the whole recovery point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Snapshots that were started.
    pub started: u32,
    /// Snapshots that are complete.
    pub completed: u32,
    /// Snapshots that ended in `error` or are not there any more.
    pub failed: u32,
    /// The mean progress of all of them, 0 to 100.
    pub percent: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_job_never_changes() {
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            assert!(
                JobStatus::ALL.into_iter().all(|next| !status.may_become(next)),
                "{status}"
            );
        }
    }

    #[test]
    fn every_job_can_end_and_none_can_go_back_to_created() {
        for status in JobStatus::ALL.into_iter().filter(|status| !status.is_terminal()) {
            assert!(
                JobStatus::ALL
                    .into_iter()
                    .any(|next| next.is_terminal() && status.may_become(next)),
                "{status}"
            );
            assert!(!status.may_become(JobStatus::Created));
        }
    }

    #[test]
    fn a_status_is_written_as_it_is_read() {
        for status in JobStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
