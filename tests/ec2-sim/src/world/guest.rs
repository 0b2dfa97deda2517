//! What runs inside instances, as Systems Manager sees it: commands, and the answers that a test planted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::clock::after;
use crate::settings::seconds;

/// The guests of a region.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    /// The answers of single instances, by id.
    pub(crate) answers: BTreeMap<String, Answer>,
    /// The answer of all others.
    pub(crate) any: Option<Answer>,
    /// What was sent, by the command's id.
    pub(crate) commands: BTreeMap<String, BTreeMap<String, Invocation>>,
}

/// How a guest answers every command from now on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: AnswerStatus,
    pub(crate) output: String,
    pub(crate) after_seconds: f64,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum AnswerStatus {
    #[default]
    Success,
    Failed,
    TimedOut,
}

/// A command on one instance.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) document: String,
    pub(crate) parameters: serde_json::Value,
    status: AnswerStatus,
    output: String,
    sent_at: Timestamp,
    ends_at: Timestamp,
}

impl Guests {
    /// Sends a command to an instance that is there to take it.
    pub(crate) fn invoke(
        &self,
        instance: &str,
        document: &str,
        parameters: &serde_json::Value,
        now: Timestamp,
    ) -> Invocation {
        let answer = self.answers.get(instance).or(self.any.as_ref());
        let wait = seconds(answer.map_or(0.0, |answer| answer.after_seconds));
        Invocation {
            document: document.to_owned(),
            parameters: parameters.clone(),
            status: answer.map(|answer| answer.status).unwrap_or_default(),
            output: answer.map(|answer| answer.output.clone()).unwrap_or_default(),
            sent_at: now,
            ends_at: after(now, wait),
        }
    }
}

impl Invocation {
    /// The state in the words of Systems Manager.
    pub(crate) fn word(&self, now: Timestamp) -> &'static str {
        if now >= self.ends_at {
            return match self.status {
                AnswerStatus::Success => "Success",
                AnswerStatus::Failed => "Failed",
                AnswerStatus::TimedOut => "TimedOut",
            };
        }
        if now <= self.sent_at {
            "Pending"
        } else {
            "InProgress"
        }
    }

    /// What it wrote, once it has ended.
    pub(crate) fn output(&self, now: Timestamp) -> &str {
        if now >= self.ends_at { &self.output } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_a_test_planted_and_else_with_success() {
        let now = Timestamp::UNIX_EPOCH;
        let mut guests = Guests::default();
        let at = |guests: &Guests, instance, passed| {
            let sent = guests.invoke(instance, "doc", &serde_json::Value::Null, now);
            sent.word(after(now, seconds(passed)))
        };
        assert_eq!(at(&guests, "i-1", 0.0), "Success");
        guests.any = Some(Answer {
            status: AnswerStatus::TimedOut,
            after_seconds: 10.0,
            ..Answer::default()
        });
        let own = Answer {
            status: AnswerStatus::Failed,
            ..Answer::default()
        };
        guests.answers.insert("i-2".to_owned(), own);
        assert_eq!(at(&guests, "i-1", 0.0), "Pending");
        assert_eq!(at(&guests, "i-1", 5.0), "InProgress");
        assert_eq!(at(&guests, "i-1", 10.0), "TimedOut");
        assert_eq!(at(&guests, "i-2", 0.0), "Failed");
    }
}
