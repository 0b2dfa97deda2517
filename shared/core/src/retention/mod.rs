//! Which recovery points of a plan stay and which may go: one pure decision over all of them.
//!
//! Points that count are put in order, newest first, and walked once. Each rule and each protection marks what it
//! keeps; a point that nothing marks may be deleted. A rule looks only at how a point stands to the points that are
//! newer or better, so taking a point out of the input never lets another one go: a record that cannot be read costs
//! space, not history. And deciding again on what was kept deletes nothing.
//!
//! A bucket keeps its COMPLETED points before its PARTIAL ones, then the newest. Buckets are ranked by the calendar. An
//! hour also ends when clocks are set forward or back, so the doubled hour of autumn is two hours; a day, week, month or
//! year is whatever the zone's calendar calls so, however long it was. Weeks are those of ISO 8601.
//!
//! Points that are equal in moment, standing and end are peers: whatever keeps one of them keeps them all, so that the
//! order of the input and the numbering of the sets decide nothing. A rule may thus keep more than its count.

mod age;
mod buckets;
mod calendar;
mod forecast;
mod history;
mod last_good;
mod newest;
mod protections;
mod reasons;
#[cfg(test)]
mod tests;

pub use last_good::{LastGood, last_good};
pub use protections::Protections;
pub use reasons::reasons;

use crate::failure::InvalidField;
use crate::retention_rule::{RetentionRule, validate_rules};
use age::YoungerThan;
use buckets::NewestBuckets;
use calendar::{Clock, Unit};
use forecast::Forecast;
use history::History;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use newest::{Newest, Rhythm};
use std::collections::HashSet;

/// How good a recovery point is as history, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Every backup of it is good.
    Completed,
    /// Some are.
    Partial,
    /// None is: the point does not count.
    Empty,
}

/// What is known of one recovery point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointFacts {
    /// The moment it stands for.
    pub moment: Timestamp,
    /// When its outcome was written; none while its job works. Such a point is no history yet and always stays.
    pub ended_at: Option<Timestamp>,
    /// How good it is.
    pub standing: Standing,
    /// The set of resources with a good backup in it, as an index into [`RetentionInput::resource_sets`].
    pub resources: u32,
    /// The protections that reading found. The decision adds its own: last good, safety age, job at work.
    pub found: Protections,
}

impl PointFacts {
    /// Whether rules look at it: it ended with at least one good backup.
    fn counts(&self) -> bool {
        self.ended_at.is_some() && self.standing != Standing::Empty
    }

    /// Until when the safety age protects it.
    fn safe_until(&self, safety_age: SignedDuration) -> Timestamp {
        let youth = self.ended_at.map_or(self.moment, |ended| ended.max(self.moment));
        youth.checked_add(safety_age).unwrap_or(Timestamp::MAX)
    }
}

/// Everything the decision needs to know.
#[derive(Debug, Clone, Copy)]
pub struct RetentionInput<'a> {
    /// The rules of the plan, or of the replica: 1 to 5.
    pub rules: &'a [RetentionRule],
    /// The plan's time zone, which cuts the buckets and counts the ages.
    pub zone: &'a TimeZone,
    /// All recovery points, in any order.
    pub points: &'a [PointFacts],
    /// Sets of resources, each in any order. The numbers mean nothing beyond which resource is which.
    pub resource_sets: &'a [Vec<u32>],
    /// Resources whose last good backup may go too: gone ones, of a plan that says so.
    pub expirable: &'a HashSet<u32>,
    /// A point that ended, or stands for a moment, less than this ago always stays.
    pub safety_age: SignedDuration,
}

/// The decision cannot be taken, so nothing may be deleted. Retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("retention cannot be decided: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct CannotDecide {
    /// Each problem, with its field of [`RetentionInput`]; at least one.
    pub problems: Vec<InvalidField>,
}

impl CannotDecide {
    fn because(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            problems: vec![InvalidField::new(field, problem)],
        }
    }
}

/// What was decided about one recovery point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    goes_at: Forecast,
    protections: Protections,
    rules: u8,
}

impl Verdict {
    fn new(protections: Protections) -> Self {
        Self {
            goes_at: Forecast::NONE,
            protections,
            rules: 0,
        }
    }

    /// Whether the point stays.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.rules != 0 || !self.protections.is_empty()
    }

    /// The rules that keep it, as indices into [`RetentionInput::rules`].
    pub fn rules(&self) -> impl Iterator<Item = usize> {
        let rules = self.rules;
        (0..8).filter(move |index| rules & (1 << index) != 0)
    }

    /// The protections that keep it.
    #[must_use]
    pub fn protections(&self) -> Protections {
        self.protections
    }

    /// The earliest moment at which the point will go if the plan goes on as it did; a forecast, for people.
    ///
    /// It is the latest end over the rules that keep the point and the safety age, and never before the `now` of the
    /// decision. A bucket rule lets go when enough coming hours, days, ... have begun, each with a point; *newest N*
    /// when enough points have come at the plan's rhythm; an age ends at the moment plus the age, which months of
    /// different length may put off by some days. A protection without a known end (a lock, a hold, the last good
    /// backup, ...) may hold the point for longer. Points to be deleted go now.
    ///
    /// None: only such protections keep it, or its job still works, or the end lies too far or cannot be told (newest
    /// N with a single point has no rhythm).
    #[must_use]
    pub fn goes_at(&self) -> Option<Timestamp> {
        self.goes_at.told()
    }

    /// Notes that rule `index` keeps the point, until `end` as far as can be told.
    fn keep_by_rule(&mut self, index: usize, end: Forecast) {
        self.rules |= 1 << index;
        self.goes_at = self.goes_at.max(end);
    }

    fn protect(&mut self, protection: Protections) {
        self.protections = self.protections.union(protection);
    }

    /// Rounds the forecast off, once everything has marked what it keeps.
    fn settle(&mut self, ended: bool, now: Timestamp) {
        self.goes_at = if !self.keeps() {
            Forecast::of(Some(now))
        } else if !ended {
            Forecast::UNTOLD
        } else {
            Forecast::of(self.goes_at.told().map(|end| end.max(now)))
        };
    }
}

