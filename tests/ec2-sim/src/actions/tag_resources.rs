//! `CreateTags`, `DeleteTags` and `DescribeTags`.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::{Tags, is_reserved};
use crate::world::Region;
use crate::xml::Xml;

use super::Scope;
use super::addresses::interface_not_found;

/// Resources that one call may name.
const RESOURCE_LIMIT: usize = 1000;

const RULES: DescribeRules = DescribeRules {
    // The call has no ids: a name that no client sends.
    ids: "-",
    ids_in_messages: "-",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |_| Ec2Error::invalid_value("DescribeTags takes no ids"),
};

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let added = Tags::read(params)?;
    if added.is_empty() {
        return Err(Ec2Error::missing("Tag"));
    }
    change(scope, params, |tags| tags.with(&added))
}

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let named = params.structs("Tag");
    if let Some(key) = named
        .iter()
        .filter_map(|tag| tag.text("Key"))
        .find(|key| is_reserved(key))
    {
        return Err(Ec2Error::invalid_value(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
        )));
    }
    change(scope, params, |tags| {
        let mut left = tags.clone();
        if named.is_empty() {
            left.keep(is_reserved);
        }
        for tag in &named {
            let key = tag.text("Key").unwrap_or_default();
            if tag.text("Value").is_none_or(|value| tags.get(key) == Some(value)) {
                left.remove(key);
            }
        }
        Ok(left)
    })
}

/// Gives every named resource its new tags, or none of them.
fn change(
    scope: &mut Scope<'_>,
    params: &Params,
    new: impl Fn(&Tags) -> Result<Tags, Ec2Error>,
) -> Result<Xml, Ec2Error> {
    let ids = params.list("ResourceId");
    if ids.is_empty() || ids.len() > RESOURCE_LIMIT {
        return Err(Ec2Error::invalid_value(format!(
            "A call takes 1 to {RESOURCE_LIMIT} resource ids."
        )));
    }
    let mut changes = Vec::new();
    for id in ids {
        changes.push((id, new(tags_of(scope, id)?)?));
    }
    for (id, tags) in changes {
        *tags_of(scope, id)? = tags;
    }
    Ok(Xml::done())
}

/// The tags of whatever has this id.
pub(crate) fn tags_of<'a>(scope: &'a mut Scope<'_>, id: &str) -> Result<&'a mut Tags, Ec2Error> {
    let (prefix, _) = id.split_once('-').unwrap_or_default();
    match prefix {
        "i" => return Ok(&mut scope.instance_mut(id)?.tags),
        "vol" => return Ok(&mut scope.volume_mut(id)?.tags),
        "snap" => return Ok(&mut scope.snapshot_mut(id)?.tags),
        _ => {}
    }
    let Region {
        network,
        interfaces,
        addresses,
        images,
        key_pairs,
        root_replacements,
        ..
    } = &mut *scope.region;
    let found = match prefix {
        "eni" => {
            return interfaces
                .get_mut(id)
                .map(|found| &mut found.tags)
                .ok_or_else(|| interface_not_found(&[id]));
        }
        "ami" => images.get_mut(id).map(|found| &mut found.tags),
        "replacevol" => root_replacements.tasks.get_mut(id).map(|found| &mut found.tags),
        "eipalloc" => addresses.get_mut(id).map(|found| &mut found.tags),
        "subnet" => network.subnet_mut(id).map(|found| &mut found.tags),
        "vpc" => (network.vpc.id == id).then_some(&mut network.vpc.tags),
        "sg" => network.group_mut(id).map(|found| &mut found.tags),
        "key" => {
            let mut made = key_pairs.made.values_mut();
            made.find(|found| found.id == id).map(|found| &mut found.tags)
        }
        _ => None,
    };
    found.ok_or_else(|| Ec2Error::new("InvalidID", format!("The ID '{id}' is not valid")))
}

/// One tag of one resource.
struct TagRow<'a> {
    resource: &'a str,
    kind: &'static str,
    key: &'a str,
    value: &'a str,
    /// The same tag, for the filters that every resource has.
    tags: Tags,
}

impl Filterable for TagRow<'_> {
    const FILTERS: &'static [&'static str] = &["key", "resource-id", "resource-type", "value"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        values.text(match filter {
            "key" => self.key,
            "resource-id" => self.resource,
            "resource-type" => self.kind,
            _ => self.value,
        });
    }
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let region = &*scope.region;
    let mut rows: BTreeMap<String, TagRow<'_>> = BTreeMap::new();
    let instances = region
        .instances
        .values()
        .map(|found| (found.id.as_str(), "instance", &found.tags));
    let volumes = region
        .volumes
        .values()
        .map(|found| (found.id.as_str(), "volume", &found.tags));
    let snapshots = region
        .snapshots
        .values()
        .map(|found| (found.id.as_str(), "snapshot", &found.tags));
    let interfaces = region
        .interfaces
        .values()
        .map(|found| (found.id.as_str(), "network-interface", &found.tags));
    let addresses = region
        .addresses
        .values()
        .map(|found| (found.id.as_str(), "elastic-ip", &found.tags));
    let images = region
        .images
        .values()
        .map(|found| (found.id.as_str(), "image", &found.tags));
    let subnets = region
        .network
        .subnets
        .iter()
        .map(|found| (found.id.as_str(), "subnet", &found.tags));
    let groups = region
        .network
        .groups
        .iter()
        .map(|found| (found.id.as_str(), "security-group", &found.tags));
    let key_pairs = region
        .key_pairs
        .made
        .values()
        .map(|found| (found.id.as_str(), "key-pair", &found.tags));
    let tasks = region
        .root_replacements
        .tasks
        .values()
        .map(|found| (found.id.as_str(), "replace-root-volume-task", &found.tags));
    for (resource, kind, tags) in instances
        .chain(images)
        .chain(volumes)
        .chain(snapshots)
        .chain(interfaces)
        .chain(addresses)
        .chain(subnets)
        .chain(groups)
        .chain(key_pairs)
        .chain(tasks)
    {
        for (key, value) in tags.iter() {
            let row = TagRow {
                resource,
                kind,
                key,
                value,
                tags: std::iter::once((key.to_owned(), value.to_owned())).collect(),
            };
            rows.insert(format!("{key}\n{resource}"), row);
        }
    }
    let found = find(&rows, params, &RULES, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("tagSet", found.resources, |xml, row| {
        xml.text("resourceId", row.resource)
            .text("resourceType", row.kind)
            .text("key", row.key)
            .text("value", row.value);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}
