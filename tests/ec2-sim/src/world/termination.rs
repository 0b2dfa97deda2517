//! What becomes of an instance's volumes and interfaces when it has ended.

use jiff::Timestamp;

use crate::world::Region;
use crate::world::instance::{Instance, InstanceState};

impl Region {
    /// Ends what belongs to instances that have ended meanwhile.
    pub(crate) fn settle_terminations(&mut self, now: Timestamp) {
        let has_ended = |instance: Option<&Instance>| {
            instance.is_none_or(|instance| instance.state(now) == InstanceState::Terminated)
        };
        let ended: Vec<String> = self
            .ending
            .iter()
            .filter(|id| has_ended(self.instances.get(id.as_str())))
            .cloned()
            .collect();
        for id in ended {
            self.ending.remove(&id);
            self.release(&id);
        }
    }

    /// Deletes or detaches what an instance had.
    pub(crate) fn release(&mut self, instance: &str) {
        let Some(found) = self.instances.get_mut(instance) else {
            return;
        };
        let (volumes, interfaces) = (
            std::mem::take(&mut found.volumes),
            std::mem::take(&mut found.interfaces),
        );
        for volume in volumes {
            let Some(entry) = self.volumes.get_mut(&volume) else {
                continue;
            };
            let left = entry.leave(instance);
            if entry.attachments.is_empty() && left.is_some_and(|left| left.delete_on_termination) {
                self.volumes.remove(&volume);
            }
        }
        for interface in interfaces {
            let Some(entry) = self.interfaces.get_mut(&interface) else {
                continue;
            };
            entry.lent_public = None;
            if entry
                .attachment
                .take()
                .is_some_and(|attachment| attachment.delete_on_termination)
            {
                if let Some(subnet) = self.network.subnet_mut(&entry.subnet) {
                    entry.give_back(subnet);
                }
                self.interfaces.remove(&interface);
            }
        }
        self.settle_associations();
    }
}
