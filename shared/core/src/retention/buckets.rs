//! One point for each of the newest hours, days, weeks, months or years that have one.

use super::Standing;
use super::calendar::{Clock, Stretch, Unit, second_of, start_of_coming};
use super::forecast::Forecast;
use super::history::Peers;
use jiff::{Timestamp, tz::TimeZone};

/// *Newest per hour, day, week, month or year, for N of them*. A bucket without points is no bucket.
pub(super) struct NewestBuckets<'a> {
    unit: Unit,
    count: usize,
    zone: &'a TimeZone,
    now: Timestamp,
    stretch: Stretch,
    /// The newest buckets so far, newest first, at most `count`.
    buckets: Vec<Bucket>,
}

struct Bucket {
    number: i64,
    /// The points that stay: of the best standing, then the newest.
    best: Peers,
}

impl<'a> NewestBuckets<'a> {
    pub(super) fn new(unit: Unit, count: u32, zone: &'a TimeZone, now: Timestamp) -> Self {
        let nowhere = Stretch {
            bucket: 0,
            from: i64::MAX,
        };
        Self {
            unit,
            count: count as usize,
            zone,
            now,
            stretch: nowhere,
            buckets: Vec::new(),
        }
    }

    /// Takes the next points, which are not newer than those before.
    pub(super) fn take(&mut self, peers: &Peers, clock: &mut Clock<'_>) {
        if second_of(peers.moment) < self.stretch.from {
            self.stretch = clock.stretch(self.unit, peers.moment);
        }
        let number = self.stretch.bucket;
        // Nearly always the last one. Where clocks were set back over midnight, a day comes in two pieces.
        let place = match self.buckets.last() {
            Some(last) if last.number == number => Ok(self.buckets.len() - 1),
            Some(last) if last.number > number => Err(self.buckets.len()),
            _ => self.buckets.binary_search_by(|bucket| number.cmp(&bucket.number)),
        };
        match place {
            Ok(place) => {
                let best = &mut self.buckets[place].best;
                if peers.standing == Standing::Completed && best.standing != Standing::Completed {
                    *best = peers.clone();
                }
            }
            Err(place) if place < self.count => {
                let best = peers.clone();
                self.buckets.insert(place, Bucket { number, best });
                self.buckets.truncate(self.count);
            }
            Err(_) => {}
        }
    }

    /// The points that stay, and until when as far as can be told.
    pub(super) fn best(&self) -> impl Iterator<Item = (&Peers, Forecast)> {
        let newest = self.buckets.first().map_or(0, |bucket| bucket.number);
        (0..).zip(&self.buckets).map(move |(rank, bucket)| {
            let more = u32::try_from(self.count - rank).ok();
            let end = more.and_then(|more| start_of_coming(self.unit, self.zone, newest, self.now, more));
            (&bucket.best, Forecast::of(end))
        })
    }
}
