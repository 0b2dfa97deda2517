//! Reading the whole configuration of a batch of instances.
//!
//! Four listings serve the batch, and one `GetLaunchTemplateData` per instance gives what they lack: user data,
//! protection flags, shutdown behaviour and credits in one call instead of one attribute a call.

use crate::convert::{filter, tags_from, timestamp};
use crate::failure::{Failure, class_of, reason_of};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Address, EnclaveOptions, HibernationOptions, Instance, InstanceMetadataOptionsResponse, NetworkInterface,
    NetworkInterfaceAttachment, PrivateDnsNameOptionsResponse, ResponseLaunchTemplateData, Volume,
};
use futures::stream::{self, StreamExt};
use holdfast_core::configuration::{
    CapacityReservation, CpuOptions, InstanceConfiguration, InterfaceConfiguration, MetadataOptions,
    Placement, PrivateAddress, PrivateDnsName, ProductCode, VolumeConfiguration,
};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{InstanceId, VolumeId};
use std::collections::BTreeMap;

const PAGE: i32 = 1000;
/// Reads of single instances at the same time.
const CONCURRENCY: usize = 16;

/// What was read of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Captured {
    /// Its configuration, and what of it could not be read.
    Whole(Box<InstanceConfiguration>, Vec<String>),
    /// It cannot be backed up, and why.
    Unfit(String),
    /// EC2 would not say just now; it is to be asked again.
    NotNow(String),
}

/// Reads the configuration of up to 200 instances.
///
/// # Errors
/// A listing that cannot be read. One instance that cannot be read does not fail the others.
pub async fn capture_configurations(
    ec2: &Client,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Captured>, Failure> {
    let (instances, volumes, interfaces, addresses) = tokio::try_join!(
        describe_instances(ec2, ids),
        describe_volumes(ec2, ids),
        describe_interfaces(ec2, ids),
        describe_addresses(ec2, ids),
    )?;
    let gathered = Gathered {
        volumes,
        interfaces,
        addresses,
    };
    let captured = stream::iter(ids.iter().map(|id| async {
        let Some(instance) = instances.get(id) else {
            return (
                id.clone(),
                Captured::Unfit("the instance does not exist any more".to_owned()),
            );
        };
        let state = instance
            .state()
            .and_then(|state| state.name())
            .map_or("unknown", |name| name.as_str());
        if !matches!(state, "running" | "stopping" | "stopped") {
            let why = format!("the instance is {state}; only running and stopped ones are backed up");
            return (id.clone(), Captured::Unfit(why));
        }
        let mut notes = Vec::new();
        let template = match ec2
            .get_launch_template_data()
            .instance_id(id.as_str())
            .send()
            .await
        {
            Ok(answer) => answer.launch_template_data,
            Err(error) => match class_of(&error) {
                ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => {
                    return (id.clone(), Captured::NotNow(reason_of(&error)));
                }
                ErrorClass::Gone => return (id.clone(), Captured::Unfit(reason_of(&error))),
                ErrorClass::Refused => {
                    let lost =
                        "user data, protection flags, shutdown behaviour and credits could not be read";
                    notes.push(format!("{lost}: {}", reason_of(&error)));
                    None
                }
            },
        };
        (
            id.clone(),
            Captured::Whole(
                Box::new(gathered.configuration(id, instance, template.as_ref())),
                notes,
            ),
        )
    }))
    .buffer_unordered(CONCURRENCY)
    .collect()
    .await;
    Ok(captured)
}

async fn describe_instances(
    ec2: &Client,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Instance>, Failure> {
    let mut found = BTreeMap::new();
    let mut pages = ec2
        .describe_instances()
        .filters(filter("instance-id", ids.iter().map(InstanceId::as_str)))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::call("describing the instances of a batch", error))?;
        for instance in page
            .reservations
            .unwrap_or_default()
            .into_iter()
            .flat_map(|r| r.instances.unwrap_or_default())
        {
            if let Some(Ok(id)) = instance.instance_id().map(InstanceId::try_from) {
                found.insert(id, instance);
            }
        }
    }
    Ok(found)
}

