//! `DescribeImages`.

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::page::find;
use crate::params::Params;
use crate::world::image::{Image, ImageState};
use crate::world::launch::DeviceSpec;
use crate::xml::Xml;

use super::Scope;
use super::describe_snapshots::accounts;
use super::lookup::IMAGES;

/// A disabled image is shown only to who asks for disabled ones or names it, and so is a deprecated one to others than its
/// owner.
pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let owners = accounts(params, "Owner", scope.account);
    let is_named = !params.list("ImageId").is_empty();
    let with_disabled = params.flag("IncludeDisabled")?.unwrap_or_default() || is_named;
    let with_deprecated = params.flag("IncludeDeprecated")?.unwrap_or_default() || is_named;
    let visible = |image: &Image| {
        scope.now >= image.visible_at
            && (with_disabled || !image.is_disabled)
            && (with_deprecated || !image.is_deprecated || image.owner == scope.account)
            && (owners.is_empty() || owners.contains(&image.owner.as_str()))
    };
    let found = find(&scope.region.images, params, &IMAGES, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list("imagesSet", found.resources, |xml, image| {
        write(image, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(image: &Image, scope: &Scope<'_>, xml: &mut Xml) {
    let state = image.state(scope.region, scope.now);
    image.tags.write(xml);
    xml.text("imageId", &image.id)
        .text("imageLocation", format!("{}/{}", image.owner, image.name))
        .text("imageState", state.word())
        .text("imageOwnerId", &image.owner)
        .text("creationDate", iso(image.created_at))
        .text("isPublic", image.owner != scope.account)
        .text("imageType", "machine")
        .text("name", &image.name)
        .text("rootDeviceType", "ebs")
        .text("rootDeviceName", &image.root_device)
        .text("hypervisor", "xen")
        .maybe("sourceInstanceId", image.instance.as_ref());
    image.billing.write(xml);
    image.settings.write_fields(xml);
    xml.list("blockDeviceMapping", &image.devices, |xml, device| {
        write_device(device, scope, xml);
    });
    if let ImageState::Failed { message } = state {
        xml.block("stateReason", |xml| {
            xml.text("code", "Client.InvalidSnapshot")
                .text("message", message);
        });
    }
}

fn write_device(device: &DeviceSpec, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("deviceName", &device.device)
        .maybe("virtualName", device.virtual_name.as_ref());
    if device.virtual_name.is_some() {
        return;
    }
    let ebs = &device.ebs;
    let source = ebs
        .snapshot
        .as_ref()
        .and_then(|id| scope.region.snapshots.get(id.as_str()));
    let is_encrypted = source.map_or(ebs.encrypted == Some(true), |source| source.key.is_some());
    xml.block("ebs", |xml| {
        xml.maybe("snapshotId", ebs.snapshot.as_ref())
            .maybe("volumeSize", ebs.size_gib)
            .maybe("volumeType", ebs.kind)
            .maybe("iops", ebs.iops)
            .maybe("throughput", ebs.throughput)
            .maybe("deleteOnTermination", ebs.delete_on_termination)
            .text("encrypted", is_encrypted);
    });
}
