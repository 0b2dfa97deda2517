//! The newest N points.

use super::forecast::Forecast;
use super::history::{History, Peers};
use jiff::{SignedDuration, Timestamp};

/// So many of the newest points tell the plan's rhythm.
const RHYTHM_POINTS: usize = 16;

/// *Newest N*: a point stays while fewer than N are newer.
pub(super) struct Newest {
    count: usize,
    rhythm: Option<Rhythm>,
}

impl Newest {
    pub(super) fn new(count: u32, rhythm: Option<Rhythm>) -> Self {
        Self {
            count: count as usize,
            rhythm,
        }
    }

    /// Whether it keeps these points, and until when as far as can be told.
    pub(super) fn keeps(&self, peers: &Peers) -> Option<Forecast> {
        let more = self
            .count
            .checked_sub(peers.places.start)
            .filter(|more| *more > 0)?;
        Some(Forecast::of(
            self.rhythm.and_then(|rhythm| rhythm.after_more(more)),
        ))
    }
}

/// How often points come.
#[derive(Clone, Copy)]
pub(super) struct Rhythm {
    last: Timestamp,
    interval: SignedDuration,
}

impl Rhythm {
    /// The median interval of the newest points; none with fewer than two, or where most stand for the same moment.
    pub(super) fn of(history: &History<'_>, now: Timestamp) -> Option<Self> {
        let newest: Vec<Timestamp> = history.moments().take(RHYTHM_POINTS).collect();
        let mut intervals: Vec<SignedDuration> = newest
            .windows(2)
            .map(|pair| pair[0].duration_since(pair[1]))
            .collect();
        intervals.sort_unstable();
        let interval = *intervals.get(intervals.len() / 2)?;
        if interval.is_zero() {
            return None;
        }
        // Where the plan has paused, the next point may come now but has not come before.
        let paused = now.checked_sub(interval).unwrap_or(Timestamp::MIN);
        let last = newest.first()?.max(&paused);
        Some(Self {
            last: *last,
            interval,
        })
    }

    /// When so many more points have come.
    fn after_more(self, points: usize) -> Option<Timestamp> {
        let wait = self.interval.checked_mul(i32::try_from(points).ok()?)?;
        self.last.checked_add(wait).ok()
    }
}
