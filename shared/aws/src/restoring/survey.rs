//! Reading what a restore finds around it: a few listings for all resources of a job together.

use super::{PAGE, VALUES, filter, profile, target_group, volume};
use crate::configuration::{Captured, capture_configurations, interface_configuration};
use crate::copies::describe_by_ids;
use crate::failure::{Failure, class_of, reason_of};
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::describe_capacity_reservations::DescribeCapacityReservationsOutput;
use aws_sdk_ec2::operation::describe_hosts::DescribeHostsOutput;
use aws_sdk_ec2::types::{
    AllocationState, ArchitectureType, BandwidthWeightingType, BootModeType, CapacityReservationState,
    EbsInfo, EbsOptimizedSupport, Image, InstanceTypeInfo, LocationType, NetworkInfo, NitroEnclavesSupport,
    NitroTpmSupport, ProcessorInfo, VCpuInfo,
};
use aws_sdk_kms::types::KeyState;
use holdfast_core::configuration::InstanceConfiguration;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{InstanceId, SnapshotId, VolumeId};
use holdfast_core::restoring::surroundings::{
    Ability, Holder, ImageFacts, InterfaceFacts, SnapshotFacts, Subnet, Surroundings, TypeFacts,
};
use std::collections::{BTreeMap, BTreeSet};

/// Clients of everything that is asked.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Instances, volumes, interfaces, images.
    pub ec2: Client,
    /// Keys.
    pub kms: aws_sdk_kms::Client,
    /// Instance profiles.
    pub iam: aws_sdk_iam::Client,
    /// Target groups.
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    /// Commands on instances.
    pub ssm: aws_sdk_ssm::Client,
    /// The user's own functions.
    pub lambda: aws_sdk_lambda::Client,
}

impl Clients {
    /// Clients of the account and region of `config`.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            ec2: Client::new(config),
            kms: aws_sdk_kms::Client::new(config),
            iam: profile::client(config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(config),
            ssm: aws_sdk_ssm::Client::new(config),
            lambda: aws_sdk_lambda::Client::new(config),
        }
    }
}

/// What is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Instances as they are now.
    pub instances: BTreeSet<InstanceId>,
    /// Subnets.
    pub subnets: BTreeSet<String>,
    /// Security groups.
    pub security_groups: BTreeSet<String>,
    /// Key pairs.
    pub key_pairs: BTreeSet<String>,
    /// Instance profiles by their ARNs.
    pub profiles: BTreeSet<String>,
    /// Private addresses, whatever their subnets.
    pub addresses: BTreeSet<String>,
    /// Network interfaces.
    pub interfaces: BTreeSet<String>,
    /// Elastic addresses by their allocations.
    pub elastic_ips: BTreeSet<String>,
    /// Images.
    pub images: BTreeSet<String>,
    /// Names of images of this account.
    pub image_names: BTreeSet<String>,
    /// Snapshots.
    pub snapshots: BTreeSet<SnapshotId>,
    /// Keys beside those of the snapshots.
    pub keys: BTreeSet<String>,
    /// Instance types.
    pub instance_types: BTreeSet<String>,
    /// Whether the types of the instances are asked about too: a stop may empty disks of theirs.
    pub types_of_instances: bool,
    /// Placement groups by their names.
    pub placement_groups: BTreeSet<String>,
    /// Dedicated hosts.
    pub hosts: BTreeSet<String>,
    /// Capacity reservations.
    pub reservations: BTreeSet<String>,
    /// Volumes whose attachments are asked for.
    pub volumes: BTreeSet<VolumeId>,
    /// Volumes that are kept for an undo.
    pub kept_volumes: BTreeSet<VolumeId>,
}

/// What a survey found: instances apart, everything else together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Instances that are there.
    pub instances: BTreeMap<InstanceId, InstanceConfiguration>,
    /// The rest.
    pub around: Surroundings,
}

impl Survey {
    /// What one resource finds around it.
    #[must_use]
    pub fn around(&self, resource: &InstanceId, attach_to: Option<&InstanceId>) -> Surroundings {
        Surroundings {
            original: self.instances.get(resource).cloned(),
            attach_to: attach_to.and_then(|id| self.instances.get(id)).cloned(),
            ..self.around.clone()
        }
    }
}

