//! Listing the instances that a selection asks for.

use crate::convert::{filter, tags_from};
use crate::failure::Failure;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::InstanceStateName;
use holdfast_core::ids::InstanceId;
use holdfast_core::selection::{Candidate, InstanceQuery, InstanceState};

/// As many as EC2 gives in one page.
const PAGE: i32 = 1000;

/// Lists the instances that a query asks for, page by page, handing each to `take`.
///
/// # Errors
/// A page that cannot be read: the listing is incomplete and must not be used.
pub async fn describe_candidates(
    ec2: &Client,
    query: &InstanceQuery,
    mut take: impl FnMut(Candidate),
) -> Result<(), Failure> {
    let filters = match query {
        // A filter, not ids: one unknown id fails a call that names ids.
        InstanceQuery::ByIds(ids) => vec![filter("instance-id", ids.iter().map(InstanceId::as_str))],
        InstanceQuery::ByTags(tags) => {
            let states = [
                InstanceState::Running,
                InstanceState::Stopping,
                InstanceState::Stopped,
            ];
            let mut filters = vec![filter("instance-state-name", states.map(InstanceState::as_str))];
            filters.extend(tags.iter().map(|tag| {
                if tag.values.is_empty() {
                    filter("tag-key", [literal(&tag.key)])
                } else {
                    filter(
                        format!("tag:{}", tag.key),
                        tag.values.iter().map(|value| literal(value)),
                    )
                }
            }));
            filters
        }
    };
    let mut pages = ec2
        .describe_instances()
        .set_filters(Some(filters))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| Failure::call("listing the instances that the plan selects", error))?;
        for instance in page
            .reservations()
            .iter()
            .flat_map(aws_sdk_ec2::types::Reservation::instances)
        {
            let id = instance.instance_id().unwrap_or_default();
            let instance_id = InstanceId::try_from(id)
                .map_err(|error| Failure::permanent_from("reading a listed instance", error))?;
            let state = instance
                .state()
                .and_then(|state| state.name())
                .map_or(InstanceState::Pending, state_from);
            take(Candidate {
                instance_id,
                state,
                tags: tags_from(instance.tags()),
            });
        }
    }
    Ok(())
}

/// A filter value that stands for itself: EC2 reads `*`, `?` and `\` in values as patterns.
fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn state_from(name: &InstanceStateName) -> InstanceState {
    match name {
        InstanceStateName::Running => InstanceState::Running,
        InstanceStateName::Stopping => InstanceState::Stopping,
        InstanceStateName::Stopped => InstanceState::Stopped,
        InstanceStateName::ShuttingDown => InstanceState::ShuttingDown,
        InstanceStateName::Terminated => InstanceState::Terminated,
        _ => InstanceState::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_value_is_never_a_pattern() {
        assert_eq!(literal(r"a*b?c\d"), r"a\*b\?c\\d");
    }
}
