//! Launching an instance as it was captured.

use super::volume::takes_iops;
use super::{refused, tag_specification};
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types as ec2types;
use holdfast_core::configuration::{
    InstanceConfiguration, InterfaceConfiguration, Tags, VolumeConfiguration,
};
use holdfast_core::ids::InstanceId;
use holdfast_core::restoring::boot::BootWay;
use holdfast_core::restoring::target::VolumeOrder;

/// What EC2 is asked to launch.
#[derive(Debug)]
pub struct LaunchOrder<'a> {
    /// The image.
    pub image_id: &'a str,
    /// Where it comes from.
    pub way: &'a BootWay,
    /// What the instance is to be.
    pub target: &'a InstanceConfiguration,
    /// The interfaces it is to have: for a candidate not the target's own.
    pub interfaces: &'a [InterfaceConfiguration],
    /// The volumes.
    pub volumes: &'a [VolumeOrder],
    /// Whether every volume ends with the instance, whatever the target says.
    pub ends_with_instance: bool,
    /// Whether the processor options are said.
    pub sets_cpu_options: bool,
    /// The client token.
    pub token: &'a str,
    /// Tags of the instance.
    pub instance_tags: &'a Tags,
    /// Tags of what comes with it.
    pub other_tags: &'a Tags,
}

/// Launches an instance. Asked again with the same token, EC2 gives the same instance.
///
/// Protection from being stopped or terminated is not asked for: whoever takes the launch back must be able to.
///
/// # Errors
/// EC2's refusal.
pub async fn launch(ec2: &Client, order: &LaunchOrder<'_>) -> Result<InstanceId, Refusal> {
    let target = order.target;
    // A donor boots its own system once, before the boot volume is exchanged: it gets no user data to run.
    let user_data = target
        .user_data
        .clone()
        .filter(|_| !order.way.exchanges_boot_volume());
    let profile = target.iam_instance_profile_arn.as_ref().map(|arn| {
        ec2types::IamInstanceProfileSpecification::builder()
            .arn(arn)
            .build()
    });
    let monitoring = ec2types::RunInstancesMonitoringEnabled::builder()
        .enabled(matches!(
            target.monitoring.as_deref(),
            Some("enabled" | "pending")
        ))
        .build();
    let mut run = ec2
        .run_instances()
        .min_count(1)
        .max_count(1)
        .image_id(order.image_id)
        .set_instance_type(target.instance_type.as_deref().map(ec2types::InstanceType::from))
        .set_key_name(target.key_name.clone())
        .set_user_data(user_data)
        .set_iam_instance_profile(profile)
        .monitoring(monitoring)
        .set_ebs_optimized(target.ebs_optimized)
        .set_instance_initiated_shutdown_behavior(
            target
                .instance_initiated_shutdown_behavior
                .as_deref()
                .map(ec2types::ShutdownBehavior::from),
        )
        .set_kernel_id(target.kernel_id.clone())
        .set_ramdisk_id(target.ramdisk_id.clone())
        .set_placement(Some(placement(target)))
        .set_metadata_options(Some(metadata(target)))
        .set_private_dns_name_options(Some(private_dns(target)))
        .set_maintenance_options(maintenance(target))
        .set_enclave_options(target.enclave_enabled.map(|enabled| {
            ec2types::EnclaveOptionsRequest::builder()
                .enabled(enabled)
                .build()
        }))
        .set_hibernation_options(target.hibernation_configured.map(|configured| {
            ec2types::HibernationOptionsRequest::builder()
                .configured(configured)
                .build()
        }))
        .set_capacity_reservation_specification(capacity_reservation(target))
        .set_block_device_mappings(Some(devices(order)))
        .set_network_interfaces(Some(interfaces(order.interfaces)))
        .client_token(order.token)
        .tag_specifications(tag_specification(
            ec2types::ResourceType::Instance,
            order.instance_tags,
        ))
        .tag_specifications(tag_specification(
            ec2types::ResourceType::Volume,
            order.other_tags,
        ));
    if order
        .interfaces
        .iter()
        .any(|interface| interface.network_interface_id.is_empty())
    {
        let tags = tag_specification(ec2types::ResourceType::NetworkInterface, order.other_tags);
        run = run.tag_specifications(tags);
    }
    if order.sets_cpu_options {
        run = run.set_cpu_options(cpu(target));
    }
    if let Some(credits) = &target.cpu_credits {
        let credits = ec2types::CreditSpecificationRequest::builder()
            .cpu_credits(credits)
            .build();
        run = run.credit_specification(credits);
    }
    run = run.set_network_performance_options(network_performance(target));
    for license in &target.licenses {
        let license = ec2types::LicenseConfigurationRequest::builder()
            .license_configuration_arn(license)
            .build();
        run = run.license_specifications(license);
    }
    let answer = run.send().await.map_err(|error| refusal(&error))?;
    let id = answer
        .instances()
        .first()
        .and_then(|instance| instance.instance_id());
    InstanceId::try_from(id.unwrap_or_default()).map_err(|error| refused(error.to_string()))
}