/// Asks everything.
///
/// # Errors
/// A listing that cannot be read: nothing may be decided on a part of it.
pub async fn survey(clients: &Clients, questions: &Questions) -> Result<Survey, Failure> {
    let ec2 = &clients.ec2;
    let instances: Vec<InstanceId> = questions.instances.iter().cloned().collect();
    let (instances, subnets, groups, key_pairs, interfaces) = tokio::try_join!(
        describe_instances(ec2, &instances),
        describe_subnets(ec2, &questions.subnets),
        describe_groups(ec2, &questions.security_groups),
        describe_key_pairs(ec2, &questions.key_pairs),
        describe_interfaces(ec2, &questions.interfaces, &questions.addresses),
    )?;
    let mut kinds = questions.instance_types.clone();
    if questions.types_of_instances {
        let types = instances.values().filter_map(|one| one.instance_type.clone());
        kinds.extend(types);
    }
    let (elastic_ips, images, image_names, snapshots, instance_types, zones, places, shared) = tokio::try_join!(
        describe_addresses(ec2, &questions.elastic_ips),
        describe_images(ec2, &questions.images),
        describe_image_names(ec2, &questions.image_names),
        describe_snapshots(ec2, &questions.snapshots),
        describe_types(ec2, &kinds, &questions.instance_types),
        describe_zones(ec2),
        describe_places(ec2, questions),
        describe_shared(ec2, &questions.volumes),
    )?;
    let (interfaces, taken_addresses) = interfaces;
    let mut keys = questions.keys.clone();
    let default_key = if snapshots.values().any(|snapshot| snapshot.kms_key_id.is_none()) {
        find_default_key(ec2).await?
    } else {
        None
    };
    keys.extend(default_key.clone());
    keys.extend(
        snapshots
            .values()
            .filter_map(|snapshot| snapshot.kms_key_id.clone()),
    );
    let (unusable_keys, key_arns) = look_at_keys(&clients.kms, &keys).await?;
    let default_key = default_key.map(|named| key_arns.get(&named).cloned().unwrap_or(named));
    let unusable_profiles = profile::unusable(&clients.iam, &questions.profiles).await;
    let kept_volumes = describe_kept(ec2, &questions.kept_volumes).await?;
    Ok(Survey {
        instances,
        around: Surroundings {
            original: None,
            subnets,
            security_groups: groups,
            key_pairs,
            unusable_profiles,
            taken_addresses,
            interfaces,
            elastic_ips,
            images,
            image_names,
            snapshots,
            unusable_keys,
            key_arns,
            default_key,
            kept_volumes,
            places,
            instance_types,
            attach_to: None,
            shared_volumes: shared,
            zones,
            target_groups: Vec::new(),
        },
    })
}

/// The target groups in which an instance is registered.
///
/// # Errors
/// They cannot be listed.
pub async fn target_groups_of(
    clients: &Clients,
    instance: &InstanceId,
    configuration: &InstanceConfiguration,
) -> Result<Vec<holdfast_core::restoring::surroundings::TargetGroup>, Failure> {
    let vpc = configuration.vpc_id.as_deref().unwrap_or_default();
    let found = target_group::find(&clients.elb, vpc, instance).await;
    found.map_err(|refusal| failure(&format!("looking for the target groups of {instance}"), &refusal))
}

/// A refusal as the failure of a whole invocation.
#[must_use]
pub fn failure(what: &str, refusal: &Refusal) -> Failure {
    let what = format!("{what}: {}", refusal.reason);
    match refusal.class {
        ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => Failure::retryable(what),
        ErrorClass::Gone | ErrorClass::Refused => Failure::permanent(what),
    }
}

/// Instances as they are now. One that is gone, or terminated, is not among them.
///
/// # Errors
/// They cannot be read.
pub async fn describe_instances(
    ec2: &Client,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, InstanceConfiguration>, Failure> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    for ids in ids.chunks(VALUES) {
        for (id, captured) in capture_configurations(ec2, ids).await? {
            match captured {
                Captured::Whole(configuration, _) => {
                    found.insert(id, *configuration);
                }
                Captured::Unfit(_) => {}
                Captured::NotNow(why) => {
                    return Err(Failure::retryable(format!("reading {id} as it is now: {why}")));
                }
            }
        }
    }
    Ok(found)
}

