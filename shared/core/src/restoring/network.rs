//! The interfaces of a new instance: which of them, in which subnets, with which security groups.

use super::Mode;
use super::deciding::Deciding;
use super::elastic::give_up_public;
use super::overrides::Interfaces;
use crate::configuration::{InstanceConfiguration, InterfaceConfiguration, PrivateAddress};

impl Deciding<'_> {
    pub(super) fn set_interfaces(&mut self, target: &mut InstanceConfiguration) {
        let captured = self.captured.interfaces.clone();
        let for_image = (self.mode == Mode::Image).then_some(Interfaces::PrimaryOnly);
        let choice = self.overrides.interfaces.or(for_image);
        let mut interfaces: Vec<InterfaceConfiguration> = captured
            .into_iter()
            .filter(|interface| choice != Some(Interfaces::PrimaryOnly) || interface.is_primary())
            .collect();
        if interfaces.len() < self.captured.interfaces.len() {
            self.because("interfaces", "only the primary interface was asked for");
        }
        if let Some(most) = target
            .instance_type
            .as_ref()
            .and_then(|kind| self.around.instance_types.get(kind)?.most_interfaces)
            && usize::try_from(most).is_ok_and(|most| interfaces.len() > most)
        {
            let problem = format!(
                "there are {} interfaces, and the type takes {most}",
                interfaces.len()
            );
            if self.mode == Mode::Destructive {
                let choice = format!("a type that takes {} interfaces", interfaces.len());
                self.block("overrides.instance_type", problem, [choice]);
            } else {
                self.block("overrides.interfaces", problem, ["primary_only"]);
            }
        }
        let zone = self.subnets_of(&mut interfaces);
        self.take_over(&mut interfaces);
        self.groups_of(&mut interfaces);
        self.addresses_of(&mut interfaces);
        self.elastic_ips_of(&mut interfaces);
        self.check_room(&interfaces);
        let primary = interfaces.iter().find(|interface| interface.is_primary());
        target.subnet_id = primary.and_then(|primary| primary.subnet_id.clone());
        target.vpc_id = primary.and_then(|primary| primary.vpc_id.clone());
        target.security_groups = primary
            .map(|primary| primary.security_groups.clone())
            .unwrap_or_default();
        target.source_dest_check = primary.and_then(|primary| primary.source_dest_check);
        if zone.is_some() && zone != target.placement.availability_zone {
            self.because("placement.availability_zone", "the subnet lies in another zone");
        }
        target.placement.availability_zone = zone.or(target.placement.availability_zone.take());
        for volume in &mut target.volumes {
            volume
                .availability_zone
                .clone_from(&target.placement.availability_zone);
        }
        target.interfaces = interfaces;
    }

    /// Puts every interface into a subnet that is there, all in one zone. Gives the zone.
    fn subnets_of(&mut self, interfaces: &mut [InterfaceConfiguration]) -> Option<String> {
        let asked = self.overrides.subnet_id.as_ref();
        let mut zone: Option<String> = None;
        for interface in interfaces.iter_mut() {
            let primary = interface.is_primary();
            // What is rehearsed must reach nothing through any of its interfaces.
            let all = self.mode == Mode::Rehearsal || self.overrides.interfaces == Some(Interfaces::All);
            let moved = asked.filter(|_| primary || all);
            let Some(id) = moved.cloned().or_else(|| interface.subnet_id.clone()) else {
                continue;
            };
            let Some(subnet) = self.around.subnets.get(&id).cloned() else {
                if primary {
                    let known: Vec<String> = self.around.subnets.keys().take(10).cloned().collect();
                    let choices = if known.is_empty() {
                        vec!["a subnet of this region".to_owned()]
                    } else {
                        known
                    };
                    self.block_network(
                        "overrides.subnet_id",
                        format!("the subnet {id} is not there"),
                        choices,
                    );
                } else {
                    self.block_network(
                        "overrides.interfaces",
                        format!("the subnet {id} of interface {} is not there", interface.place()),
                        ["primary_only", "all, with subnet_id: every interface goes there"],
                    );
                }
                continue;
            };
            match &zone {
                None => zone = Some(subnet.zone.clone()),
                Some(zone) if *zone != subnet.zone => {
                    let problem = format!(
                        "interface {} is in {id} in {}, and the primary one in {zone}",
                        interface.place(),
                        subnet.zone
                    );
                    self.block_network(
                        "overrides.interfaces",
                        problem,
                        ["primary_only", "all, with subnet_id: every interface goes there"],
                    );
                }
                Some(_) => {}
            }
            if interface.subnet_id.as_ref() != Some(&id) {
                for field in ["subnet_id", "vpc_id"] {
                    let field = format!("interfaces.{}.{field}", interface.place());
                    self.because(field, "the subnet was asked for");
                }
            }
            interface.subnet_id = Some(id);
            interface.vpc_id = Some(subnet.vpc_id);
        }
        zone
    }

    /// Takes interfaces that come over as they are by now. What has changed on them since the backup stays as it is:
    /// others may count on it, and the captured group or address may long be gone.
    fn take_over(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let going_back = self.elastic_ips_going_back(interfaces);
        for interface in interfaces.iter_mut() {
            let Some(now) = self.comes_over(&interface.network_interface_id).cloned() else {
                continue;
            };
            let captured = interface.clone();
            let mut private_addresses = now.private_addresses;
            for private in &mut private_addresses {
                let mut before = captured.private_addresses.iter();
                let before = before.find(|before| before.address == private.address);
                let goes_back = |private: &PrivateAddress| {
                    let allocation = private.allocation_id.as_ref();
                    allocation.is_some_and(|allocation| going_back.contains(allocation))
                };
                if let Some(before) = before.filter(|before| goes_back(before)) {
                    *private = before.clone();
                } else if goes_back(private) {
                    give_up_public(private);
                }
            }
            interface.private_addresses = private_addresses;
            interface.security_groups = now.security_groups;
            interface.description = now.description;
            interface.ipv6_addresses = now.ipv6_addresses;
            interface.ipv4_prefixes = now.ipv4_prefixes;
            interface.ipv6_prefixes = now.ipv6_prefixes;
            interface.tags = now.tags;
            if captured.source_dest_check != Some(false) {
                interface.source_dest_check = now.source_dest_check;
            }
            if *interface != captured {
                let why = "changed since the backup; the interface comes over as it is";
                self.because(format!("interfaces.{}", captured.place()), why);
            }
        }
    }

    fn groups_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let field = "overrides.security_group_ids";
        let mut told = Vec::new();
        for interface in interfaces.iter_mut() {
            if self.comes_over(&interface.network_interface_id).is_some() {
                // It comes over with groups that are there: they are in use.
                continue;
            }
            if !self.overrides.security_group_ids.is_empty() {
                interface
                    .security_groups
                    .clone_from(&self.overrides.security_group_ids);
            }
            for group in interface.security_groups.clone() {
                if told.contains(&group) {
                    continue;
                }
                match self.around.security_groups.get(&group) {
                    None => {
                        self.block_network(
                            field,
                            format!("the security group {group} is not there"),
                            ["groups of the subnet's VPC"],
                        );
                        told.push(group);
                    }
                    Some(vpc) if interface.vpc_id.as_ref().is_some_and(|own| own != vpc) => {
                        let own = interface.vpc_id.clone().unwrap_or_default();
                        self.block_network(
                            field,
                            format!("the security group {group} is in {vpc}, and the subnet in {own}"),
                            [format!("groups of {own}")],
                        );
                        told.push(group);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}