fn network_performance(
    target: &InstanceConfiguration,
) -> Option<ec2types::InstanceNetworkPerformanceOptionsRequest> {
    let weighting = target.bandwidth_weighting.as_deref();
    weighting
        .filter(|weighting| *weighting != "default")
        .map(|weighting| {
            ec2types::InstanceNetworkPerformanceOptionsRequest::builder()
                .bandwidth_weighting(ec2types::InstanceBandwidthWeighting::from(weighting))
                .build()
        })
}

fn placement(target: &InstanceConfiguration) -> ec2types::Placement {
    let placement = &target.placement;
    // EC2 knows a group by its name or its id, and refuses both at once.
    let name = placement.group().map(str::to_owned);
    let id = placement.group_id.clone().filter(|_| name.is_none());
    ec2types::Placement::builder()
        .set_availability_zone(placement.availability_zone.clone())
        .set_tenancy(placement.tenancy.as_deref().map(ec2types::Tenancy::from))
        .set_group_name(name)
        .set_group_id(id)
        .set_partition_number(placement.partition_number)
        .set_host_id(placement.host_id.clone())
        .set_affinity(placement.affinity.clone())
        .set_spread_domain(placement.spread_domain.clone())
        .set_host_resource_group_arn(placement.host_resource_group_arn.clone())
        .build()
}

fn metadata(target: &InstanceConfiguration) -> ec2types::InstanceMetadataOptionsRequest {
    let options = &target.metadata;
    ec2types::InstanceMetadataOptionsRequest::builder()
        .set_http_tokens(
            options
                .http_tokens
                .as_deref()
                .map(ec2types::HttpTokensState::from),
        )
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit)
        .set_http_endpoint(
            options
                .http_endpoint
                .as_deref()
                .map(ec2types::InstanceMetadataEndpointState::from),
        )
        .set_http_protocol_ipv6(
            options
                .http_protocol_ipv6
                .as_deref()
                .map(ec2types::InstanceMetadataProtocolState::from),
        )
        .set_instance_metadata_tags(
            options
                .instance_metadata_tags
                .as_deref()
                .map(ec2types::InstanceMetadataTagsState::from),
        )
        .build()
}

fn private_dns(target: &InstanceConfiguration) -> ec2types::PrivateDnsNameOptionsRequest {
    let options = &target.private_dns_name;
    ec2types::PrivateDnsNameOptionsRequest::builder()
        .set_hostname_type(options.hostname_type.as_deref().map(ec2types::HostnameType::from))
        .set_enable_resource_name_dns_a_record(options.enable_resource_name_dns_a_record)
        .set_enable_resource_name_dns_aaaa_record(options.enable_resource_name_dns_aaaa_record)
        .build()
}

fn maintenance(target: &InstanceConfiguration) -> Option<ec2types::InstanceMaintenanceOptionsRequest> {
    target.auto_recovery.as_deref().map(|recovery| {
        ec2types::InstanceMaintenanceOptionsRequest::builder()
            .auto_recovery(ec2types::InstanceAutoRecoveryState::from(recovery))
            .build()
    })
}