async fn describe_subnets(ec2: &Client, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Subnet>, Failure> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    // All of the region: where one is missing, the others are what can be chosen. There are few.
    let mut pages = ec2.describe_subnets().max_results(PAGE).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::call("listing the subnets", error))?;
        for subnet in page.subnets() {
            if let (Some(id), Some(zone), Some(vpc)) =
                (subnet.subnet_id(), subnet.availability_zone(), subnet.vpc_id())
            {
                let facts = Subnet {
                    zone: zone.to_owned(),
                    vpc_id: vpc.to_owned(),
                    cidr: subnet.cidr_block().unwrap_or_default().to_owned(),
                    on_outpost: subnet.outpost_arn().is_some(),
                    free: subnet.available_ip_address_count().unwrap_or(0),
                };
                found.insert(id.to_owned(), facts);
            }
        }
    }
    Ok(found)
}

async fn describe_groups(ec2: &Client, ids: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for ids in chunks(ids) {
        let mut pages = ec2
            .describe_security_groups()
            .filters(filter("group-id", ids))
            .max_results(PAGE)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::call("listing the security groups", error))?;
            found.extend(page.security_groups().iter().filter_map(|group| {
                Some((
                    group.group_id()?.to_owned(),
                    group.vpc_id().unwrap_or_default().to_owned(),
                ))
            }));
        }
    }
    Ok(found)
}

async fn describe_key_pairs(ec2: &Client, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    for names in chunks(names) {
        let answer = ec2
            .describe_key_pairs()
            .filters(filter("key-name", names))
            .send()
            .await
            .map_err(|error| Failure::call("listing the key pairs", error))?;
        found.extend(
            answer
                .key_pairs()
                .iter()
                .filter_map(|key| key.key_name().map(str::to_owned)),
        );
    }
    Ok(found)
}

type Interfaces = (
    BTreeMap<String, InterfaceFacts>,
    BTreeMap<(String, String), Holder>,
);

/// Interfaces by their ids, and who has which address.
async fn describe_interfaces(
    ec2: &Client,
    ids: &BTreeSet<String>,
    addresses: &BTreeSet<String>,
) -> Result<Interfaces, Failure> {
    let mut found = Interfaces::default();
    let questions = chunks(ids)
        .map(|ids| filter("network-interface-id", ids))
        .chain(chunks(addresses).map(|addresses| filter("addresses.private-ip-address", addresses)));
    for question in questions.collect::<Vec<_>>() {
        let mut pages = ec2
            .describe_network_interfaces()
            .filters(question)
            .max_results(PAGE)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::call("listing the network interfaces", error))?;
            for interface in page.network_interfaces() {
                let Some(id) = interface.network_interface_id() else {
                    continue;
                };
                let instance = interface
                    .attachment()
                    .and_then(|attachment| attachment.instance_id())
                    .and_then(|instance| InstanceId::try_from(instance).ok());
                let holder = Holder {
                    interface_id: Some(id.to_owned()),
                    instance_id: instance.clone(),
                };
                let subnet = interface.subnet_id().unwrap_or_default();
                for private in interface.private_ip_addresses() {
                    if let Some(address) = private.private_ip_address() {
                        let place = (subnet.to_owned(), address.to_owned());
                        found.1.insert(place, holder.clone());
                    }
                }
                let facts = InterfaceFacts {
                    is_free: interface.attachment().is_none(),
                    instance_id: instance,
                    now: interface_configuration(interface, &BTreeMap::new()),
                };
                found.0.insert(id.to_owned(), facts);
            }
        }
    }
    Ok(found)
}

