//! The image of a launch, and what it says of the instance.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::image::{Image, ImageState};
use crate::world::launch::{DeviceSpec, Launch, Options};

use super::Scope;
use super::lookup::image_unavailable;

/// The registered image with an id; none for an image that nobody registered, which every other `ami-…` is.
pub(super) fn launchable_image<'a>(scope: &'a Scope<'_>, id: &str) -> Result<Option<&'a Image>, Ec2Error> {
    if !id.starts_with("ami-") {
        return Err(Ec2Error::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    if scope.region.deregistered_images.contains(id) {
        return Err(image_unavailable(id));
    }
    let Some(image) = scope.region.images.get(id) else {
        return Ok(None);
    };
    match image.state(scope.region, scope.now) {
        ImageState::Available => Ok(Some(image)),
        state => Err(Ec2Error::new(
            "InvalidAMIID.Unavailable",
            format!("The image ID '{id}' is in the '{}' state.", state.word()),
        )),
    }
}

/// What an instance has of its image; what the image says of the launch goes there.
pub(super) fn hardware_of(
    image: Option<&Image>,
    launch: &mut Launch,
    params: &Params,
) -> Result<Options, Ec2Error> {
    let Some(image) = image else {
        let mut usual = Options::default();
        usual.set("Architecture", launch.architecture());
        usual.set("VirtualizationType", "hvm");
        usual.set("EnaSupport", "true");
        return Ok(usual);
    };
    let settings = &image.settings;
    let (of_type, of_image) = (launch.architecture(), settings.get("Architecture"));
    if (of_type == "arm64") != (of_image == Some("arm64")) {
        return Err(Ec2Error::invalid_value(format!(
            "The architecture '{of_type}' of the specified instance type does not match the architecture '{}' of the \
             specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
            of_image.unwrap_or_default()
        )));
    }
    launch.kernel = launch.kernel.take().or_else(|| owned(settings, "KernelId"));
    launch.ramdisk = launch.ramdisk.take().or_else(|| owned(settings, "RamdiskId"));
    if settings.get("ImdsSupport") == Some("v2.0") {
        for (field, value) in [("HttpTokens", "required"), ("HttpPutResponseHopLimit", "2")] {
            if params.text(&format!("MetadataOptions.{field}")).is_none() {
                launch.metadata.set(field, value);
            }
        }
    }
    Ok(settings.without(&["Description", "KernelId", "RamdiskId"]))
}

fn owned(settings: &Options, field: &str) -> Option<String> {
    settings.get(field).map(str::to_owned)
}

/// The root volume is made of the image's own snapshot, whatever else a call may say of it.
pub(super) fn check_root(image: &Image, specs: &[DeviceSpec]) -> Result<(), Ec2Error> {
    let root = |specs: &[DeviceSpec]| {
        let found = specs.iter().find(|spec| spec.device == image.root_device);
        found.and_then(|spec| spec.ebs.snapshot.clone())
    };
    match root(specs) {
        Some(named) if Some(&named) != root(&image.devices).as_ref() => Err(Ec2Error::new(
            "InvalidBlockDeviceMapping",
            "snapshotId cannot be modified on root device",
        )),
        _ => Ok(()),
    }
}

/// An image's devices with what the call says about them, and the call's others.
pub(super) fn over_image(image: &[DeviceSpec], mut call: Vec<DeviceSpec>) -> Vec<DeviceSpec> {
    for of_image in image {
        match call.iter_mut().find(|spec| spec.device == of_image.device) {
            None => call.push(of_image.clone()),
            Some(spec) if spec.no_device || spec.virtual_name.is_some() => {}
            Some(spec) => spec.ebs = spec.ebs.clone().or(&of_image.ebs),
        }
    }
    call
}