fn capacity_reservation(
    target: &InstanceConfiguration,
) -> Option<ec2types::CapacityReservationSpecification> {
    let reservation = &target.capacity_reservation;
    let specification = ec2types::CapacityReservationSpecification::builder();
    if reservation.reservation_id.is_some() || reservation.resource_group_arn.is_some() {
        let target = ec2types::CapacityReservationTarget::builder()
            .set_capacity_reservation_id(reservation.reservation_id.clone())
            .set_capacity_reservation_resource_group_arn(reservation.resource_group_arn.clone())
            .build();
        return Some(specification.capacity_reservation_target(target).build());
    }
    reservation.preference.as_deref().map(|preference| {
        specification
            .capacity_reservation_preference(ec2types::CapacityReservationPreference::from(preference))
            .build()
    })
}

fn cpu(target: &InstanceConfiguration) -> Option<ec2types::CpuOptionsRequest> {
    let cpu = &target.cpu;
    let sev = cpu.amd_sev_snp.as_deref().filter(|state| *state == "enabled");
    let nested = cpu
        .nested_virtualization
        .as_deref()
        .filter(|state| *state == "enabled");
    if cpu.core_count.is_none() && cpu.threads_per_core.is_none() && sev.is_none() && nested.is_none() {
        return None;
    }
    Some(
        ec2types::CpuOptionsRequest::builder()
            .set_core_count(cpu.core_count)
            .set_threads_per_core(cpu.threads_per_core)
            .set_amd_sev_snp(sev.map(ec2types::AmdSevSnpSpecification::from))
            .set_nested_virtualization(nested.map(ec2types::NestedVirtualizationSpecification::from))
            .build(),
    )
}

/// Devices: of a registered image only what differs from it; beside a donor's boot volume all data volumes.
fn devices(order: &LaunchOrder<'_>) -> Vec<ec2types::BlockDeviceMapping> {
    let mapping = || ec2types::BlockDeviceMapping::builder();
    let wanted = |device: &str| order.target.volumes.iter().find(|volume| volume.device == device);
    match order.way {
        BootWay::Registered => order
            .volumes
            .iter()
            .filter_map(|volume| {
                if volume.rekey.is_none() && !order.ends_with_instance {
                    return None;
                }
                let ebs = ec2types::EbsBlockDevice::builder()
                    .set_encrypted(volume.rekey.is_some().then_some(true))
                    .set_kms_key_id(volume.rekey.clone())
                    .set_delete_on_termination(ends(order, wanted(&volume.device)?))
                    .build();
                Some(mapping().device_name(&volume.device).ebs(ebs).build())
            })
            .collect(),
        BootWay::Donor { other_devices, .. } => {
            let data = data_devices(order);
            let taken: Vec<&String> = order.volumes.iter().map(|volume| &volume.device).collect();
            let without = other_devices
                .iter()
                .filter(|device| !taken.contains(device))
                .map(|device| mapping().device_name(device).no_device("").build());
            data.into_iter().chain(without).collect()
        }
        BootWay::OfOriginal => data_devices(order),
    }
}

fn ends(order: &LaunchOrder<'_>, wanted: &VolumeConfiguration) -> Option<bool> {
    if order.ends_with_instance {
        return Some(true);
    }
    wanted.delete_on_termination
}

fn data_devices(order: &LaunchOrder<'_>) -> Vec<ec2types::BlockDeviceMapping> {
    let stores = order.target.instance_store.iter().map(|(device, name)| {
        ec2types::BlockDeviceMapping::builder()
            .device_name(device)
            .virtual_name(name)
            .build()
    });
    let data = order
        .volumes
        .iter()
        .filter(|volume| !volume.is_boot)
        .filter_map(|volume| {
            let wanted = order
                .target
                .volumes
                .iter()
                .find(|wanted| wanted.device == volume.device)?;
            let kind = wanted.volume_type.as_deref();
            let ebs = ec2types::EbsBlockDevice::builder()
                .snapshot_id(volume.snapshot_id.as_str())
                .set_volume_size(wanted.size_gib)
                .set_volume_type(kind.map(ec2types::VolumeType::from))
                .set_iops(wanted.iops.filter(|_| takes_iops(kind)))
                .set_throughput(wanted.throughput.filter(|_| kind == Some("gp3")))
                .set_delete_on_termination(ends(order, wanted))
                .set_encrypted(volume.rekey.is_some().then_some(true))
                .set_kms_key_id(volume.rekey.clone())
                .build();
            let mapping = ec2types::BlockDeviceMapping::builder().device_name(&volume.device);
            Some(mapping.ebs(ebs).build())
        });
    data.chain(stores).collect()
}