async fn describe_addresses(
    ec2: &Client,
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, Holder>, Failure> {
    let mut found = BTreeMap::new();
    for ids in chunks(ids) {
        let answer = ec2
            .describe_addresses()
            .filters(filter("allocation-id", ids))
            .send()
            .await
            .map_err(|error| Failure::call("listing the elastic addresses", error))?;
        for address in answer.addresses() {
            let Some(allocation) = address.allocation_id() else {
                continue;
            };
            let instance = address.instance_id().and_then(|id| InstanceId::try_from(id).ok());
            let holder = Holder {
                interface_id: address.network_interface_id().map(str::to_owned),
                instance_id: instance,
            };
            found.insert(allocation.to_owned(), holder);
        }
    }
    Ok(found)
}

async fn describe_images(
    ec2: &Client,
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, ImageFacts>, Failure> {
    let mut found = BTreeMap::new();
    for ids in chunks(ids) {
        let answer = ec2
            .describe_images()
            .filters(filter("image-id", ids))
            // A deprecated image is hidden from all but its owner, and instances are launched from it all the same.
            .include_deprecated(true)
            .send()
            .await
            .map_err(|error| Failure::call("listing the images", error))?;
        found.extend(
            answer
                .images()
                .iter()
                .filter_map(|image| Some((image.image_id()?.to_owned(), facts(image)))),
        );
    }
    Ok(found)
}

/// Those of the names that an image of this account has, whatever its state.
async fn describe_image_names(ec2: &Client, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    for names in chunks(names) {
        let answer = ec2
            .describe_images()
            .owners("self")
            .filters(filter("name", names))
            .send()
            .await
            .map_err(|error| Failure::call("listing the images by their names", error))?;
        let images = answer.images().iter();
        found.extend(images.filter_map(|image| image.name().map(str::to_owned)));
    }
    Ok(found)
}

fn facts(image: &Image) -> ImageFacts {
    let root = image.root_device_name().map(str::to_owned);
    let devices = image
        .block_device_mappings()
        .iter()
        .filter_map(|mapping| mapping.device_name());
    ImageFacts {
        available: image.state().is_some_and(|state| state.as_str() == "available"),
        usage_operation: image.usage_operation().map(str::to_owned),
        product_codes: image
            .product_codes()
            .iter()
            .filter_map(|code| code.product_code_id().map(str::to_owned))
            .collect(),
        architecture: image
            .architecture()
            .map(|architecture| architecture.as_str().to_owned()),
        other_devices: devices
            .filter(|device| Some(*device) != root.as_deref())
            .map(str::to_owned)
            .collect(),
        root_device_name: root,
    }
}

async fn describe_snapshots(
    ec2: &Client,
    ids: &BTreeSet<SnapshotId>,
) -> Result<BTreeMap<SnapshotId, SnapshotFacts>, Failure> {
    let ids: Vec<SnapshotId> = ids.iter().cloned().collect();
    let listed = describe_by_ids(ec2, &ids).await?;
    Ok(listed
        .into_iter()
        .map(|listed| {
            let facts = SnapshotFacts {
                usable: listed.state == holdfast_core::polling::SnapshotState::Completed && !listed.archived,
                archived: listed.archived,
                kms_key_id: listed.key,
                size_gib: listed.snapshot.size_gib,
            };
            (listed.snapshot.snapshot_id, facts)
        })
        .collect())
}

/// Types, and of those that are to be launched where they are offered.
async fn describe_types(
    ec2: &Client,
    names: &BTreeSet<String>,
    launched: &BTreeSet<String>,
) -> Result<BTreeMap<String, TypeFacts>, Failure> {
    let mut found = BTreeMap::new();
    let mut zones = describe_offerings(ec2, launched).await?;
    for names in chunks(names) {
        let mut pages = ec2
            .describe_instance_types()
            .filters(filter("instance-type", names))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::call("listing the instance types", error))?;
            for kind in page.instance_types() {
                let Some(name) = kind.instance_type() else {
                    continue;
                };
                let zones = zones.remove(name.as_str()).unwrap_or_default();
                found.insert(name.as_str().to_owned(), type_facts(kind, zones));
            }
        }
    }
    Ok(found)
}

