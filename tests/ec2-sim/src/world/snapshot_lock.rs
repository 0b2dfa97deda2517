//! Locks on snapshots: what they forbid follows from the mode and the clock.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{after, seconds_between};
use crate::world::snapshot::Fate;
use crate::world::tier::in_days;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Who may take a lock off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMode {
    /// Whoever may unlock.
    Governance,
    /// After the cooling-off period, nobody.
    Compliance,
}

impl FromStr for LockMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "governance" => Ok(Self::Governance),
            "compliance" => Ok(Self::Compliance),
            _ => Err(()),
        }
    }
}

/// A lock at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockState {
    ComplianceCooloff,
    Governance,
    Compliance,
    /// It locks no more, but describes still tell of it.
    Expired,
}

impl LockState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ComplianceCooloff => "compliance-cooloff",
            Self::Governance => "governance",
            Self::Compliance => "compliance",
            Self::Expired => "expired",
        }
    }
}

/// How long a lock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    Days(u32),
    Until(Timestamp),
}

/// A snapshot's lock.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) mode: LockMode,
    pub(crate) term: Term,
    /// When the snapshot was locked first.
    pub(crate) created_at: Timestamp,
    /// When the term was last set.
    pub(crate) set_at: Timestamp,
    /// Hours in which a compliance lock can still be taken off.
    pub(crate) cool_off_hours: Option<u32>,
}

impl Lock {
    /// When the term begins. A snapshot that is pending starts it by its completion: none while nobody knows when
    /// that will be.
    pub(crate) fn starts_at(&self, fate: &Fate) -> Option<Timestamp> {
        match fate {
            Fate::Completes(at) => Some(self.set_at.max(*at)),
            Fate::Fails { .. } => Some(self.set_at),
            Fate::Held | Fate::Uploading { .. } => None,
        }
    }

    pub(crate) fn expires_at(&self, fate: &Fate) -> Option<Timestamp> {
        match self.term {
            Term::Until(end) => Some(end),
            Term::Days(days) => self.starts_at(fate).map(|start| after(start, in_days(days))),
        }
    }

    pub(crate) fn cool_off_ends_at(&self) -> Option<Timestamp> {
        self.cool_off_hours
            .map(|hours| after(self.set_at, SignedDuration::from_hours(hours.into())))
    }

    /// The term in days; a part of a day counts as one.
    pub(crate) fn days(&self) -> f64 {
        match self.term {
            Term::Days(days) => days.into(),
            Term::Until(end) => (seconds_between(self.set_at, end) / SECONDS_PER_DAY).ceil(),
        }
    }

    pub(crate) fn state(&self, fate: &Fate, now: Timestamp) -> LockState {
        if self.expires_at(fate).is_some_and(|end| now >= end) {
            return LockState::Expired;
        }
        match self.mode {
            LockMode::Governance => LockState::Governance,
            LockMode::Compliance if self.cool_off_ends_at().is_some_and(|end| now < end) => {
                LockState::ComplianceCooloff
            }
            LockMode::Compliance => LockState::Compliance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(count: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(count)
    }

    fn lock(mode: LockMode, cool_off_hours: Option<u32>) -> Lock {
        Lock {
            mode,
            term: Term::Days(2),
            created_at: hours(0),
            set_at: hours(0),
            cool_off_hours,
        }
    }

    #[test]
    fn cools_off_then_holds_then_expires() {
        let lock = lock(LockMode::Compliance, Some(3));
        let states = [0, 2, 3, 47, 48].map(|at| lock.state(&Fate::Completes(hours(0)), hours(at)));
        let expected = [
            LockState::ComplianceCooloff,
            LockState::ComplianceCooloff,
            LockState::Compliance,
            LockState::Compliance,
            LockState::Expired,
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn counts_from_the_completion_of_a_pending_snapshot() {
        let lock = lock(LockMode::Governance, None);
        assert_eq!(lock.expires_at(&Fate::Completes(hours(5))), Some(hours(53)));
        assert_eq!(lock.expires_at(&Fate::Held), None);
        assert_eq!(lock.state(&Fate::Held, hours(1_000)), LockState::Governance);
    }
}
