//! What a call of apply-retention tells the world: one set of metrics.

use crate::report::NAMESPACE;
use holdfast_core::ids::PlanId;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Write;

/// What a call did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionCounts {
    /// Recovery points of which the last snapshot has gone.
    pub retired: u32,
    /// Snapshots that were deleted.
    pub deleted: u32,
    /// Snapshots that could not be deleted yet.
    pub deferred: u32,
}

/// Writes the metrics of a call that did something, in `CloudWatch`'s embedded metric format.
///
/// # Errors
/// The line could not be written.
pub fn write_retention_metrics(
    mut out: impl Write,
    plan: &PlanId,
    counts: RetentionCounts,
    now: Timestamp,
) -> std::io::Result<()> {
    if counts == RetentionCounts::default() {
        return Ok(());
    }
    writeln!(out, "{}", retention_metrics(plan, counts, now))
}

fn retention_metrics(plan: &PlanId, counts: RetentionCounts, now: Timestamp) -> Value {
    let metric = |name: &str| json!({"Name": name, "Unit": "Count"});
    json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[], ["PlanId"]],
                "Metrics": [
                    metric("RecoveryPointsRetired"),
                    metric("SnapshotsDeleted"),
                    metric("DeletionsDeferred"),
                ],
            }],
        },
        "PlanId": plan,
        "RecoveryPointsRetired": counts.retired,
        "SnapshotsDeleted": counts.deleted,
        "DeletionsDeferred": counts.deferred,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_did_nothing_says_nothing() {
        let plan = PlanId::try_from("nightly").unwrap();
        let written = |counts| {
            let mut out = Vec::new();
            write_retention_metrics(&mut out, &plan, counts, Timestamp::UNIX_EPOCH).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(RetentionCounts::default()), "");
        let line = written(RetentionCounts {
            deferred: 2,
            ..RetentionCounts::default()
        });
        assert!(line.contains(r#""DeletionsDeferred":2"#), "{line}");
    }
}
