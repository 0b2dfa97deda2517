//! Closing a job: what each backup came to, and what the job came to.

use crate::backup::{Backup, BackupStatus};
use crate::copying::CopyJob;
use crate::ids::{InstanceId, SnapshotId};
use crate::job::JobStatus;
use crate::polling::SnapshotState;
use crate::recovery_point::{ConsistencyGrade, Outcome};
use jiff::Timestamp;

/// What EC2 says of a snapshot when its job is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotVerdict {
    /// Its state.
    pub state: SnapshotState,
    /// EC2's reason, for one that failed.
    pub message: Option<String>,
}

/// How the work of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every step was done.
    Finished,
    /// A step failed for good, or the execution timed out.
    Broken {
        /// What is known of why.
        cause: String,
    },
    /// Somebody stopped the execution.
    Stopped,
}

/// Decides what a backup came to. One that has ended before stays as it is.
///
/// # Errors
/// Why the backup cannot be recovered.
pub fn judge_backup(
    backup: &Backup,
    ending: &Ending,
    verdict: impl Fn(&SnapshotId) -> Option<SnapshotVerdict>,
) -> Result<(), String> {
    match backup.status {
        BackupStatus::Completed => return Ok(()),
        BackupStatus::Failed => return Err(backup.reason.clone().unwrap_or_default()),
        BackupStatus::Intended | BackupStatus::Prepared => {
            return Err(match ending {
                Ending::Finished => "its snapshots were not started".to_owned(),
                Ending::Broken { .. } => "the job failed before its snapshots were recorded".to_owned(),
                Ending::Stopped => "the job was stopped before its snapshots were recorded".to_owned(),
            });
        }
        BackupStatus::Started => {}
    }
    let problems: Vec<String> = backup
        .snapshots
        .iter()
        .filter_map(|snapshot| {
            let what = match verdict(&snapshot.snapshot_id) {
                Some(SnapshotVerdict {
                    state: SnapshotState::Completed,
                    ..
                }) => return None,
                Some(SnapshotVerdict {
                    state: SnapshotState::Error,
                    message,
                }) => {
                    format!(
                        "ended in error: {}",
                        message.as_deref().unwrap_or("EC2 gives no reason")
                    )
                }
                Some(SnapshotVerdict {
                    state: SnapshotState::Pending,
                    ..
                }) => match ending {
                    Ending::Finished => "was still pending at the plan's deadline".to_owned(),
                    Ending::Broken { .. } | Ending::Stopped => {
                        "was still pending when the job ended".to_owned()
                    }
                },
                None => "is not there any more".to_owned(),
            };
            Some(format!(
                "{} of {} {what}",
                snapshot.snapshot_id, snapshot.volume_id
            ))
        })
        .collect();
    if backup.snapshots.is_empty() {
        Err("it has no snapshot".to_owned())
    } else if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}

/// Adds backups up, one at a time, to what their recovery point came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reckoning {
    completed: u32,
    failed: u32,
    snapshots: u32,
    size_gib: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    first_failures: Vec<String>,
    with_notes: usize,
    first_note: Option<String>,
    replicas: u32,
    replica_problems: Vec<String>,
}

/// How many failed resources a job's message names. The rest is in the catalog.
const NAMED_FAILURES: usize = 10;

impl Reckoning {
    /// Counts a backup that can be recovered.
    pub fn count_completed(&mut self, backup: &Backup) {
        self.completed += 1;
        if let Some(note) = backup.notes.first() {
            self.with_notes += 1;
            self.first_note
                .get_or_insert_with(|| format!("{}: {note}", backup.resource_id));
        }
        for snapshot in &backup.snapshots {
            self.snapshots += 1;
            self.size_gib += u64::try_from(snapshot.size_gib).unwrap_or(0);
            self.oldest = Some(
                self.oldest
                    .map_or(snapshot.started_at, |oldest| oldest.min(snapshot.started_at)),
            );
            self.newest = self.newest.max(Some(snapshot.started_at));
        }
    }

