//! Where a new instance stands: placement group, dedicated host, capacity reservation, and a zone that has its type.

use super::deciding::Deciding;
use super::overrides::PlacementChoice;
use crate::configuration::{CapacityReservation, InstanceConfiguration, Placement};

impl Deciding<'_> {
    pub(super) fn set_placement(&mut self, target: &mut InstanceConfiguration) {
        match (self.overrides.placement, self.held.is_replica) {
            (Some(PlacementChoice::Default), _) => {
                target.placement = Placement {
                    tenancy: Some("default".to_owned()),
                    ..Placement::default()
                };
                target.capacity_reservation = CapacityReservation {
                    preference: Some("open".to_owned()),
                    ..CapacityReservation::default()
                };
            }
            (_, false) => self.check_places(),
            (None, true) => self.refuse_bound(),
            // What bears the same name where a replica lies is for EC2 to say.
            (Some(PlacementChoice::AsCaptured), true) => {}
        }
    }

    /// What the captured instance is bound to stays in its region.
    fn refuse_bound(&mut self) {
        let placement = &self.captured.placement;
        let reservation = &self.captured.capacity_reservation;
        let bound = [
            (
                "dedicated host",
                placement.host_id.is_some() || placement.host_resource_group_arn.is_some(),
            ),
            (
                "placement group",
                placement.group().is_some() || placement.group_id.is_some(),
            ),
            (
                "capacity reservation",
                reservation.reservation_id.is_some() || reservation.resource_group_arn.is_some(),
            ),
        ];
        let names: Vec<&str> = bound
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if !names.is_empty() {
            let problem = format!(
                "{} of the captured instance belongs to its region",
                names.join(" and ")
            );
            self.block("overrides.placement", problem, ["default"]);
        }
    }

    /// Whether what the captured instance is bound to is still there.
    fn check_places(&mut self) {
        let placement = &self.captured.placement;
        let reservation = &self.captured.capacity_reservation;
        let bound = [
            ("placement group", placement.group()),
            ("dedicated host", placement.host_id.as_deref()),
            ("capacity reservation", reservation.reservation_id.as_deref()),
        ];
        let gone: Vec<String> = bound
            .into_iter()
            .filter_map(|(what, name)| Some((what, name?)))
            .filter(|(_, name)| !self.around.places.contains(*name))
            .map(|(what, name)| format!("the {what} {name} is not there"))
            .collect();
        for problem in gone {
            self.block("overrides.placement", problem, ["default"]);
        }
    }

    /// Whether the zone has what the instance is to stand in, and its type.
    pub(super) fn check_zone(&mut self, target: &InstanceConfiguration) {
        let (Some(kind), Some(zone)) = (&target.instance_type, &target.placement.availability_zone) else {
            return;
        };
        let own = self.captured.placement.availability_zone.as_ref();
        let bound = [
            ("dedicated host", &target.placement.host_id),
            (
                "capacity reservation",
                &target.capacity_reservation.reservation_id,
            ),
        ];
        for (what, id) in bound {
            let own = own.filter(|own| *own != zone && !self.held.is_replica);
            if let (Some(id), Some(own)) = (id, own) {
                let problem = format!("the {what} {id} is in {own}, and the subnet in {zone}");
                self.block("overrides.placement", problem, ["default"]);
            }
        }
        // A type that is offered nowhere is told of before, and so is a subnet that is not there.
        let subnet = target
            .subnet_id
            .as_ref()
            .and_then(|id| self.around.subnets.get(id));
        let facts = self.around.instance_types.get(kind);
        let facts = facts.filter(|_| subnet.is_some_and(|subnet| !subnet.on_outpost));
        if let Some(facts) = facts.filter(|facts| !facts.zones.contains(zone)) {
            let zones: Vec<&str> = facts.zones.iter().map(String::as_str).collect();
            let problem = format!("{kind} is not offered in {zone}, but in {}", zones.join(", "));
            self.block_type(problem, format!("a type that is offered in {zone}"));
        }
    }
}