fn interfaces(wanted: &[InterfaceConfiguration]) -> Vec<ec2types::InstanceNetworkInterfaceSpecification> {
    let alone = wanted.len() == 1;
    wanted
        .iter()
        .map(|interface| specification(interface, alone))
        .collect()
}

/// One interface: one that is there, or one to be made. An empty address is one that EC2 chooses.
fn specification(
    interface: &InterfaceConfiguration,
    alone: bool,
) -> ec2types::InstanceNetworkInterfaceSpecification {
    let built = ec2types::InstanceNetworkInterfaceSpecification::builder()
        .set_device_index(interface.device_index)
        .set_network_card_index(interface.network_card_index.filter(|card| *card != 0));
    if !interface.network_interface_id.is_empty() {
        return built
            .network_interface_id(&interface.network_interface_id)
            .build();
    }
    let count = |texts: &[String]| {
        let open = texts.iter().filter(|text| text.is_empty()).count();
        i32::try_from(open).ok().filter(|open| *open > 0)
    };
    let exact =
        |texts: &[String]| -> Vec<String> { texts.iter().filter(|text| !text.is_empty()).cloned().collect() };
    let mut built = built
        .set_subnet_id(interface.subnet_id.clone())
        .set_groups(Some(interface.security_groups.clone()))
        .set_description(interface.description.clone())
        .set_delete_on_termination(interface.delete_on_termination)
        .set_interface_type(
            interface
                .interface_type
                .clone()
                .filter(|kind| kind != "interface"),
        )
        .set_ipv6_address_count(count(&interface.ipv6_addresses))
        .set_ipv4_prefix_count(count(&interface.ipv4_prefixes))
        .set_ipv6_prefix_count(count(&interface.ipv6_prefixes));
    let chosen: Vec<_> = interface
        .private_addresses
        .iter()
        .filter(|private| !private.address.is_empty())
        .map(|private| {
            ec2types::PrivateIpAddressSpecification::builder()
                .private_ip_address(&private.address)
                .primary(private.primary)
                .build()
        })
        .collect();
    let open: Vec<String> = interface
        .private_addresses
        .iter()
        .filter(|private| !private.primary && private.address.is_empty())
        .map(|private| private.address.clone())
        .collect();
    built = built.set_secondary_private_ip_address_count(count(&open));
    built = built.set_private_ip_addresses((!chosen.is_empty()).then_some(chosen));
    for address in exact(&interface.ipv6_addresses) {
        let address = ec2types::InstanceIpv6Address::builder()
            .ipv6_address(address)
            .build();
        built = built.ipv6_addresses(address);
    }
    for prefix in exact(&interface.ipv4_prefixes) {
        let prefix = ec2types::Ipv4PrefixSpecificationRequest::builder()
            .ipv4_prefix(prefix)
            .build();
        built = built.ipv4_prefixes(prefix);
    }
    for prefix in exact(&interface.ipv6_prefixes) {
        let prefix = ec2types::Ipv6PrefixSpecificationRequest::builder()
            .ipv6_prefix(prefix)
            .build();
        built = built.ipv6_prefixes(prefix);
    }
    // EC2 lends a public address to an instance with one new interface only.
    if alone {
        let private = interface.private_addresses.iter().find(|private| private.primary);
        let lent =
            private.is_some_and(|private| private.public_ip.is_some() && private.allocation_id.is_none());
        built = built.associate_public_ip_address(lent);
    }
    built.build()
}
