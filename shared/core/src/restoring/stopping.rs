//! Instances that nobody may stop: those that run in an Auto Scaling group, and spot instances.

use super::blueprint::is_running;
use super::deciding::Deciding;
use crate::configuration::InstanceConfiguration;

/// The tag that EC2 Auto Scaling puts on the instances of a group.
const AUTO_SCALING_GROUP: &str = "aws:autoscaling:groupName";

/// An Auto Scaling group takes an instance that stops for a broken one and terminates it, with its volumes.
pub(super) fn auto_scaling_group(original: &InstanceConfiguration) -> Option<&String> {
    original.tags.get(AUTO_SCALING_GROUP)
}

pub(super) fn refuse_group(deciding: &mut Deciding<'_>, original: &InstanceConfiguration) {
    if let Some(group) = auto_scaling_group(original).filter(|_| is_running(original)) {
        let problem = format!(
            "the original belongs to Auto Scaling group {group}, which terminates an instance that stops; detach it \
             from the group first"
        );
        deciding.block("mode", problem, ["clone", "non_destructive", "volumes"]);
    }
}

pub(super) fn refuse_spot(deciding: &mut Deciding<'_>, original: &InstanceConfiguration) {
    if original.lifecycle.as_deref() == Some("spot") {
        deciding.block(
            "mode",
            "the original is a spot instance, which cannot be stopped and started at will",
            ["clone", "non_destructive", "volumes"],
        );
    }
}
