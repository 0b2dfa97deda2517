//! What each EC2 action does. One file per group of actions.

mod addresses;
mod attach_volume;
mod copy_snapshot;
mod create_snapshots;
pub(crate) mod delete_snapshot;
mod describe_images;
mod describe_instances;
mod describe_interfaces;
mod describe_snapshots;
mod describe_status;
mod encryption;
mod image_states;
mod instance_attribute;
mod instance_states;
mod instance_types;
mod interface_spec;
mod interfaces;
mod key_pairs;
mod launch_image;
mod launch_template_data;
mod lock_snapshot;
pub(crate) mod lookup;
mod new_interfaces;
pub(crate) mod outside;
pub(crate) mod parameters;
mod places;
mod register_image;
mod replace_root;
mod reserved;
pub(crate) mod run_instances;
mod security_groups;
mod share_snapshot;
mod snapshot_tier;
mod subnets;
pub(crate) mod tag_resources;
mod volumes;

use jiff::Timestamp;

use crate::error::Ec2Error;
use crate::filter::View;
use crate::params::Params;
use crate::random::IdSource;
use crate::settings::Settings;
use crate::world::Region;
use crate::xml::Xml;

use self::outside::Outside;

/// What an action works on: one region of one account at one moment.
pub(crate) struct Scope<'a> {
    pub(crate) now: Timestamp,
    pub(crate) account: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) region: &'a mut Region,
    pub(crate) ids: &'a IdSource,
    /// What other accounts bring to the action and get from it.
    pub(crate) outside: Outside,
}

impl Scope<'_> {
    pub(crate) fn view(&self) -> View<'_> {
        View {
            now: self.now,
            account: self.account,
            region: self.region,
        }
    }
}

/// Acts and answers. An action that answers an error has changed nothing.
pub(crate) type Handler = fn(&mut Scope<'_>, &Params) -> Result<Xml, Ec2Error>;

/// What does an action; none for an action that the simulator does not know.
pub(crate) fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "AllocateAddress" => addresses::allocate,
        "AssociateAddress" => addresses::associate,
        "AttachNetworkInterface" => interfaces::attach,
        "AttachVolume" => attach_volume::attach,
        "CancelCapacityReservation" => reserved::cancel_reservation,
        "CopySnapshot" => copy_snapshot::copy,
        "CreateImage" => register_image::create_from_instance,
        "CreateKeyPair" => key_pairs::create,
        "CreateNetworkInterface" => interfaces::create,
        "CreateReplaceRootVolumeTask" => replace_root::create,
        "CreateSecurityGroup" => security_groups::create,
        "CreateSnapshot" => create_snapshots::create_one,
        "CreateSnapshots" => create_snapshots::create_set,
        "CreateSubnet" => subnets::create,
        "CreateTags" => tag_resources::create,
        "CreateVolume" => volumes::create,
        "DeleteKeyPair" => key_pairs::delete,
        "DeleteNetworkInterface" => interfaces::delete,
        "DeletePlacementGroup" => reserved::delete_group,
        "DeleteSecurityGroup" => security_groups::delete,
        "DeleteSnapshot" => delete_snapshot::delete,
        "DeleteSubnet" => subnets::delete,
        "DeleteTags" => tag_resources::delete,
        "DeleteVolume" => volumes::delete,
        "DeregisterImage" => image_states::deregister,
        "DescribeAddresses" => addresses::describe,
        "DescribeAvailabilityZones" => places::describe_zones,
        "DescribeCapacityReservations" => reserved::describe_reservations,
        "DescribeHosts" => reserved::describe_hosts,
        "DescribeImages" => describe_images::describe,
        "DescribeInstanceAttribute" => instance_attribute::describe,
        "DescribeInstanceStatus" => describe_status::describe,
        "DescribeInstanceTypeOfferings" => instance_types::describe_offerings,
        "DescribeInstanceTypes" => instance_types::describe,
        "DescribeInstances" => describe_instances::describe,
        "DescribeKeyPairs" => key_pairs::describe,
        "DescribeLockedSnapshots" => lock_snapshot::describe,
        "DescribeNetworkInterfaces" => describe_interfaces::describe,
        "DescribePlacementGroups" => reserved::describe_groups,
        "DescribeRegions" => places::describe_regions,
        "DescribeReplaceRootVolumeTasks" => replace_root::describe,
        "DescribeSecurityGroups" => security_groups::describe,
        "DescribeSnapshotAttribute" => share_snapshot::describe,
        "DescribeSnapshotTierStatus" => snapshot_tier::describe,
        "DescribeSnapshots" => describe_snapshots::describe,
        "DescribeSubnets" => subnets::describe,
        "DescribeTags" => tag_resources::describe,
        "DescribeVolumes" => volumes::describe,
        "DescribeVpcs" => subnets::describe_vpcs,
        "DetachNetworkInterface" => interfaces::detach,
        "DetachVolume" => attach_volume::detach,
        "DisableEbsEncryptionByDefault" => encryption::disable,
        "DisableImage" => image_states::disable,
        "DisassociateAddress" => addresses::disassociate,
        "EnableEbsEncryptionByDefault" => encryption::enable,
        "EnableImage" => image_states::enable,
        "GetEbsDefaultKmsKeyId" => encryption::key_id,
        "GetEbsEncryptionByDefault" => encryption::is_by_default,
        "GetLaunchTemplateData" => launch_template_data::get,
        "ImportKeyPair" => key_pairs::import,
        "LockSnapshot" => lock_snapshot::lock,
        "ModifyEbsDefaultKmsKeyId" => encryption::modify_key,
        "ModifyInstanceAttribute" => instance_attribute::modify,
        "ModifyNetworkInterfaceAttribute" => interfaces::modify,
        "ModifySnapshotAttribute" => share_snapshot::modify,
        "ModifySnapshotTier" => snapshot_tier::modify,
        "RegisterImage" => register_image::register,
        "ReleaseAddress" => addresses::release,
        "ReleaseHosts" => reserved::release_hosts,
        "ResetEbsDefaultKmsKeyId" => encryption::reset_key,
        "ResetSnapshotAttribute" => share_snapshot::reset,
        "RestoreSnapshotTier" => snapshot_tier::restore,
        "RunInstances" => run_instances::run,
        "StartInstances" => instance_states::start,
        "StopInstances" => instance_states::stop,
        "TerminateInstances" => instance_states::terminate,
        "UnlockSnapshot" => lock_snapshot::unlock,
        _ => return None,
    })
}
