//! Which resources are restored before which.

use super::request::Order;
use crate::configuration::Tags;
use crate::ids::InstanceId;
use std::collections::BTreeMap;

/// Puts resources into waves: those of one wave are restored side by side, a wave begins when the one before has ended.
#[must_use]
pub fn decide_waves(order: &Order, resources: &[(InstanceId, Tags)]) -> Vec<Vec<InstanceId>> {
    match order {
        Order::Together if resources.is_empty() => Vec::new(),
        Order::Together => vec![resources.iter().map(|(id, _)| id.clone()).collect()],
        Order::Listed => resources.iter().map(|(id, _)| vec![id.clone()]).collect(),
        Order::ByTag(key) => {
            let mut waves: BTreeMap<Rank, Vec<InstanceId>> = BTreeMap::new();
            for (id, tags) in resources {
                waves.entry(Rank::of(tags.get(key))).or_default().push(id.clone());
            }
            waves.into_values().collect()
        }
    }
}

/// Numbers first, as numbers; then words; then what has no such tag.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(i64),
    Word(String),
    None,
}

impl Rank {
    fn of(value: Option<&String>) -> Self {
        match value {
            None => Self::None,
            Some(value) => value
                .trim()
                .parse()
                .map_or_else(|_| Self::Word(value.clone()), Self::Number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(n: u8, rank: Option<&str>) -> (InstanceId, Tags) {
        let tags = rank.map(|rank| ("boot".to_owned(), rank.to_owned()));
        (
            InstanceId::try_from(format!("i-{n:017x}")).unwrap(),
            tags.into_iter().collect(),
        )
    }

    #[test]
    fn a_tag_orders_numbers_as_numbers_and_the_rest_comes_last() {
        let resources = [
            resource(1, Some("10")),
            resource(2, None),
            resource(3, Some("9")),
            resource(4, Some("web")),
            resource(5, Some("9")),
        ];
        let waves = decide_waves(&Order::ByTag("boot".to_owned()), &resources);
        let numbers: Vec<Vec<&str>> = waves
            .iter()
            .map(|wave| wave.iter().map(|id| &id.as_str()[18..]).collect())
            .collect();
        assert_eq!(numbers, [vec!["3", "5"], vec!["1"], vec!["4"], vec!["2"]]);
    }

    #[test]
    fn listed_ones_go_one_by_one_and_others_together() {
        let resources = [resource(2, None), resource(1, None)];
        assert_eq!(decide_waves(&Order::Together, &resources).len(), 1);
        let listed = decide_waves(&Order::Listed, &resources);
        assert_eq!(
            listed,
            vec![vec![resources[0].0.clone()], vec![resources[1].0.clone()]]
        );
        assert!(decide_waves(&Order::Together, &[]).is_empty());
    }
}
