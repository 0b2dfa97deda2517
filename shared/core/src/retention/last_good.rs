//! The last good backup of each resource.

use super::history::History;
use super::{CannotDecide, RetentionInput, check};
use std::collections::HashMap;

/// For each recovery point the resources whose last good backup it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastGood {
    /// Point and resource, in that order.
    pairs: Vec<(u32, u32)>,
}

impl LastGood {
    /// The resources whose last good backup the point at this index holds, in the order of their numbers.
    ///
    /// Peers, that is points equal in moment, standing and end, each hold the last good backup.
    pub fn of(&self, point: usize) -> impl Iterator<Item = u32> {
        let of_point = |(other, _): &(u32, u32)| *other as usize;
        let from = self.pairs.partition_point(|pair| of_point(pair) < point);
        let until = self.pairs.partition_point(|pair| of_point(pair) <= point);
        self.pairs[from..until].iter().map(|(_, resource)| *resource)
    }
}

/// Finds the points that hold a last good backup which must not go, and of which resources.
///
/// Expirable resources are left out.
///
/// # Errors
/// As of [`decide_retention`](super::decide_retention).
pub fn last_good(input: &RetentionInput<'_>) -> Result<LastGood, CannotDecide> {
    check(input)?;
    let mut pairs = Vec::new();
    walk(input, &History::new(input.points), |point, resource| {
        pairs.push((point, resource));
    });
    pairs.sort_unstable();
    pairs.dedup();
    Ok(LastGood { pairs })
}

/// Calls `found` with each point and each resource whose last good backup it holds.
pub(super) fn walk(input: &RetentionInput<'_>, history: &History<'_>, mut found: impl FnMut(u32, u32)) {
    // Where in the history a resource, and a whole set, was met first.
    let mut resources: HashMap<u32, usize> = HashMap::new();
    let mut sets: Vec<Option<usize>> = vec![None; input.resource_sets.len()];
    for peers in history.newest_first() {
        let place = peers.places.start;
        for point in history.points_of(&peers) {
            let set = input.points[*point as usize].resources as usize;
            let (Some(met), Some(members)) = (sets.get_mut(set), input.resource_sets.get(set)) else {
                continue;
            };
            if *met.get_or_insert(place) != place {
                continue;
            }
            for resource in members {
                let newest = *resources.entry(*resource).or_insert(place);
                if newest == place && !input.expirable.contains(resource) {
                    found(*point, *resource);
                }
            }
        }
    }
}
