//! Security groups: names with a description. Rules are not modelled.

use crate::filter::{Filterable, Values, View};
use crate::tags::Tags;

/// A security group of the default VPC.
#[derive(Debug)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Tags,
}

impl Filterable for SecurityGroup {
    const FILTERS: &'static [&'static str] = &["description", "group-id", "group-name", "owner-id", "vpc-id"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "description" => values.text(&self.description),
            "group-name" => values.text(&self.name),
            "owner-id" => values.text(view.account),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            _ => values.text(&self.id),
        }
    }
}
