//! Placement groups, dedicated hosts and capacity reservations, as far as launches name them: showing them and taking them
//! away.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::instance::InstanceState;
use crate::world::place::PlaceKind;
use crate::xml::Xml;

use super::Scope;

/// AWS does not page placement groups.
const GROUPS: DescribeRules = DescribeRules {
    ids: "GroupName",
    ids_in_messages: "groupNames",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |names| PlaceKind::Group.refusal(&names.join(", ")),
};

/// A placement group that nobody deleted.
struct Group {
    name: String,
    tags: Tags,
}

impl Filterable for Group {
    const FILTERS: &'static [&'static str] = &["group-name", "state"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        values.text(match filter {
            "group-name" => &self.name,
            _ => "available",
        });
    }
}

/// Those that the call names and nobody deleted.
pub(super) fn describe_groups(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let all: BTreeMap<String, Group> = params
        .spelled_out("GroupName", "group-name")
        .into_iter()
        .filter(|name| scope.region.places.is_there(PlaceKind::Group, name))
        .map(|name| {
            let group = Group {
                name: name.clone(),
                tags: Tags::default(),
            };
            (name, group)
        })
        .collect();
    let found = find(&all, params, &GROUPS, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("placementGroupSet", found.resources, |xml, group| {
        xml.text("groupName", &group.name)
            .text("strategy", "partition")
            .text("state", "available");
    });
    Ok(xml)
}

pub(super) fn delete_group(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let name = params.required("GroupName")?;
    if is_occupied(scope, PlaceKind::Group, name) {
        return Err(Ec2Error::new(
            "InvalidPlacementGroup.InUse",
            format!("The placement group {name} is in use and may not be deleted."),
        ));
    }
    scope.region.places.take_away(PlaceKind::Group, name)?;
    Ok(Xml::done())
}

/// The hosts that the call names. A released one is still shown.
pub(super) fn describe_hosts(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let mut xml = Xml::new();
    xml.list("hostSet", named(params, PlaceKind::Host)?, |xml, id| {
        let is_there = scope.region.places.is_there(PlaceKind::Host, id);
        xml.text("hostId", id)
            .text("state", if is_there { "available" } else { "released" });
    });
    Ok(xml)
}

/// Releases each host on which nothing stands.
pub(super) fn release_hosts(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let mut released = Vec::new();
    let mut refused = Vec::new();
    for id in named(params, PlaceKind::Host)? {
        let answer = if is_occupied(scope, PlaceKind::Host, id) {
            Err(Ec2Error::new(
                "InvalidHost.Occupied",
                format!("Dedicated host '{id}' cannot be released as it is occupied."),
            ))
        } else {
            scope.region.places.take_away(PlaceKind::Host, id)
        };
        match answer {
            Ok(()) => released.push(id),
            Err(error) => refused.push((id, error)),
        }
    }
    let mut xml = Xml::new();
    xml.texts("successful", "item", &released);
    xml.list("unsuccessful", refused, |xml, (id, error)| {
        xml.text("resourceId", id).block("error", |xml| {
            xml.text("code", &error.code).text("message", &error.message);
        });
    });
    Ok(xml)
}

/// The reservations that the call names. A cancelled one is still shown.
pub(super) fn describe_reservations(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let mut xml = Xml::new();
    let ids = named(params, PlaceKind::Reservation)?;
    xml.list("capacityReservationSet", ids, |xml, id| {
        let is_there = scope.region.places.is_there(PlaceKind::Reservation, id);
        xml.text("capacityReservationId", id)
            .text("state", if is_there { "active" } else { "cancelled" });
    });
    Ok(xml)
}

/// Cancels a reservation, also under a running instance.
pub(super) fn cancel_reservation(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("CapacityReservationId")?;
    scope.region.places.take_away(PlaceKind::Reservation, id)?;
    Ok(Xml::done())
}

/// The ids of a list, each once.
fn named(params: &Params, kind: PlaceKind) -> Result<BTreeSet<&str>, Ec2Error> {
    let (list, start, code) = match kind {
        PlaceKind::Host => ("HostId", "h-", "InvalidHostID.Malformed"),
        _ => (
            "CapacityReservationId",
            "cr-",
            "InvalidCapacityReservationId.Malformed",
        ),
    };
    let ids: BTreeSet<&str> = params.list(list).into_iter().collect();
    match ids.iter().find(|id| !id.starts_with(start)) {
        None => Ok(ids),
        Some(id) => Err(Ec2Error::new(code, format!("Invalid id: \"{id}\""))),
    }
}

/// Whether an instance that is not terminated was launched into a place.
fn is_occupied(scope: &Scope<'_>, kind: PlaceKind, name: &str) -> bool {
    scope.region.instances.values().any(|instance| {
        kind.named_by(&instance.launch) == Some(name)
            && instance.state(scope.now) != InstanceState::Terminated
    })
}
