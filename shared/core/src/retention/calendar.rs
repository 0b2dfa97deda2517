//! Hours, days, weeks, months and years of a time zone, without a conversion for every point.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// What a bucket is as long as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Hour,
    Day,
    /// From Monday to Sunday, as ISO 8601 has it.
    Week,
    Month,
    Year,
}

/// A stretch of time in which all moments belong to the same bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The bucket; a later one has a greater number. An hour is known by the second in which it begins, anything
    /// longer by the day, counted from 1970-01-01.
    pub(super) bucket: i64,
    /// The first second of the stretch. The bucket may have begun before, while clocks were set differently.
    pub(super) from: i64,
}

/// What the clocks of a zone show, for someone who goes back in time.
pub(super) struct Clock<'a> {
    zone: &'a TimeZone,
    offset: Offset,
    /// The second since which clocks have been set so.
    from: i64,
    /// The first second that is not known to have this offset.
    until: i64,
}

impl<'a> Clock<'a> {
    pub(super) fn new(zone: &'a TimeZone) -> Self {
        Self {
            zone,
            offset: Offset::UTC,
            from: i64::MAX,
            until: i64::MIN,
        }
    }

    /// The stretch around `moment` in its bucket of `unit`.
    pub(super) fn stretch(&mut self, unit: Unit, moment: Timestamp) -> Stretch {
        self.set(moment);
        let offset = i64::from(self.offset.seconds());
        if unit == Unit::Hour {
            // Whenever clocks change, an hour ends: the doubled hour of a time change is two hours.
            let from = start_of_hour(second_of(moment), offset).max(self.from);
            return Stretch { bucket: from, from };
        }
        let bucket = day_number(first_day(unit, self.offset.to_datetime(moment).date()));
        Stretch {
            bucket,
            from: (bucket * DAY - offset).max(self.from),
        }
    }

    fn set(&mut self, moment: Timestamp) {
        let second = second_of(moment);
        if (self.from..self.until).contains(&second) {
            return;
        }
        self.offset = self.zone.to_offset(moment);
        self.until = second.saturating_add(1);
        self.from = last_change(self.zone, moment).map_or(i64::MIN, second_of);
    }
}

/// When the clocks were last set to what they show at `moment`; none if they always showed so.
///
/// A change of the zone's name alone is no change.
fn last_change(zone: &TimeZone, moment: Timestamp) -> Option<Timestamp> {
    let offset = zone.to_offset(moment);
    let just_after = moment
        .checked_add(SignedDuration::from_nanos(1))
        .unwrap_or(Timestamp::MAX);
    zone.preceding(just_after)
        .map(|change| change.timestamp())
        .find(|change| {
            change
                .checked_sub(SignedDuration::from_secs(1))
                .is_ok_and(|before| zone.to_offset(before) != offset)
        })
}

/// The second in which `moment` lies, also before 1970.
pub(super) fn second_of(moment: Timestamp) -> i64 {
    moment.as_second() - i64::from(moment.subsec_nanosecond() < 0)
}

fn start_of_hour(second: i64, offset: i64) -> i64 {
    (second + offset).div_euclid(HOUR) * HOUR - offset
}

fn first_day(unit: Unit, date: Date) -> Date {
    match unit {
        Unit::Hour | Unit::Day => date,
        Unit::Week => date.saturating_sub(Span::new().days(date.weekday().to_monday_zero_offset())),
        Unit::Month => date.first_of_month(),
        Unit::Year => date.first_of_year(),
    }
}

fn day_number(date: Date) -> i64 {
    date.duration_since(EPOCH).as_secs() / DAY
}

/// When the bucket begins that comes `more` buckets after `newest`; none beyond the year 9999.
///
/// Where buckets have been missed since `newest`, the one of `now` is the next that can come.
pub(super) fn start_of_coming(
    unit: Unit,
    zone: &TimeZone,
    newest: i64,
    now: Timestamp,
    more: u32,
) -> Option<Timestamp> {
    if unit == Unit::Hour {
        let paused = Clock::new(zone).stretch(unit, now).bucket - HOUR;
        let about = Timestamp::from_second(newest.max(paused) + HOUR * i64::from(more)).ok()?;
        return Timestamp::from_second(Clock::new(zone).stretch(unit, about).bucket).ok();
    }
    let spans = |count: u32| match unit {
        Unit::Hour | Unit::Day => Span::new().try_days(count),
        Unit::Week => Span::new().try_weeks(count),
        Unit::Month => Span::new().try_months(count),
        Unit::Year => Span::new().try_years(count),
    };
    let paused = first_day(unit, zone.to_datetime(now).date()).saturating_sub(spans(1).ok()?);
    let newest = EPOCH.checked_add(Span::new().try_days(newest).ok()?).ok()?;
    let coming = newest.max(paused).checked_add(spans(more).ok()?).ok()?;
    Some(coming.to_zoned_datetime(zone.clone()).ok()?.timestamp())
}
