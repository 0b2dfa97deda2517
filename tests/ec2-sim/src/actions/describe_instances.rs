//! `DescribeInstances`, and an instance as every answer shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::page::find;
use crate::params::Params;
use crate::world::address::public_dns;
use crate::world::instance::{Instance, InstanceState};
use crate::xml::Xml;

use super::Scope;
use super::describe_interfaces::{write_groups, write_of_instance};
use super::instance_states::write_state;
use super::lookup::INSTANCES;

/// What an instance has of its image and does not show.
const NOT_SHOWN: &[&str] = &["ImdsSupport"];

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let visible = |instance: &Instance| instance.is_visible(scope.now) && instance.is_listed(scope.now);
    let found = find(&scope.region.instances, params, &INSTANCES, scope.view(), visible)?;
    let mut reservations: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in found.resources {
        reservations
            .entry(instance.reservation.as_str())
            .or_default()
            .push(instance);
    }
    let mut xml = Xml::new();
    xml.list("reservationSet", reservations.values(), |xml, instances| {
        write_reservation(instances, scope, Instance::state, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

/// Instances that one call launched, each in the state that the call's answer shows.
pub(super) fn write_reservation(
    instances: &[&Instance],
    scope: &Scope<'_>,
    state: fn(&Instance, Timestamp) -> InstanceState,
    xml: &mut Xml,
) {
    xml.maybe(
        "reservationId",
        instances.first().map(|instance| &instance.reservation),
    )
    .text("ownerId", scope.account)
    .block("groupSet", |_| {});
    xml.list("instancesSet", instances, |xml, instance| {
        write(instance, state(instance, scope.now), scope, xml);
    });
}

fn write(instance: &Instance, state: InstanceState, scope: &Scope<'_>, xml: &mut Xml) {
    let launch = &instance.launch;
    xml.text("instanceId", &instance.id)
        .text("imageId", &launch.image);
    write_state("instanceState", state, xml);
    if let Some(code) = instance.state_reason(scope.now) {
        xml.block("stateReason", |xml| {
            xml.text("code", code)
                .text("message", format!("{code}: User initiated"));
        });
    }
    write_addresses(instance, scope, xml);
    xml.text("reason", instance.transition_reason().unwrap_or_default())
        .maybe("keyName", launch.key_name.as_ref())
        .text("amiLaunchIndex", instance.launch_index)
        .text("instanceType", &launch.instance_type)
        .text("launchTime", iso(instance.launched_at))
        .maybe("kernelId", launch.kernel.as_ref())
        .maybe("ramdiskId", launch.ramdisk.as_ref());
    launch.placement.write("placement", xml);
    xml.block("monitoring", |xml| {
        xml.text("state", if launch.monitoring { "enabled" } else { "disabled" });
    });
    instance.hardware.without(NOT_SHOWN).write_fields(xml);
    instance.billing.write(xml);
    xml.text("rootDeviceType", "ebs")
        .text("rootDeviceName", &instance.root_device);
    write_devices(instance, scope, xml);
    xml.text("clientToken", launch.client_token.as_deref().unwrap_or_default());
    instance.tags.write(xml);
    xml.text("hypervisor", "xen");
    write_network(instance, scope, xml);
    if let Some(profile) = &launch.profile {
        xml.block("iamInstanceProfile", |xml| {
            xml.text("arn", &profile.arn).text("id", &profile.id);
        });
    }
    xml.text("ebsOptimized", launch.ebs_optimized);
    if launch.is_spot() {
        xml.text("instanceLifecycle", "spot");
    }
    launch.cpu.write("cpuOptions", xml);
    launch
        .capacity_reservation
        .write("capacityReservationSpecification", xml);
    launch.hibernation.write("hibernationOptions", xml);
    if !launch.licenses.is_empty() {
        xml.list("licenseSet", &launch.licenses, |xml, license| {
            xml.text("licenseConfigurationArn", license);
        });
    }
    launch.metadata.write("metadataOptions", xml);
    launch.enclave.write("enclaveOptions", xml);
    launch.private_dns.write("privateDnsNameOptions", xml);
    launch.maintenance.write("maintenanceOptions", xml);
    launch.network_performance.write("networkPerformanceOptions", xml);
    xml.text("usageOperationUpdateTime", iso(instance.launched_at))
        .text("currentInstanceBootMode", instance.current_boot_mode());
}

/// The EBS devices, as an instance and its attribute show them.
pub(super) fn write_devices(instance: &Instance, scope: &Scope<'_>, xml: &mut Xml) {
    xml.list(
        "blockDeviceMapping",
        instance.attached(scope.region),
        |xml, (volume, attachment)| {
            xml.text("deviceName", &attachment.device).block("ebs", |xml| {
                xml.text("volumeId", &volume.id)
                    .text("status", "attached")
                    .text("attachTime", iso(attachment.attached_at))
                    .text("deleteOnTermination", attachment.delete_on_termination);
            });
        },
    );
}

fn write_addresses(instance: &Instance, scope: &Scope<'_>, xml: &mut Xml) {
    let Some(primary) = instance.primary_interface(scope.region) else {
        xml.text("privateDnsName", "").text("dnsName", "");
        return;
    };
    let region = &scope.region.name;
    let public = scope.region.public_address(primary);
    xml.text("privateDnsName", primary.private_dns(region))
        .text(
            "dnsName",
            public
                .map(|address| public_dns(address, region))
                .unwrap_or_default(),
        )
        .text("privateIpAddress", primary.address)
        .maybe("ipAddress", public)
        .maybe("ipv6Address", primary.more.ipv6.first())
        .text("subnetId", &primary.subnet)
        .text("vpcId", &scope.region.network.vpc.id)
        .text("sourceDestCheck", primary.source_dest_check);
    write_groups(&primary.groups, scope, xml);
}

fn write_network(instance: &Instance, scope: &Scope<'_>, xml: &mut Xml) {
    let interfaces = instance.interfaces(scope.region);
    xml.list("networkInterfaceSet", interfaces, |xml, interface| {
        write_of_instance(interface, scope, xml);
    });
}
