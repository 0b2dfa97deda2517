//! `GetLaunchTemplateData`: what would launch an instance like this one.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::instance::Instance;
use crate::world::interface::Interface;
use crate::world::volume::{Attachment, Volume};
use crate::xml::Xml;

use super::Scope;

pub(super) fn get(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let instance = scope.instance(params.required("InstanceId")?)?;
    if instance.state(scope.now).is_ending() {
        return Err(Ec2Error::new(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in a state for which this is possible.",
                instance.id
            ),
        ));
    }
    let mut xml = Xml::new();
    xml.block("launchTemplateData", |xml| write(instance, scope, xml));
    Ok(xml)
}

fn write(instance: &Instance, scope: &Scope<'_>, xml: &mut Xml) {
    let launch = &instance.launch;
    xml.maybe("kernelId", launch.kernel.as_ref())
        .text("ebsOptimized", launch.ebs_optimized);
    if let Some(profile) = &launch.profile {
        xml.block("iamInstanceProfile", |xml| {
            xml.text("arn", &profile.arn);
        });
    }
    xml.block("blockDeviceMappingSet", |xml| {
        for (volume, attachment) in instance.attached(scope.region) {
            xml.block("item", |xml| write_device(volume, attachment, xml));
        }
        for (device, name) in &instance.host_disks {
            xml.block("item", |xml| {
                xml.text("deviceName", device).text("virtualName", name);
            });
        }
    });
    xml.list(
        "networkInterfaceSet",
        instance.interfaces(scope.region),
        write_interface,
    );
    xml.text("imageId", &launch.image)
        .text("instanceType", &launch.instance_type)
        .maybe("keyName", launch.key_name.as_ref())
        .block("monitoring", |xml| {
            xml.text("enabled", launch.monitoring);
        });
    launch.placement.write("placement", xml);
    xml.maybe("ramDiskId", launch.ramdisk.as_ref())
        .text("disableApiTermination", launch.protection.termination)
        .text("instanceInitiatedShutdownBehavior", launch.shutdown)
        .maybe("userData", launch.user_data.as_ref());
    if !instance.tags.is_empty() {
        xml.list("tagSpecificationSet", [&instance.tags], |xml, tags| {
            xml.text("resourceType", "instance");
            tags.write(xml);
        });
    }
    launch.market.write("instanceMarketOptions", xml);
    if let Some(credits) = &launch.cpu_credits {
        xml.block("creditSpecification", |xml| {
            xml.text("cpuCredits", credits);
        });
    }
    launch.cpu.write("cpuOptions", xml);
    launch
        .capacity_reservation
        .write("capacityReservationSpecification", xml);
    if !launch.licenses.is_empty() {
        xml.list("licenseSet", &launch.licenses, |xml, license| {
            xml.text("licenseConfigurationArn", license);
        });
    }
    launch.hibernation.write("hibernationOptions", xml);
    launch.metadata.write("metadataOptions", xml);
    launch.enclave.write("enclaveOptions", xml);
    launch.private_dns.write("privateDnsNameOptions", xml);
    launch.maintenance.write("maintenanceOptions", xml);
    xml.text("disableApiStop", launch.protection.stop);
}

fn write_device(volume: &Volume, attachment: &Attachment, xml: &mut Xml) {
    xml.text("deviceName", &attachment.device).block("ebs", |xml| {
        xml.text("encrypted", volume.key.is_some())
            .text("deleteOnTermination", attachment.delete_on_termination)
            .maybe("iops", volume.iops)
            .maybe("kmsKeyId", volume.key.as_ref())
            .maybe("snapshotId", volume.snapshot.as_ref())
            .text("volumeSize", volume.size_gib)
            .text("volumeType", volume.kind)
            .maybe("throughput", volume.throughput);
    });
}

fn write_interface(xml: &mut Xml, interface: &Interface) {
    let attachment = interface.attachment.as_ref();
    xml.text("description", &interface.description)
        .maybe(
            "deviceIndex",
            attachment.map(|attachment| attachment.device_index),
        )
        .maybe(
            "deleteOnTermination",
            attachment.map(|attachment| attachment.delete_on_termination),
        )
        .text("subnetId", &interface.subnet)
        .maybe(
            "networkCardIndex",
            attachment.map(|attachment| attachment.card_index),
        )
        .text("interfaceType", &interface.kind)
        .text("associatePublicIpAddress", interface.lent_public.is_some())
        .texts("groupSet", "groupId", &interface.groups);
    xml.list("privateIpAddressesSet", interface.addresses(), |xml, address| {
        xml.text("privateIpAddress", address)
            .text("primary", address == interface.address);
    });
    let more = &interface.more;
    xml.list("ipv6AddressesSet", &more.ipv6, |xml, address| {
        xml.text("ipv6Address", address);
    });
    xml.list("ipv4PrefixSet", &more.prefixes, |xml, first| {
        xml.text("ipv4Prefix", format!("{first}/28"));
    });
    xml.list("ipv6PrefixSet", &more.prefixes6, |xml, first| {
        xml.text("ipv6Prefix", format!("{first}/80"));
    });
    xml.maybe("primaryIpv6", more.has_primary_ipv6.then_some(true));
    interface.tracking.write("connectionTrackingSpecification", xml);
}
