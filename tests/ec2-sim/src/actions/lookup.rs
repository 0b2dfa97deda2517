//! Finding what a call names, and AWS's answers when it is not there.

use crate::error::Ec2Error;
use crate::ids::has_form;
use crate::page::DescribeRules;
use crate::world::image::Image;
use crate::world::instance::Instance;
use crate::world::snapshot::Snapshot;
use crate::world::volume::Volume;

use super::Scope;

pub(super) const INSTANCES: DescribeRules = DescribeRules {
    ids: "InstanceId",
    ids_in_messages: "instancesSet",
    page_sizes: 5..=1000,
    check_id: check_instance_id,
    not_found: instances_not_found,
};

pub(super) const VOLUMES: DescribeRules = DescribeRules {
    ids: "VolumeId",
    ids_in_messages: "volumeSet",
    page_sizes: 5..=1000,
    check_id: check_volume_id,
    not_found: volumes_not_found,
};

pub(super) const SNAPSHOTS: DescribeRules = DescribeRules {
    ids: "SnapshotId",
    ids_in_messages: "snapshotSet",
    page_sizes: 5..=1000,
    check_id: check_snapshot_id,
    not_found: snapshots_not_found,
};

pub(super) const IMAGES: DescribeRules = DescribeRules {
    ids: "ImageId",
    ids_in_messages: "imageIds",
    page_sizes: 5..=1000,
    check_id: check_image_id,
    not_found: images_not_found,
};

fn check_image_id(id: &str) -> Result<(), Ec2Error> {
    if has_form(id, "ami-") {
        Ok(())
    } else {
        Err(Ec2Error::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ))
    }
}

fn check_instance_id(id: &str) -> Result<(), Ec2Error> {
    if has_form(id, "i-") {
        Ok(())
    } else {
        Err(Ec2Error::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ))
    }
}

fn check_volume_id(id: &str) -> Result<(), Ec2Error> {
    if has_form(id, "vol-") {
        Ok(())
    } else {
        Err(unexpected(id, "volumeId", "vol-..."))
    }
}

pub(super) fn check_snapshot_id(id: &str) -> Result<(), Ec2Error> {
    if has_form(id, "snap-") {
        Ok(())
    } else {
        Err(unexpected(id, "snapshotId", "snap-..."))
    }
}

/// AWS's answer to an id with the wrong form.
pub(crate) fn unexpected(id: &str, parameter: &str, form: &str) -> Ec2Error {
    Ec2Error::invalid_value(format!(
        "Value ({id}) for parameter {parameter} is invalid. Expected: '{form}'."
    ))
}

fn instances_not_found(ids: &[&str]) -> Ec2Error {
    let message = match ids {
        [id] => format!("The instance ID '{id}' does not exist"),
        ids => format!("The instance IDs '{}' do not exist", ids.join(", ")),
    };
    Ec2Error::new("InvalidInstanceID.NotFound", message)
}

fn volumes_not_found(ids: &[&str]) -> Ec2Error {
    let message = match ids {
        [id] => format!("The volume '{id}' does not exist."),
        ids => format!("The volumes '{}' do not exist.", ids.join(", ")),
    };
    Ec2Error::new("InvalidVolume.NotFound", message)
}

fn snapshots_not_found(ids: &[&str]) -> Ec2Error {
    let message = match ids {
        [id] => format!("The snapshot '{id}' does not exist."),
        ids => format!("The snapshots '{}' do not exist.", ids.join(", ")),
    };
    Ec2Error::new("InvalidSnapshot.NotFound", message)
}

fn images_not_found(ids: &[&str]) -> Ec2Error {
    let message = match ids {
        [id] => format!("The image id '[{id}]' does not exist"),
        ids => format!("The image ids '[{}]' do not exist", ids.join(", ")),
    };
    Ec2Error::new("InvalidAMIID.NotFound", message)
}

pub(super) fn image_unavailable(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidAMIID.Unavailable",
        format!("The image ID '{id}' is no longer available"),
    )
}

pub(crate) fn snapshot_not_found(id: &str) -> Ec2Error {
    snapshots_not_found(&[id])
}

impl Scope<'_> {
    /// An instance that can still be seen.
    pub(crate) fn instance(&self, id: &str) -> Result<&Instance, Ec2Error> {
        check_instance_id(id)?;
        self.region
            .instances
            .get(id)
            .filter(|instance| instance.is_visible(self.now))
            .ok_or_else(|| instances_not_found(&[id]))
    }

    pub(crate) fn instance_mut(&mut self, id: &str) -> Result<&mut Instance, Ec2Error> {
        check_instance_id(id)?;
        let now = self.now;
        self.region
            .instances
            .get_mut(id)
            .filter(|instance| instance.is_visible(now))
            .ok_or_else(|| instances_not_found(&[id]))
    }

    pub(crate) fn volume(&self, id: &str) -> Result<&Volume, Ec2Error> {
        check_volume_id(id)?;
        self.region
            .volumes
            .get(id)
            .ok_or_else(|| volumes_not_found(&[id]))
    }

    pub(crate) fn volume_mut(&mut self, id: &str) -> Result<&mut Volume, Ec2Error> {
        check_volume_id(id)?;
        self.region
            .volumes
            .get_mut(id)
            .ok_or_else(|| volumes_not_found(&[id]))
    }

    /// A registered image, disabled or not.
    pub(crate) fn image(&self, id: &str) -> Result<&Image, Ec2Error> {
        check_image_id(id)?;
        if self.region.deregistered_images.contains(id) {
            return Err(image_unavailable(id));
        }
        self.region.images.get(id).ok_or_else(|| images_not_found(&[id]))
    }

    /// A snapshot of the account itself.
    pub(crate) fn snapshot(&self, id: &str) -> Result<&Snapshot, Ec2Error> {
        check_snapshot_id(id)?;
        self.region
            .snapshots
            .get(id)
            .ok_or_else(|| snapshot_not_found(id))
    }

    pub(crate) fn snapshot_mut(&mut self, id: &str) -> Result<&mut Snapshot, Ec2Error> {
        check_snapshot_id(id)?;
        self.region
            .snapshots
            .get_mut(id)
            .ok_or_else(|| snapshot_not_found(id))
    }
}
