//! The log of an account's calls.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::iso;

/// One call, once it has an outcome.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) time: Timestamp,
    pub(crate) region: String,
    pub(crate) action: String,
    pub(crate) principal: String,
    /// The ids among its parameters.
    pub(crate) ids: Vec<String>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Throttled { code: String },
    Error { code: String },
}

impl Outcome {
    fn word(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Throttled { code } | Self::Error { code } => code,
        }
    }
}

/// Calls in the order of their outcomes; the first has number 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLog {
    calls: Vec<Call>,
}

#[derive(Debug, Default, Serialize)]
struct Tally {
    calls: usize,
    throttled: usize,
    errors: usize,
}

impl CallLog {
    pub(crate) fn push(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Calls after number `since`, `limit` of them at most.
    pub(crate) fn list(&self, since: usize, limit: usize) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .enumerate()
            .skip(since)
            .take(limit)
            .map(|(index, call)| {
                json!({
                    "seq": index + 1,
                    "time": iso(call.time),
                    "region": call.region,
                    "action": call.action,
                    "principal": call.principal,
                    "ids": call.ids,
                    "outcome": call.outcome.word(),
                })
            })
            .collect();
        let next = since.min(self.calls.len()) + calls.len();
        json!({ "calls": calls, "next": next })
    }

    /// Counts of the calls after number `since`. Throttled calls are not counted as errors.
    pub(crate) fn summary(&self, since: usize) -> Value {
        let calls = self.calls.get(since..).unwrap_or_default();
        let mut by_action: BTreeMap<&str, Tally> = BTreeMap::new();
        for call in calls {
            let tally = by_action.entry(&call.action).or_default();
            tally.calls += 1;
            match call.outcome {
                Outcome::Ok => {}
                Outcome::Throttled { .. } => tally.throttled += 1,
                Outcome::Error { .. } => tally.errors += 1,
            }
        }
        json!({
            "total": calls.len(),
            "throttled": by_action.values().map(|tally| tally.throttled).sum::<usize>(),
            "by_action": by_action,
            "first": calls.iter().map(|call| call.time).min().map(iso),
            "last": calls.iter().map(|call| call.time).max().map(iso),
            "last_seq": self.calls.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str, outcome: Outcome) -> Call {
        Call {
            time: Timestamp::UNIX_EPOCH,
            region: "us-east-1".to_owned(),
            action: action.to_owned(),
            principal: String::new(),
            ids: Vec::new(),
            outcome,
        }
    }

    #[test]
    fn counts_what_came_after_a_number() {
        let mut log = CallLog::default();
        log.push(call("A", Outcome::Ok));
        log.push(call(
            "A",
            Outcome::Throttled {
                code: "RequestLimitExceeded".to_owned(),
            },
        ));
        log.push(call(
            "B",
            Outcome::Error {
                code: "Boom".to_owned(),
            },
        ));
        let summary = log.summary(1);
        assert_eq!(summary["total"], 2);
        assert_eq!(summary["throttled"], 1);
        assert_eq!(summary["by_action"]["B"]["errors"], 1);
        assert_eq!(summary["last_seq"], 3);
        let page = log.list(1, 1);
        assert_eq!(page["calls"][0]["seq"], 2);
        assert_eq!(page["calls"][0]["outcome"], "RequestLimitExceeded");
        assert_eq!(page["next"], 2);
    }
}