async fn describe_volumes(
    ec2: &Client,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Vec<Volume>>, Failure> {
    let mut found: BTreeMap<InstanceId, Vec<Volume>> = BTreeMap::new();
    let mut pages = ec2
        .describe_volumes()
        .filters(filter(
            "attachment.instance-id",
            ids.iter().map(InstanceId::as_str),
        ))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::call("describing the volumes of a batch", error))?;
        for volume in page.volumes.unwrap_or_default() {
            // A multi-attach volume belongs to every instance it is attached to.
            for attachment in volume.attachments() {
                if let Some(Ok(id)) = attachment.instance_id().map(InstanceId::try_from) {
                    found.entry(id).or_default().push(volume.clone());
                }
            }
        }
    }
    Ok(found)
}

async fn describe_interfaces(
    ec2: &Client,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Vec<NetworkInterface>>, Failure> {
    let mut found: BTreeMap<InstanceId, Vec<NetworkInterface>> = BTreeMap::new();
    let mut pages = ec2
        .describe_network_interfaces()
        .filters(filter(
            "attachment.instance-id",
            ids.iter().map(InstanceId::as_str),
        ))
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| Failure::call("describing the network interfaces of a batch", error))?;
        for interface in page.network_interfaces.unwrap_or_default() {
            let instance = interface
                .attachment()
                .and_then(|attachment| attachment.instance_id());
            if let Some(Ok(id)) = instance.map(InstanceId::try_from) {
                found.entry(id).or_default().push(interface);
            }
        }
    }
    Ok(found)
}

/// Elastic addresses by the public address. EC2 does not page them.
async fn describe_addresses(ec2: &Client, ids: &[InstanceId]) -> Result<BTreeMap<String, Address>, Failure> {
    let answer = ec2
        .describe_addresses()
        .filters(filter("instance-id", ids.iter().map(InstanceId::as_str)))
        .send()
        .await
        .map_err(|error| Failure::call("describing the elastic addresses of a batch", error))?;
    let addresses = answer.addresses.unwrap_or_default().into_iter();
    Ok(addresses
        .filter_map(|address| Some((address.public_ip()?.to_owned(), address)))
        .collect())
}

struct Gathered {
    volumes: BTreeMap<InstanceId, Vec<Volume>>,
    interfaces: BTreeMap<InstanceId, Vec<NetworkInterface>>,
    addresses: BTreeMap<String, Address>,
}

impl Gathered {
    fn configuration(
        &self,
        id: &InstanceId,
        instance: &Instance,
        template: Option<&ResponseLaunchTemplateData>,
    ) -> InstanceConfiguration {
        let mut configuration = own_configuration(instance);
        if let Some(template) = template {
            complete(&mut configuration, template);
        }
        let root = instance.root_device_name().unwrap_or_default();
        let volumes = self.volumes.get(id).into_iter().flatten();
        configuration.volumes = volumes
            .filter_map(|volume| volume_configuration(volume, id, root))
            .collect();
        configuration.volumes.sort_by(|a, b| a.device.cmp(&b.device));
        let interfaces = self.interfaces.get(id).into_iter().flatten();
        configuration.interfaces = interfaces
            .map(|interface| interface_configuration(interface, &self.addresses))
            .collect();
        configuration
            .interfaces
            .sort_by_key(|interface| (interface.network_card_index, interface.device_index));
        configuration
    }
}

/// An interface, with what is known of the elastic addresses by their public addresses.
pub(crate) fn interface_configuration(
    interface: &NetworkInterface,
    addresses: &BTreeMap<String, Address>,
) -> InterfaceConfiguration {
    let attachment = interface.attachment();
    InterfaceConfiguration {
        network_interface_id: interface.network_interface_id().unwrap_or_default().to_owned(),
        device_index: attachment.and_then(NetworkInterfaceAttachment::device_index),
        network_card_index: attachment.and_then(NetworkInterfaceAttachment::network_card_index),
        delete_on_termination: attachment.and_then(NetworkInterfaceAttachment::delete_on_termination),
        interface_type: interface.interface_type().map(text),
        description: owned(interface.description()),
        mac_address: owned(interface.mac_address()),
        subnet_id: owned(interface.subnet_id()),
        vpc_id: owned(interface.vpc_id()),
        source_dest_check: interface.source_dest_check(),
        security_groups: interface
            .groups()
            .iter()
            .filter_map(|group| owned(group.group_id()))
            .collect(),
        private_addresses: interface
            .private_ip_addresses()
            .iter()
            .map(|private| {
                let association = private.association();
                let public_ip = association.and_then(|association| owned(association.public_ip()));
                let elastic = public_ip.as_ref().and_then(|ip| addresses.get(ip));
                PrivateAddress {
                    address: private.private_ip_address().unwrap_or_default().to_owned(),
                    primary: private.primary().unwrap_or(false),
                    allocation_id: association.and_then(|association| owned(association.allocation_id())),
                    elastic_ip_tags: elastic
                        .map(|address| tags_from(address.tags()))
                        .unwrap_or_default(),
                    public_ip,
                }
            })
            .collect(),
        ipv6_addresses: interface
            .ipv6_addresses()
            .iter()
            .filter_map(|address| owned(address.ipv6_address()))
            .collect(),
        ipv4_prefixes: interface
            .ipv4_prefixes()
            .iter()
            .filter_map(|p| owned(p.ipv4_prefix()))
            .collect(),
        ipv6_prefixes: interface
            .ipv6_prefixes()
            .iter()
            .filter_map(|p| owned(p.ipv6_prefix()))
            .collect(),
        tags: tags_from(interface.tag_set()),
    }
}

