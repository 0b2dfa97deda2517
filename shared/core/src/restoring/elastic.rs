//! The elastic addresses of a new instance: which come over, and which stay where they are.

use super::Mode;
use super::deciding::Deciding;
use super::obstacles::Obstacle;
use super::overrides::ElasticIps;
use super::surroundings::Holder;
use crate::configuration::{InterfaceConfiguration, PrivateAddress, Tags};
use std::collections::BTreeSet;

impl Deciding<'_> {
    pub(super) fn elastic_ips_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let choice = self.elastic_choice();
        // They come over with their interfaces, also where those got them after the backup.
        let standing: BTreeSet<String> = interfaces
            .iter()
            .filter_map(|interface| self.comes_over(&interface.network_interface_id))
            .flat_map(|now| &now.private_addresses)
            .filter_map(|private| private.allocation_id.clone())
            .collect();
        for interface in interfaces.iter_mut() {
            let root = format!("interfaces.{}.elastic_ips", interface.place());
            let comes_over = self.comes_over(&interface.network_interface_id).is_some();
            for private in &mut interface.private_addresses {
                let Some(allocation) = private.allocation_id.clone() else {
                    continue;
                };
                let public = private.public_ip.clone().unwrap_or_else(|| allocation.clone());
                if choice == Some(ElasticIps::Leave) {
                    if !comes_over {
                        // A public address that AWS lends takes its place, where it can.
                        private.allocation_id = None;
                        self.because(root.clone(), "elastic addresses stay where they are");
                    }
                    continue;
                }
                if standing.contains(&allocation) {
                    continue;
                }
                let ours = |holder: &Holder| {
                    holder.is_nobody()
                        || self.mode == Mode::Destructive
                            && holder.instance_id.as_ref() == Some(self.resource)
                };
                let obstacle = match self.around.elastic_ips.get(&allocation) {
                    None => Some((
                        format!("the elastic address {public} ({allocation}) is not there"),
                        vec!["leave"],
                    )),
                    Some(holder) if !ours(holder) && choice.is_none() => {
                        let problem = format!("the elastic address {public} is with {}", holder.in_words());
                        Some((problem, vec!["take", "leave"]))
                    }
                    Some(_) => None,
                };
                if let Some((problem, choices)) = obstacle {
                    self.obstacles
                        .push(Obstacle::new("overrides.elastic_ips", problem, choices));
                }
            }
        }
    }

    /// The captured elastic addresses that go back to the private addresses they were on, by their allocations.
    pub(super) fn elastic_ips_going_back(&self, interfaces: &[InterfaceConfiguration]) -> BTreeSet<String> {
        let mut going_back = BTreeSet::new();
        if self.elastic_choice() == Some(ElasticIps::Leave) {
            return going_back;
        }
        for interface in interfaces {
            let now = self.comes_over(&interface.network_interface_id);
            let is_there = |captured: &&PrivateAddress| {
                let there = |now: &PrivateAddress| now.address == captured.address;
                now.is_none_or(|now| now.private_addresses.iter().any(there))
            };
            let addresses = interface.private_addresses.iter().filter(is_there);
            going_back.extend(addresses.filter_map(|private| private.allocation_id.clone()));
        }
        going_back
    }

    /// What becomes of elastic addresses, where it was asked for or follows from the mode.
    fn elastic_choice(&self) -> Option<ElasticIps> {
        let beside = matches!(self.mode, Mode::Clone | Mode::Rehearsal | Mode::Image);
        self.overrides.elastic_ips.or(beside.then_some(ElasticIps::Leave))
    }
}

/// Takes the public address from a private one.
pub(super) fn give_up_public(private: &mut PrivateAddress) {
    private.public_ip = None;
    private.allocation_id = None;
    private.elastic_ip_tags = Tags::new();
}