/// A rule, ready to be shown the history.
enum Keeper<'a> {
    Newest(Newest),
    Buckets(NewestBuckets<'a>),
    Age(YoungerThan<'a>),
}

impl<'a> Keeper<'a> {
    fn new(
        rule: &RetentionRule,
        zone: &'a TimeZone,
        now: Timestamp,
        rhythm: Option<Rhythm>,
    ) -> Result<Self, String> {
        let buckets = |unit, count| Self::Buckets(NewestBuckets::new(unit, count, zone, now));
        Ok(match rule {
            RetentionRule::Newest { count } => Self::Newest(Newest::new(*count, rhythm)),
            RetentionRule::Hourly { count } => buckets(Unit::Hour, *count),
            RetentionRule::Daily { count } => buckets(Unit::Day, *count),
            RetentionRule::Weekly { count } => buckets(Unit::Week, *count),
            RetentionRule::Monthly { count } => buckets(Unit::Month, *count),
            RetentionRule::Yearly { count } => buckets(Unit::Year, *count),
            RetentionRule::YoungerThan { age } => Self::Age(YoungerThan::new(age, zone, now)?),
        })
    }
}

/// Decides which recovery points stay, and why: one verdict for each point, in the order of the points.
///
/// What the rules and protections mean stands in the docs of this module, [`RetentionRule`] and [`Protections`]. Points
/// later than `now` (a clock that was wrong) count as the newest.
///
/// # Errors
/// [`CannotDecide`], naming the field: no rule, more than 5, a rule that keeps nothing or cannot be read, a point whose
/// set of resources is missing, a negative safety age. Nothing may be deleted then.
pub fn decide_retention(input: &RetentionInput<'_>, now: Timestamp) -> Result<Vec<Verdict>, CannotDecide> {
    check(input)?;
    let history = History::new(input.points);
    let rhythm = Rhythm::of(&history, now);
    let mut keepers = Vec::with_capacity(input.rules.len());
    for (index, rule) in input.rules.iter().enumerate() {
        let keeper = Keeper::new(rule, input.zone, now, rhythm)
            .map_err(|problem| CannotDecide::because(format!("rules[{index}].age"), problem))?;
        keepers.push(keeper);
    }
    let mut verdicts: Vec<Verdict> = input
        .points
        .iter()
        .map(|point| stand_alone(point, input.safety_age, now))
        .collect();

    let mut clock = Clock::new(input.zone);
    for peers in history.newest_first() {
        for (index, keeper) in keepers.iter_mut().enumerate() {
            match keeper {
                Keeper::Newest(newest) => {
                    if let Some(end) = newest.keeps(&peers) {
                        mark(&mut verdicts, history.points_of(&peers), index, end);
                    }
                }
                Keeper::Age(younger) => {
                    if let Some(end) = younger.keeps(peers.moment, &mut clock) {
                        mark(&mut verdicts, history.points_of(&peers), index, end);
                    }
                }
                Keeper::Buckets(buckets) => buckets.take(&peers, &mut clock),
            }
        }
    }
    for (index, keeper) in keepers.iter().enumerate() {
        if let Keeper::Buckets(buckets) = keeper {
            for (peers, end) in buckets.best() {
                mark(&mut verdicts, history.points_of(peers), index, end);
            }
        }
    }
    last_good::walk(input, &history, |point, _| {
        if let Some(verdict) = verdicts.get_mut(point as usize) {
            verdict.protect(Protections::LAST_GOOD);
        }
    });
    for (point, verdict) in input.points.iter().zip(&mut verdicts) {
        verdict.settle(point.ended_at.is_some(), now);
    }
    Ok(verdicts)
}

fn mark(verdicts: &mut [Verdict], points: &[u32], rule: usize, end: Forecast) {
    for point in points {
        if let Some(verdict) = verdicts.get_mut(*point as usize) {
            verdict.keep_by_rule(rule, end);
        }
    }
}

/// What protects a point whatever the others are.
fn stand_alone(point: &PointFacts, safety_age: SignedDuration, now: Timestamp) -> Verdict {
    let mut verdict = Verdict::new(point.found);
    if point.ended_at.is_none() {
        verdict.protect(Protections::AT_WORK);
    }
    let safe_until = point.safe_until(safety_age);
    if safe_until > now {
        verdict.protect(Protections::SAFETY_AGE);
        verdict.goes_at = Forecast::of(Some(safe_until));
    }
    verdict
}

fn check(input: &RetentionInput<'_>) -> Result<(), CannotDecide> {
    let mut problems = validate_rules("rules", input.rules, false);
    if input.safety_age.is_negative() {
        problems.push(InvalidField::new(
            "safety_age",
            "a negative age protects nothing; give zero or more",
        ));
    }
    if u32::try_from(input.points.len()).is_err() {
        let found = input.points.len();
        problems.push(InvalidField::new(
            "points",
            format!("{found} points; at most {} are decided at once", u32::MAX),
        ));
    }
    let sets = input.resource_sets.len();
    let lost = input
        .points
        .iter()
        .position(|point| point.counts() && point.resources as usize >= sets);
    if let Some(index) = lost {
        problems.push(InvalidField::new(
            format!("points[{index}].resources"),
            format!("there is no such set of resources; {sets} are given"),
        ));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(CannotDecide { problems })
    }
}