fn type_facts(kind: &InstanceTypeInfo, zones: BTreeSet<String>) -> TypeFacts {
    let texts = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect();
    let processor = kind.processor_info();
    let architectures = processor
        .map(ProcessorInfo::supported_architectures)
        .unwrap_or_default();
    let network = kind.network_info();
    let weightings = network.map(NetworkInfo::bandwidth_weightings).unwrap_or_default();
    let cpu = kind.v_cpu_info();
    TypeFacts {
        architectures: texts(&mut architectures.iter().map(ArchitectureType::as_str)),
        default_cores: cpu.and_then(VCpuInfo::default_cores),
        default_threads_per_core: cpu.and_then(VCpuInfo::default_threads_per_core),
        abilities: abilities(kind),
        boot_modes: texts(&mut kind.supported_boot_modes().iter().map(BootModeType::as_str)),
        bandwidth_weightings: texts(&mut weightings.iter().map(BandwidthWeightingType::as_str)),
        zones,
        most_interfaces: network.and_then(NetworkInfo::maximum_network_interfaces),
    }
}

fn abilities(kind: &InstanceTypeInfo) -> BTreeSet<Ability> {
    let optimized = kind.ebs_info().and_then(EbsInfo::ebs_optimized_support);
    let abilities = [
        (
            Ability::Bursts,
            kind.burstable_performance_supported() == Some(true),
        ),
        (
            Ability::EbsOptimized,
            optimized.is_some_and(|support| *support != EbsOptimizedSupport::Unsupported),
        ),
        (
            Ability::Enclaves,
            kind.nitro_enclaves_support() == Some(&NitroEnclavesSupport::Supported),
        ),
        (
            Ability::InstanceStore,
            kind.instance_storage_supported() == Some(true),
        ),
        (Ability::Hibernates, kind.hibernation_supported() == Some(true)),
        (
            Ability::Tpm,
            kind.nitro_tpm_support() == Some(&NitroTpmSupport::Supported),
        ),
    ];
    let has = abilities.into_iter().filter(|(_, has)| *has);
    has.map(|(ability, _)| ability).collect()
}

/// The zones in which each type is offered.
async fn describe_offerings(
    ec2: &Client,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for names in chunks(names) {
        let mut pages = ec2
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", names))
            .max_results(PAGE)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::call("listing where the types are offered", error))?;
            for offering in page.instance_type_offerings() {
                if let (Some(kind), Some(zone)) = (offering.instance_type(), offering.location()) {
                    found
                        .entry(kind.as_str().to_owned())
                        .or_default()
                        .insert(zone.to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// Those of the placement groups, hosts and reservations that an instance can stand in.
async fn describe_places(ec2: &Client, questions: &Questions) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    for names in chunks(&questions.placement_groups) {
        let answer = ec2
            .describe_placement_groups()
            .filters(filter("group-name", names))
            .filters(filter("state", ["available"]))
            .send()
            .await
            .map_err(|error| Failure::call("listing the placement groups", error))?;
        let groups = answer.placement_groups().iter();
        found.extend(groups.filter_map(|group| group.group_name().map(str::to_owned)));
    }
    // These have no filter for ids, and an unknown id is an error.
    for id in &questions.hosts {
        let answer = ec2.describe_hosts().host_ids(id).send().await;
        let answer = unless_gone(answer, || format!("looking at the host {id}"))?;
        let mut hosts = answer.iter().flat_map(DescribeHostsOutput::hosts);
        if hosts.any(|host| host.state() == Some(&AllocationState::Available)) {
            found.insert(id.clone());
        }
    }
    for id in &questions.reservations {
        let answer = ec2
            .describe_capacity_reservations()
            .capacity_reservation_ids(id)
            .send()
            .await;
        let answer = unless_gone(answer, || format!("looking at the capacity reservation {id}"))?;
        let mut reservations = answer
            .iter()
            .flat_map(DescribeCapacityReservationsOutput::capacity_reservations);
        if reservations.any(|one| one.state() == Some(&CapacityReservationState::Active)) {
            found.insert(id.clone());
        }
    }
    Ok(found)
}

/// An answer; none where what was asked about is gone.
fn unless_gone<T, E>(
    answer: Result<T, SdkError<E>>,
    what: impl FnOnce() -> String,
) -> Result<Option<T>, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if class_of(&error) == ErrorClass::Gone => Ok(None),
        Err(error) => Err(Failure::call(what(), error)),
    }
}

/// The key that EC2 encrypts new volumes with by default, as EC2 names it; none where it does not encrypt them.
async fn find_default_key(ec2: &Client) -> Result<Option<String>, Failure> {
    let answer = ec2.get_ebs_encryption_by_default().send().await;
    let answer =
        answer.map_err(|error| Failure::call("asking whether volumes are encrypted by default", error))?;
    if answer.ebs_encryption_by_default() != Some(true) {
        return Ok(None);
    }
    let answer = ec2.get_ebs_default_kms_key_id().send().await;
    let answer = answer.map_err(|error| Failure::call("asking for the default key of volumes", error))?;
    Ok(answer.kms_key_id)
}

async fn describe_zones(ec2: &Client) -> Result<BTreeSet<String>, Failure> {
    let answer = ec2.describe_availability_zones().send().await;
    let answer = answer.map_err(|error| Failure::call("listing the availability zones", error))?;
    let zones = answer.availability_zones().iter();
    Ok(zones
        .filter_map(|zone| zone.zone_name().map(str::to_owned))
        .collect())
}

/// Those of the volumes that more than one instance has attached.
async fn describe_shared(ec2: &Client, ids: &BTreeSet<VolumeId>) -> Result<BTreeSet<VolumeId>, Failure> {
    let ids: Vec<&str> = ids.iter().map(VolumeId::as_str).collect();
    let mut found = BTreeSet::new();
    for ids in ids.chunks(VALUES) {
        let answer = ec2
            .describe_volumes()
            .filters(filter("volume-id", ids.iter().copied()))
            .filters(filter("multi-attach-enabled", ["true"]))
            .max_results(PAGE)
            .send()
            .await
            .map_err(|error| Failure::call("listing the volumes that can be shared", error))?;
        let shared = answer
            .volumes()
            .iter()
            .filter(|volume| volume.attachments().len() > 1);
        found.extend(shared.filter_map(|volume| VolumeId::try_from(volume.volume_id()?).ok()));
    }
    Ok(found)
}

/// Which of the volumes are still there, and whether each is free.
async fn describe_kept(ec2: &Client, ids: &BTreeSet<VolumeId>) -> Result<BTreeMap<VolumeId, bool>, Failure> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = volume::look(ec2, ids).await;
    let found = found.map_err(|refusal| failure("looking at the volumes that are kept", &refusal))?;
    Ok(found
        .into_iter()
        .map(|(id, view)| (id, view.state == "available"))
        .collect())
}

