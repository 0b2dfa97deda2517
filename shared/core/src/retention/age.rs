//! Everything younger than an age.

use super::calendar::{Clock, Unit, second_of};
use super::forecast::Forecast;
use crate::retention_rule::parse_age;
use jiff::{SignedDuration, Span, Timestamp, tz::TimeZone};

/// *Younger than an age*: a point stays while its moment is later than now minus the age.
pub(super) struct YoungerThan<'a> {
    age: Span,
    zone: &'a TimeZone,
    /// Now minus the age.
    cutoff: Timestamp,
    day: Day,
}

/// A day whose moments all grow as old in the same time.
struct Day {
    from: i64,
    life: SignedDuration,
}

impl<'a> YoungerThan<'a> {
    /// # Errors
    /// What is wrong with the age.
    pub(super) fn new(age: &str, zone: &'a TimeZone, now: Timestamp) -> Result<Self, String> {
        let span = parse_age(age)?;
        let cutoff = now
            .to_zoned_datetime(zone.clone())
            .checked_sub(span)
            .map_err(|_| format!("{age:?} before {now} cannot be told"))?
            .timestamp();
        let nowhere = Day {
            from: i64::MAX,
            life: SignedDuration::ZERO,
        };
        Ok(Self {
            age: span,
            zone,
            cutoff,
            day: nowhere,
        })
    }

    /// Whether it keeps a point of this moment, and until when as far as can be told. Moments come newest first.
    pub(super) fn keeps(&mut self, moment: Timestamp, clock: &mut Clock<'_>) -> Option<Forecast> {
        (moment > self.cutoff).then(|| Forecast::of(self.end(moment, clock)))
    }

    fn end(&mut self, moment: Timestamp, clock: &mut Clock<'_>) -> Option<Timestamp> {
        if second_of(moment) >= self.day.from {
            return moment.checked_add(self.day.life).ok();
        }
        let end = moment
            .to_zoned_datetime(self.zone.clone())
            .checked_add(self.age)
            .ok()?
            .timestamp();
        // Near a change of the clocks, each moment is reckoned for itself.
        let two_days = SignedDuration::from_hours(48);
        let changes = self
            .zone
            .following(end.checked_sub(two_days).ok()?)
            .next()
            .is_some_and(|change| change.timestamp() < end.checked_add(two_days).unwrap_or(Timestamp::MAX));
        if !changes {
            self.day = Day {
                from: clock.stretch(Unit::Day, moment).from,
                life: end.duration_since(moment),
            };
        }
        Some(end)
    }
}
