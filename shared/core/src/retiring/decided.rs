//! The decision over a plan's history.

use super::history::{KnownPoint, PlanHistory};
use crate::ids::InstanceId;
use crate::retention::{
    CannotDecide, LastGood, PointFacts, Protections, RetentionInput, Standing, Verdict, decide_retention,
    last_good,
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

/// What was looked up beyond the ledger.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Protections of points, by their place in the history.
    pub protections: HashMap<usize, Protections>,
    /// Resources whose last good backup may go, by their numbers.
    pub expirable: HashSet<u32>,
}

/// What was decided about each recovery point of a plan.
#[derive(Debug, Clone)]
pub struct Decided<'a> {
    pub(super) history: &'a PlanHistory,
    pub(super) facts: Vec<PointFacts>,
    pub(super) expirable: HashSet<u32>,
    /// By place in the history; none for a point that is already on its way out.
    verdicts: Vec<Option<(usize, Verdict)>>,
    last_good: LastGood,
}

/// A resource whose last good backup is not in the newest recovery point.
#[derive(Debug, Clone)]
pub struct LastBackup<'a> {
    /// The resource's number.
    pub number: u32,
    /// The resource.
    pub resource: &'a InstanceId,
    /// The point that holds its last good backup.
    pub point: &'a KnownPoint,
}

/// Decides which points of a plan stay. Points with an intent to let them go are no history: they go on their way,
/// whatever the rules say now.
///
/// # Errors
/// As of [`decide_retention`]. Nothing may be deleted then.
pub fn decide_points<'a>(
    history: &'a PlanHistory,
    findings: &Findings,
    now: Timestamp,
) -> Result<Decided<'a>, CannotDecide> {
    let mut facts = Vec::with_capacity(history.points.len());
    let mut places = Vec::with_capacity(history.points.len());
    for (place, point) in history.points.iter().enumerate() {
        if point.retirement.is_some() {
            places.push(None);
            continue;
        }
        places.push(Some(facts.len()));
        let found = findings
            .protections
            .get(&place)
            .copied()
            .unwrap_or(Protections::NONE);
        facts.push(PointFacts {
            moment: point.moment,
            ended_at: point.ended_at,
            standing: point.counts_as(),
            resources: point.resources,
            found: point.protections().union(found),
        });
    }
    let input = RetentionInput {
        rules: &history.rules,
        zone: &history.zone,
        points: &facts,
        resource_sets: history.sets.sets(),
        expirable: &findings.expirable,
        safety_age: history.safety_age,
    };
    let verdicts = decide_retention(&input, now)?;
    let last_good = last_good(&input)?;
    let verdicts = places
        .into_iter()
        .map(|place| place.and_then(|place| Some((place, *verdicts.get(place)?))))
        .collect();
    Ok(Decided {
        history,
        facts,
        expirable: findings.expirable.clone(),
        verdicts,
        last_good,
    })
}

impl<'a> Decided<'a> {
    /// The verdict on the point at this place; none if it is on its way out.
    #[must_use]
    pub fn verdict(&self, place: usize) -> Option<&Verdict> {
        self.decided(place).map(|(_, verdict)| verdict)
    }

    /// The places of the points that nothing keeps, oldest first.
    pub fn going(&self) -> impl Iterator<Item = usize> {
        let decided = self.verdicts.iter().enumerate().rev();
        decided
            .filter(|(_, verdict)| verdict.is_some_and(|(_, verdict)| !verdict.keeps()))
            .map(|(place, _)| place)
    }

    /// The places of the points that stay, newest first.
    pub fn staying(&self) -> impl Iterator<Item = usize> {
        let decided = self.verdicts.iter().enumerate();
        decided
            .filter(|(_, verdict)| verdict.is_some_and(|(_, verdict)| verdict.keeps()))
            .map(|(place, _)| place)
    }

    /// How many points are on their way out already.
    #[must_use]
    pub fn leaving(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.is_none()).count()
    }

    /// The resources whose last good backup is not in the newest point that counts: those that may be gone.
    #[must_use]
    pub fn last_elsewhere(&self) -> Vec<LastBackup<'a>> {
        let newest = self.newest();
        let mut found = Vec::new();
        for (place, point) in self.history.points.iter().enumerate() {
            if newest == Some(place) {
                continue;
            }
            for number in self.last_good_of(place) {
                if let Some(resource) = self.history.sets.name(number) {
                    found.push(LastBackup {
                        number,
                        resource,
                        point,
                    });
                }
            }
        }
        found
    }

    /// Whether the newest point that counts holds everything its plan asked for.
    #[must_use]
    pub fn is_newest_whole(&self) -> bool {
        let newest = self.newest().and_then(|place| self.history.points.get(place));
        newest.is_some_and(|point| point.standing == Standing::Completed && !point.incomplete)
    }

    pub(super) fn decided(&self, place: usize) -> Option<&(usize, Verdict)> {
        self.verdicts.get(place).and_then(Option::as_ref)
    }

    pub(super) fn last_good_of(&self, place: usize) -> impl Iterator<Item = u32> {
        let fact = self.decided(place).map(|(fact, _)| *fact);
        fact.into_iter().flat_map(|fact| self.last_good.of(fact))
    }

    fn newest(&self) -> Option<usize> {
        let points = self.history.points.iter().enumerate();
        let counting = points.filter(|(place, point)| {
            self.decided(*place).is_some() && point.ended_at.is_some() && point.counts_as() != Standing::Empty
        });
        counting
            .max_by_key(|(place, point)| (point.moment, std::cmp::Reverse(*place)))
            .map(|(place, _)| place)
    }
}
