//! The clock of an account: wall time with an offset, or frozen and moved by hand.

use jiff::{SignedDuration, Timestamp};

/// Every account has its own; nothing else in the simulator knows what time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// Wall time plus an offset.
    Real { offset: SignedDuration },
    /// Stands still until it is advanced.
    Frozen { now: Timestamp },
}

impl Default for Clock {
    fn default() -> Self {
        Self::Real {
            offset: SignedDuration::ZERO,
        }
    }
}

impl Clock {
    pub(crate) fn now(self, wall: Timestamp) -> Timestamp {
        match self {
            Self::Real { offset } => after(wall, offset),
            Self::Frozen { now } => now,
        }
    }

    pub(crate) fn advance(&mut self, by: SignedDuration) {
        match self {
            Self::Real { offset } => *offset = offset.saturating_add(by),
            Self::Frozen { now } => *now = after(*now, by),
        }
    }
}

/// `moment` and then `wait`, at most the end of time.
pub(crate) fn after(moment: Timestamp, wait: SignedDuration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(if wait.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Seconds from `earlier` to `later`; zero when the clock was put back in between.
pub(crate) fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}

/// A time as AWS writes it, with milliseconds.
pub(crate) fn iso(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

/// The one place that reads the machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulator is an edge: accounts derive their time from this"
)]
pub(crate) fn wall_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_when_frozen_and_moves_when_advanced() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut clock = Clock::Frozen { now: start };
        assert_eq!(clock.now(wall_now()), start);
        clock.advance(SignedDuration::from_secs(20));
        assert_eq!(iso(clock.now(wall_now())), "2026-01-01T00:00:20.000Z");
    }

    #[test]
    fn adds_its_offset_to_wall_time() {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut clock = Clock::default();
        clock.advance(SignedDuration::from_hours(1));
        assert_eq!(iso(clock.now(wall)), "2026-01-01T01:00:00.000Z");
    }
}