/// What is wrong with a key, by its name; and the ARN of each, by its name.
type Keys = (BTreeMap<String, String>, BTreeMap<String, String>);

/// Looks at keys: which cannot be used, and which are named by something else than their ARN.
async fn look_at_keys(kms: &aws_sdk_kms::Client, keys: &BTreeSet<String>) -> Result<Keys, Failure> {
    let (mut unusable, mut arns) = Keys::default();
    for key in keys {
        let answer = kms.describe_key().key_id(key).send().await;
        let problem = match answer {
            Ok(answer) => {
                let metadata = answer.key_metadata();
                let arn = metadata
                    .and_then(|metadata| metadata.arn())
                    .filter(|arn| arn != key);
                arns.extend(arn.map(|arn| (key.clone(), arn.to_owned())));
                metadata
                    .and_then(|metadata| metadata.key_state())
                    .filter(|state| **state != KeyState::Enabled)
                    .map(|state| format!("the key {key} is {}", state.as_str()))
            }
            Err(error) if error.code() == Some("NotFoundException") => Some(format!("there is no key {key}")),
            Err(error) => match class_of(&error) {
                ErrorClass::Refused => Some(format!("the key {key} cannot be read: {}", reason_of(&error))),
                _ => return Err(Failure::call(format!("looking at the key {key}"), error)),
            },
        };
        if let Some(problem) = problem {
            unusable.insert(arns.get(key).unwrap_or(key).clone(), problem);
        }
    }
    Ok((unusable, arns))
}

fn chunks(names: &BTreeSet<String>) -> impl Iterator<Item = Vec<String>> + '_ {
    let names: Vec<String> = names.iter().cloned().collect();
    let chunks: Vec<Vec<String>> = names.chunks(VALUES).map(<[String]>::to_vec).collect();
    chunks.into_iter()
}