fn volume_configuration(volume: &Volume, instance: &InstanceId, root: &str) -> Option<VolumeConfiguration> {
    let attachment = volume
        .attachments()
        .iter()
        .find(|attachment| attachment.instance_id() == Some(instance.as_str()))?;
    let device = attachment.device()?;
    Some(VolumeConfiguration {
        is_boot: device == root,
        delete_on_termination: attachment.delete_on_termination(),
        ebs_card_index: attachment.ebs_card_index(),
        ..volume_alone(volume, device)?
    })
}

/// A volume, whatever it hangs on.
pub(crate) fn volume_alone(volume: &Volume, device: &str) -> Option<VolumeConfiguration> {
    Some(VolumeConfiguration {
        volume_id: VolumeId::try_from(volume.volume_id()?).ok()?,
        is_boot: false,
        device: device.to_owned(),
        delete_on_termination: None,
        size_gib: volume.size(),
        volume_type: volume.volume_type().map(text),
        iops: volume.iops(),
        throughput: volume.throughput(),
        encrypted: volume.encrypted(),
        kms_key_id: owned(volume.kms_key_id()),
        availability_zone: owned(volume.availability_zone()),
        multi_attach_enabled: volume.multi_attach_enabled(),
        source_snapshot_id: owned(volume.snapshot_id()),
        ebs_card_index: None,
        tags: tags_from(volume.tags()),
    })
}

/// What `DescribeInstances` says.
fn own_configuration(instance: &Instance) -> InstanceConfiguration {
    InstanceConfiguration {
        image_id: owned(instance.image_id()),
        instance_type: instance.instance_type().map(text),
        architecture: instance.architecture().map(text),
        platform: instance.platform().map(text),
        platform_details: owned(instance.platform_details()),
        usage_operation: owned(instance.usage_operation()),
        product_codes: instance.product_codes().iter().filter_map(product_code).collect(),
        lifecycle: instance.instance_lifecycle().map(text),
        virtualization_type: instance.virtualization_type().map(text),
        hypervisor: instance.hypervisor().map(text),
        boot_mode: instance.boot_mode().map(text),
        current_boot_mode: instance.current_instance_boot_mode().map(text),
        tpm_support: owned(instance.tpm_support()),
        kernel_id: owned(instance.kernel_id()),
        ramdisk_id: owned(instance.ramdisk_id()),
        ena_support: instance.ena_support(),
        sriov_net_support: owned(instance.sriov_net_support()),
        ebs_optimized: instance.ebs_optimized(),
        root_device_name: owned(instance.root_device_name()),
        root_device_type: instance.root_device_type().map(text),
        state: instance.state().and_then(|state| state.name()).map(text),
        launched_at: instance.launch_time().and_then(timestamp),
        key_name: owned(instance.key_name()),
        iam_instance_profile_arn: instance
            .iam_instance_profile()
            .and_then(|profile| owned(profile.arn())),
        monitoring: instance
            .monitoring()
            .and_then(|monitoring| monitoring.state())
            .map(text),
        source_dest_check: instance.source_dest_check(),
        hibernation_configured: instance
            .hibernation_options()
            .and_then(HibernationOptions::configured),
        enclave_enabled: instance.enclave_options().and_then(EnclaveOptions::enabled),
        auto_recovery: instance
            .maintenance_options()
            .and_then(|options| options.auto_recovery())
            .map(text),
        reboot_migration: instance
            .maintenance_options()
            .and_then(|options| options.reboot_migration())
            .map(text),
        bandwidth_weighting: instance
            .network_performance_options()
            .and_then(|options| options.bandwidth_weighting())
            .map(text),
        licenses: instance
            .licenses()
            .iter()
            .filter_map(|l| owned(l.license_configuration_arn()))
            .collect(),
        placement: instance.placement().map(placement).unwrap_or_default(),
        cpu: instance.cpu_options().map(cpu).unwrap_or_default(),
        metadata: instance.metadata_options().map(metadata).unwrap_or_default(),
        private_dns_name: instance
            .private_dns_name_options()
            .map(private_dns_name)
            .unwrap_or_default(),
        capacity_reservation: capacity_reservation(instance),
        vpc_id: owned(instance.vpc_id()),
        subnet_id: owned(instance.subnet_id()),
        private_ip_address: owned(instance.private_ip_address()),
        public_ip_address: owned(instance.public_ip_address()),
        security_groups: instance
            .security_groups()
            .iter()
            .filter_map(|group| owned(group.group_id()))
            .collect(),
        tags: tags_from(instance.tags()),
        ..InstanceConfiguration::default()
    }
}

