//! Resources as numbers, and the sets of them that recovery points hold.

use crate::ids::InstanceId;
use std::collections::HashMap;

/// The sets of resources with a good backup in some recovery point, each kept once however many points have it.
#[derive(Debug, Clone, Default)]
pub struct ResourceSets {
    resources: Vec<InstanceId>,
    numbers: HashMap<InstanceId, u32>,
    sets: Vec<Vec<u32>>,
    known: HashMap<Vec<u32>, u32>,
}

impl ResourceSets {
    /// The number of this set of resources, whatever their order.
    pub fn add(&mut self, resources: impl IntoIterator<Item = InstanceId>) -> u32 {
        let mut set: Vec<u32> = resources
            .into_iter()
            .map(|resource| self.number(resource))
            .collect();
        set.sort_unstable();
        set.dedup();
        if let Some(known) = self.known.get(&set) {
            return *known;
        }
        let number = count(self.sets.len());
        self.known.insert(set.clone(), number);
        self.sets.push(set);
        number
    }

    /// Every set, by its number.
    #[must_use]
    pub fn sets(&self) -> &[Vec<u32>] {
        &self.sets
    }

    /// The resources of one set, in the order in which they were first met.
    pub fn members(&self, set: u32) -> impl Iterator<Item = &InstanceId> {
        let members = self.sets.get(set as usize).map_or(&[][..], Vec::as_slice);
        members.iter().filter_map(|resource| self.name(*resource))
    }

    /// The resource of that number.
    #[must_use]
    pub fn name(&self, resource: u32) -> Option<&InstanceId> {
        self.resources.get(resource as usize)
    }

    fn number(&mut self, resource: InstanceId) -> u32 {
        if let Some(number) = self.numbers.get(&resource) {
            return *number;
        }
        let number = count(self.resources.len());
        self.resources.push(resource.clone());
        self.numbers.insert(resource, number);
        number
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> InstanceId {
        InstanceId::try_from(format!("i-{n:017x}")).unwrap()
    }

    #[test]
    fn the_same_resources_are_one_set_whatever_their_order() {
        let mut sets = ResourceSets::default();
        let first = sets.add([id(1), id(2)]);
        let second = sets.add([id(2)]);
        assert_eq!(sets.add([id(2), id(1), id(1)]), first);
        assert_ne!(first, second);
        assert_eq!(sets.sets().len(), 2);
        assert_eq!(sets.members(first).collect::<Vec<_>>(), [&id(1), &id(2)]);
        assert_eq!(sets.members(second).collect::<Vec<_>>(), [&id(2)]);
        assert_eq!(sets.members(7).count(), 0);
    }
}
