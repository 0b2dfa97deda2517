//! The elastic addresses of a new instance: which come over, and which stay where they are.

use super::Mode;
use super::deciding::Deciding;
use super::network::index_of;
use super::obstacles::Obstacle;
use super::overrides::ElasticIps;
use super::surroundings::Holder;
use crate::configuration::InterfaceConfiguration;

impl Deciding<'_> {
    pub(super) fn elastic_ips_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let beside = matches!(self.mode, Mode::Clone | Mode::Rehearsal | Mode::Image);
        let choice = self.overrides.elastic_ips.or(beside.then_some(ElasticIps::Leave));
        for interface in interfaces.iter_mut() {
            let root = format!("interfaces.{}.elastic_ips", index_of(interface));
            for private in &mut interface.private_addresses {
                let Some(allocation) = private.allocation_id.clone() else {
                    continue;
                };
                let public = private.public_ip.clone().unwrap_or_else(|| allocation.clone());
                if choice == Some(ElasticIps::Leave) {
                    // A public address that AWS lends takes its place, where it can.
                    private.allocation_id = None;
                    self.reasons
                        .insert(root.clone(), "elastic addresses stay where they are".to_owned());
                    continue;
                }
                let ours = |holder: &Holder| {
                    holder.is_nobody()
                        || self.mode == Mode::Destructive
                            && holder.instance_id.as_ref() == Some(self.resource)
                        || (!interface.network_interface_id.is_empty()
                            && holder.interface_id.as_ref() == Some(&interface.network_interface_id))
                };
                let standing = self.replaced().is_some_and(|original| {
                    let mut addresses = original.interfaces.iter().flat_map(|now| &now.private_addresses);
                    addresses.any(|now| now.allocation_id.as_ref() == Some(&allocation))
                });
                if standing {
                    // It comes over with the interface, also where the original got it after the backup.
                    continue;
                }
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
}
