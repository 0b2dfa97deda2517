//! The decision in words.

use super::decided::Decided;
use super::history::{KnownPoint, PlanHistory};
use crate::message::RetentionRow;
use crate::retention::{Protections, RetentionInput, Standing, reasons};

/// Why a point goes that holds nothing.
pub const GOES_EMPTY: &str = "no good backup is in it";
/// Resources that a reason names at most.
const NAMES: usize = 3;

/// Why a point goes that nothing keeps.
#[must_use]
pub fn why_it_goes(history: &PlanHistory, point: &KnownPoint) -> Vec<String> {
    if point.standing == Standing::Empty {
        return vec![GOES_EMPTY.to_owned()];
    }
    let rules: Vec<String> = history.rules.iter().map(ToString::to_string).collect();
    vec![format!(
        "no rule keeps it ({}), and nothing protects it",
        rules.join("; ")
    )]
}

/// A text of at most so many characters.
#[must_use]
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

impl Decided<'_> {
    /// What was decided about the point at this place, for people.
    #[must_use]
    pub fn row(&self, place: usize) -> Option<RetentionRow> {
        let point = self.history.points.get(place)?;
        let mut row = RetentionRow {
            recovery_point_id: point.recovery_point_id.clone(),
            moment: point.moment,
            keep: false,
            reasons: Vec::new(),
            goes_at: None,
            hold: point.hold.clone(),
            deferred: std::collections::BTreeMap::new(),
        };
        match (self.decided(place), &point.retirement) {
            (Some((_, verdict)), _) => {
                row.keep = verdict.keeps();
                // What counts for nothing yet goes by rules that nobody can tell yet.
                row.goes_at = verdict.goes_at().filter(|_| point.aside.is_empty());
                row.reasons = if row.keep {
                    self.reasons(place)
                } else {
                    why_it_goes(self.history, point)
                };
            }
            (None, Some(retirement)) => {
                // A hold that came at the same time as the intent: nothing of it is deleted while it stands.
                row.keep = point.hold.is_some();
                row.reasons.clone_from(&retirement.reasons);
                row.reasons
                    .push(format!("being deleted since {}", retirement.decided_at));
                row.deferred.clone_from(&retirement.deferred);
            }
            (None, None) => return None,
        }
        Some(row)
    }

    fn reasons(&self, place: usize) -> Vec<String> {
        let Some((fact, verdict)) = self.decided(place) else {
            return Vec::new();
        };
        let Some(facts) = self.facts.get(*fact) else {
            return Vec::new();
        };
        let input = RetentionInput {
            rules: &self.history.rules,
            zone: &self.history.zone,
            points: &self.facts,
            resource_sets: self.history.sets.sets(),
            expirable: &self.expirable,
            safety_age: self.history.safety_age,
        };
        let last_good = Protections::LAST_GOOD.words().next();
        let mut words = reasons(&input, facts, verdict);
        for reason in &mut words {
            if Some(reason.as_str()) == last_good {
                *reason = format!("last good backup of {}", self.names(place));
            }
        }
        words
    }

    /// The resources whose last good backup a point holds, by name.
    fn names(&self, place: usize) -> String {
        let names: Vec<&str> = self
            .last_good_of(place)
            .filter_map(|number| self.history.sets.name(number))
            .map(crate::ids::InstanceId::as_str)
            .collect();
        let shown = names.get(..NAMES).unwrap_or(&names).join(", ");
        match names.len().saturating_sub(NAMES) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}