pub(crate) fn product_code(code: &aws_sdk_ec2::types::ProductCode) -> Option<ProductCode> {
    Some(ProductCode {
        id: owned(code.product_code_id())?,
        kind: code.product_code_type().map(text),
    })
}

fn cpu(cpu: &aws_sdk_ec2::types::CpuOptions) -> CpuOptions {
    CpuOptions {
        core_count: cpu.core_count(),
        threads_per_core: cpu.threads_per_core(),
        amd_sev_snp: cpu.amd_sev_snp().map(text),
        nested_virtualization: cpu.nested_virtualization().map(text),
    }
}

fn metadata(options: &InstanceMetadataOptionsResponse) -> MetadataOptions {
    MetadataOptions {
        http_tokens: options.http_tokens().map(text),
        http_put_response_hop_limit: options.http_put_response_hop_limit(),
        http_endpoint: options.http_endpoint().map(text),
        http_protocol_ipv6: options.http_protocol_ipv6().map(text),
        instance_metadata_tags: options.instance_metadata_tags().map(text),
    }
}

fn private_dns_name(options: &PrivateDnsNameOptionsResponse) -> PrivateDnsName {
    PrivateDnsName {
        hostname_type: options.hostname_type().map(text),
        enable_resource_name_dns_a_record: options.enable_resource_name_dns_a_record(),
        enable_resource_name_dns_aaaa_record: options.enable_resource_name_dns_aaaa_record(),
    }
}

fn placement(placement: &aws_sdk_ec2::types::Placement) -> Placement {
    Placement {
        availability_zone: owned(placement.availability_zone()),
        tenancy: placement.tenancy().map(text),
        group_name: owned(placement.group_name()),
        group_id: owned(placement.group_id()),
        partition_number: placement.partition_number(),
        host_id: owned(placement.host_id()),
        affinity: owned(placement.affinity()),
        spread_domain: owned(placement.spread_domain()),
        host_resource_group_arn: owned(placement.host_resource_group_arn()),
    }
}

fn capacity_reservation(instance: &Instance) -> CapacityReservation {
    let specification = instance.capacity_reservation_specification();
    let target = specification.and_then(|specification| specification.capacity_reservation_target());
    CapacityReservation {
        preference: specification
            .and_then(|s| s.capacity_reservation_preference())
            .map(text),
        reservation_id: target.and_then(|target| owned(target.capacity_reservation_id())),
        resource_group_arn: target.and_then(|target| owned(target.capacity_reservation_resource_group_arn())),
    }
}

/// What only `GetLaunchTemplateData` says.
fn complete(configuration: &mut InstanceConfiguration, template: &ResponseLaunchTemplateData) {
    configuration.user_data = owned(template.user_data());
    configuration.disable_api_termination = template.disable_api_termination();
    configuration.disable_api_stop = template.disable_api_stop();
    configuration.instance_initiated_shutdown_behavior =
        template.instance_initiated_shutdown_behavior().map(text);
    configuration.cpu_credits = template
        .credit_specification()
        .and_then(|credits| owned(credits.cpu_credits()));
    configuration.instance_store = template
        .block_device_mappings()
        .iter()
        .filter_map(|mapping| Some((mapping.device_name()?.to_owned(), owned(mapping.virtual_name())?)))
        .collect();
}

fn owned(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

fn text(value: &(impl AsRef<str> + ?Sized)) -> String {
    value.as_ref().to_owned()
}
