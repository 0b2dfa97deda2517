//! Faults that a test plants: the n-th call of an action, or a share of calls, goes wrong.

use std::time::Duration;

use serde::Deserialize;

use crate::params::Params;
use crate::random::SplitMix;

/// What happens to a call that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// Refused with the fault's code, message and status; nothing is applied.
    Error,
    /// Refused as by an empty bucket; nothing is applied.
    Throttle,
    /// Applied after a wait of real seconds.
    Delay,
    /// Applied, and the connection closed without an answer.
    LoseReply,
}

/// A fault as a test states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultRequest {
    action: String,
    kind: FaultKind,
    #[serde(default = "one")]
    nth: u64,
    #[serde(default = "one")]
    times: u64,
    share: Option<f64>,
    #[serde(default)]
    seed: u64,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    seconds: f64,
    #[serde(rename = "match")]
    mention: Option<String>,
}

fn one() -> u64 {
    1
}

/// What the planted faults do to one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Effect {
    pub(crate) delay: Duration,
    pub(crate) lose_reply: bool,
    pub(crate) refusal: Option<Refusal>,
}

/// Why a call is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttled,
    Error {
        code: String,
        message: String,
        status: u16,
    },
}

#[derive(Debug, Clone)]
struct Fault {
    request: FaultRequest,
    random: SplitMix,
    seen: u64,
}

/// All faults of an account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    planted: Vec<Fault>,
    last_id: u64,
}

impl Faults {
    pub(crate) fn plant(&mut self, request: FaultRequest) -> u64 {
        self.last_id += 1;
        let random = SplitMix::new(request.seed);
        self.planted.push(Fault {
            request,
            random,
            seen: 0,
        });
        self.last_id
    }

    pub(crate) fn clear(&mut self) {
        self.planted.clear();
    }

    /// Every fault counts the call; delays add up, and of the others the first planted wins.
    pub(crate) fn strike(&mut self, action: &str, params: &Params) -> Effect {
        let mut effect = Effect::default();
        for fault in &mut self.planted {
            if !fault.hits(action, params) {
                continue;
            }
            let request = &fault.request;
            match request.kind {
                FaultKind::Delay => {
                    effect.delay += Duration::try_from_secs_f64(request.seconds).unwrap_or_default();
                }
                FaultKind::LoseReply => effect.lose_reply = true,
                FaultKind::Throttle => {
                    effect.refusal.get_or_insert(Refusal::Throttled);
                }
                FaultKind::Error => {
                    effect.refusal.get_or_insert_with(|| request.refusal());
                }
            }
        }
        effect
    }
}

impl Fault {
    fn hits(&mut self, action: &str, params: &Params) -> bool {
        let request = &self.request;
        let matches = (request.action == "*" || request.action == action)
            && request.mention.as_ref().is_none_or(|text| params.mention(text));
        if !matches {
            return false;
        }
        self.seen += 1;
        match request.share {
            Some(share) => self.random.fraction() < share,
            None => self.seen >= request.nth && self.seen - request.nth < request.times,
        }
    }
}

/// Most refusals are the caller's fault; these are EC2's, as AWS has it.
fn usual_status(code: Option<&str>) -> u16 {
    match code {
        None
        | Some(
            "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InternalError" | "InternalFailure",
        ) => 500,
        Some("Unavailable" | "ServiceUnavailable") => 503,
        Some(_) => 400,
    }
}

impl FaultRequest {
    fn refusal(&self) -> Refusal {
        Refusal::Error {
            code: self.code.clone().unwrap_or_else(|| "InternalError".to_owned()),
            message: self
                .message
                .clone()
                .unwrap_or_else(|| "An internal error has occurred".to_owned()),
            status: self.status.unwrap_or_else(|| usual_status(self.code.as_deref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(value: serde_json::Value) -> FaultRequest {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn hits_the_nth_matching_call_and_the_times_after() {
        let mut faults = Faults::default();
        faults.plant(fault(json!({
            "action": "CreateTags", "kind": "error", "nth": 2, "times": 2, "code": "Boom", "match": "i-0a"
        })));
        let with = Params::from_form(b"ResourceId.1=i-0a");
        let hit = |faults: &mut Faults, action: &str, params: &Params| {
            faults.strike(action, params).refusal.is_some()
        };
        assert!(!hit(&mut faults, "CreateTags", &with));
        assert!(!hit(&mut faults, "CreateTags", &Params::default()));
        assert!(!hit(&mut faults, "DeleteTags", &with));
        assert!(hit(&mut faults, "CreateTags", &with));
        assert!(hit(&mut faults, "CreateTags", &with));
        assert!(!hit(&mut faults, "CreateTags", &with));
    }

    #[test]
    fn throttles_the_same_share_of_calls_with_the_same_seed() {
        let hits = |seed| {
            let mut faults = Faults::default();
            faults.plant(fault(
                json!({"action": "*", "kind": "throttle", "share": 0.3, "seed": seed}),
            ));
            (0..1000)
                .map(|_| faults.strike("Any", &Params::default()).refusal.is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        let share = hits(7).into_iter().filter(|hit| *hit).count();
        assert!((250..350).contains(&share), "{share}");
    }

    #[test]
    fn refuses_a_fault_with_an_unknown_field() {
        let error =
            serde_json::from_value::<FaultRequest>(json!({"action": "*", "kind": "delay", "second": 2}));
        assert!(error.is_err());
    }
}