    /// Counts a backup that cannot be recovered.
    pub fn count_failed(&mut self, resource: &InstanceId, reason: &str) {
        self.failed += 1;
        if self.first_failures.len() < NAMED_FAILURES {
            self.first_failures.push(format!("{resource}: {reason}"));
        }
    }

    /// Counts a destination of the plan's copies: `None` where they never began.
    pub fn count_replica(&mut self, region: &str, copies: Option<&CopyJob>) {
        self.replicas += 1;
        let problem = match copies {
            Some(copies) if copies.status == JobStatus::Completed => return,
            Some(copies) => format!(
                "{} {}: {}",
                copies.destination,
                copies.status,
                copies.message.as_deref().unwrap_or("its copies have not ended")
            ),
            None => format!("{region}: nothing was copied"),
        };
        self.replica_problems.push(problem);
    }

    /// What the recovery point came to.
    #[must_use]
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        Outcome {
            completed: self.completed,
            failed: self.failed,
            snapshots: self.snapshots,
            size_gib: self.size_gib,
            stack_skew_ms: self
                .oldest
                .zip(self.newest)
                .map(|(oldest, newest)| newest.as_millisecond() - oldest.as_millisecond()),
            consistency: (self.completed > 0).then_some(ConsistencyGrade::Crash),
            ended_at: now,
        }
    }

    /// Decides how the job ends and what its record says of it.
    #[must_use]
    pub fn decide_end(&self, ending: &Ending) -> (JobStatus, String) {
        let total = self.completed + self.failed;
        let mut message = if total == 0 {
            "nothing was backed up: the plan selected no running or stopped instance".to_owned()
        } else {
            format!("{} of {total} instances backed up", self.completed)
        };
        let status = match ending {
            Ending::Stopped => JobStatus::Aborted,
            Ending::Finished
                if self.failed == 0 && self.completed > 0 && self.replica_problems.is_empty() =>
            {
                JobStatus::Completed
            }
            Ending::Finished | Ending::Broken { .. } if self.completed > 0 => JobStatus::Partial,
            Ending::Finished | Ending::Broken { .. } => JobStatus::Failed,
        };
        match ending {
            Ending::Finished => {}
            Ending::Broken { cause } if total == 0 => message.clone_from(cause),
            Ending::Broken { cause } => message = format!("{message}; {cause}"),
            Ending::Stopped => message = format!("the execution was stopped; {message}"),
        }
        if !self.first_failures.is_empty() {
            message = format!("{message}. {}", self.first_failures.join(". "));
            let unnamed = self.failed as usize - self.first_failures.len();
            if unnamed > 0 {
                message = format!("{message}. And {unnamed} more");
            }
        }
        if self.replicas > 0 && self.completed > 0 {
            let good = self.replicas as usize - self.replica_problems.len();
            message = format!("{message}. {good} of {} replicas made", self.replicas);
            if !self.replica_problems.is_empty() {
                message = format!("{message}. {}", self.replica_problems.join(". "));
            }
        }
        if let Some(note) = &self.first_note {
            message = format!(
                "{message}. Backups with a note: {}, such as {note}",
                self.with_notes
            );
        }
        (status, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::BackupSnapshot;
    use crate::ids::{InstanceId, Occasion, PlanId, VolumeId, derive_run_ids};
    use rstest::rstest;

    fn now() -> Timestamp {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    fn backup(n: u32, status: BackupStatus) -> Backup {
        let plan = PlanId::try_from("nightly").unwrap();
        let (job, point) = derive_run_ids(&plan, &Occasion::Slot(now()));
        let resource = InstanceId::try_from(format!("i-{n:017x}")).unwrap();
        let mut backup = Backup::intend(&point, &plan, &job, &resource, Some(0));
        backup.status = status;
        backup.snapshots = (0..2)
            .map(|index| BackupSnapshot {
                snapshot_id: SnapshotId::try_from(format!("snap-{:017x}", n * 10 + index)).unwrap(),
                volume_id: VolumeId::try_from(format!("vol-{:017x}", n * 10 + index)).unwrap(),
                started_at: now() + jiff::SignedDuration::from_millis(i64::from(n) * 250),
                size_gib: 8,
                encrypted: false,
            })
            .collect();
        backup
    }

    const COMPLETED: SnapshotVerdict = SnapshotVerdict {
        state: SnapshotState::Completed,
        message: None,
    };

    #[rstest]
    #[case(SnapshotState::Error, "ended in error: Client.X")]
    #[case(SnapshotState::Pending, "still pending at the plan's deadline")]
    fn one_bad_snapshot_fails_the_backup_and_is_named(#[case] state: SnapshotState, #[case] wanted: &str) {
        let backup = backup(1, BackupStatus::Started);
        let bad = backup.snapshots[1].snapshot_id.clone();
        let reason = judge_backup(&backup, &Ending::Finished, |id| {
            if *id == bad {
                Some(SnapshotVerdict {
                    state,
                    message: Some("Client.X".to_owned()),
                })
            } else {
                Some(COMPLETED)
            }
        })
        .unwrap_err();
        assert!(
            reason.contains(wanted) && reason.contains(bad.as_str()),
            "{reason}"
        );
    }

    #[test]
    fn a_vanished_snapshot_fails_the_backup() {
        let reason =
            judge_backup(&backup(1, BackupStatus::Started), &Ending::Finished, |_| None).unwrap_err();
        assert!(reason.contains("is not there any more"));
    }

    #[test]
    fn judging_again_changes_nothing() {
        assert_eq!(
            judge_backup(&backup(1, BackupStatus::Completed), &Ending::Finished, |_| None),
            Ok(())
        );
        let failed = backup(1, BackupStatus::Started).failed("why");
        assert_eq!(
            judge_backup(&failed, &Ending::Finished, |_| Some(COMPLETED)),
            Err("why".to_owned())
        );
    }

    #[rstest]
    #[case(2, 0, Ending::Finished, JobStatus::Completed)]
    #[case(1, 1, Ending::Finished, JobStatus::Partial)]
    #[case(0, 2, Ending::Finished, JobStatus::Failed)]
    #[case(0, 0, Ending::Finished, JobStatus::Failed)]
    #[case(2, 0, Ending::Broken { cause: "x".to_owned() }, JobStatus::Partial)]
    #[case(0, 1, Ending::Broken { cause: "x".to_owned() }, JobStatus::Failed)]
    #[case(0, 0, Ending::Broken { cause: "x".to_owned() }, JobStatus::Failed)]
    #[case(2, 0, Ending::Stopped, JobStatus::Aborted)]
    fn partial_is_honest(
        #[case] good: u32,
        #[case] bad: u32,
        #[case] ending: Ending,
        #[case] wanted: JobStatus,
    ) {
        let mut reckoning = Reckoning::default();
        (0..good).for_each(|n| reckoning.count_completed(&backup(n, BackupStatus::Started)));
        (0..bad).for_each(|n| {
            reckoning.count_failed(&backup(n + good, BackupStatus::Started).resource_id, "why");
        });
        let (status, message) = reckoning.decide_end(&ending);
        assert_eq!(status, wanted, "{message}");
        assert_eq!(bad > 0, message.contains("why"), "{message}");
    }

    #[test]
    fn measures_the_stack_skew_over_good_backups_only() {
        let mut reckoning = Reckoning::default();
        reckoning.count_completed(&backup(1, BackupStatus::Started));
        reckoning.count_completed(&backup(4, BackupStatus::Started));
        reckoning.count_failed(&backup(40, BackupStatus::Started).resource_id, "why");
        let outcome = reckoning.outcome(now());
        assert_eq!(
            (outcome.stack_skew_ms, outcome.snapshots, outcome.size_gib),
            (Some(750), 4, 32)
        );
        assert_eq!(outcome.consistency, Some(ConsistencyGrade::Crash));
        assert_eq!(Reckoning::default().outcome(now()).stack_skew_ms, None);
    }
}
