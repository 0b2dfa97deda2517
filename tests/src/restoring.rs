//! Scenes for restores, and what must be true of an account after one.

use crate::account::{Account, REGION};
use crate::workflow::{Bench, start_of_time};
use asl_runner::{Execution, Status};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types as ec2types;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The tag that nothing carries any more when a restore has ended.
const RESTORE: &str = holdfast_core::restoring::tags::RESTORE;

/// An instance with most of what an instance can have.
#[derive(Debug, Clone)]
pub struct Rich {
    /// The instance.
    pub id: String,
    /// Its volumes by device.
    pub volumes: BTreeMap<String, String>,
    /// The private address of its primary interface.
    pub address: String,
    /// Its elastic address.
    pub allocation: String,
}

/// The plan of every test here: everything tagged `app=shop`.
#[must_use]
pub fn plan() -> Value {
    json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 10}],
    }})
}

fn tag(key: &str, value: &str) -> ec2types::Tag {
    ec2types::Tag::builder().key(key).value(value).build()
}

fn tagged(kind: ec2types::ResourceType, name: &str) -> ec2types::TagSpecification {
    ec2types::TagSpecification::builder()
        .resource_type(kind)
        .tags(tag("app", "shop"))
        .tags(tag("Name", name))
        .build()
}

/// Starts an instance with three volumes of different types, two interfaces with several addresses, an elastic address,
/// user data, a profile, metadata options, tags on everything, and bytes on each volume. It stops the account's clock.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn start_rich(account: &Account) -> Rich {
    start_rich_from(account, "ami-0123456789abcdef0").await
}

/// Plants an image that is billed as Windows under a product code, and gives its id.
///
/// # Panics
/// The simulator does not take it.
pub async fn plant_coded_image(account: &Account) -> String {
    let an_hour_before = start_of_time() - jiff::SignedDuration::from_hours(1);
    account
        .simulator
        .freeze(an_hour_before)
        .await
        .expect("the simulator's clock stops");
    let image = json!({
        "name": "windows", "root_device": "/dev/xvda",
        "devices": [{"device": "/dev/xvda", "size_gib": 8}, {"device": "/dev/sdw", "size_gib": 1}],
        "platform": "windows", "platform_details": "Windows", "usage_operation": "RunInstances:0002",
        "product_codes": [{"id": "abc123", "kind": "marketplace"}], "architecture": "x86_64",
        "owner": "123456789012",
    });
    let answer = account
        .simulator
        .post("images", image)
        .await
        .expect("the image is planted");
    answer["image_id"]
        .as_str()
        .expect("an image has an id")
        .to_owned()
}

/// The same, from an image of its own, of which only the boot volume is taken.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn start_rich_from(account: &Account, image: &str) -> Rich {
    account
        .simulator
        .freeze(start_of_time())
        .await
        .expect("the simulator's clock stops");
    let ec2 = account.ec2();
    let subnets = ec2
        .describe_subnets()
        .send()
        .await
        .expect("subnets are described");
    let subnet = subnets
        .subnets()
        .iter()
        .find(|subnet| subnet.availability_zone() == Some("us-east-1a"))
        .and_then(|subnet| subnet.subnet_id())
        .expect("zone a has a subnet")
        .to_owned();
    let id = launch_rich(account, image, &subnet).await;
    let view = describe(&ec2, &id).await;
    let volumes: BTreeMap<String, String> = view
        .block_device_mappings()
        .iter()
        .filter_map(|mapping| {
            let volume = mapping.ebs()?.volume_id()?.to_owned();
            Some((mapping.device_name()?.to_owned(), volume))
        })
        .collect();
    dress_rich(account, &view, &volumes).await;
    let allocation = ec2
        .allocate_address()
        .send()
        .await
        .expect("an address is allocated")
        .allocation_id()
        .expect("an address has an allocation")
        .to_owned();
    let primary = view
        .network_interfaces()
        .iter()
        .find(|interface| interface.description() == Some("front"))
        .expect("there is a primary interface");
    ec2.associate_address()
        .allocation_id(&allocation)
        .network_interface_id(primary.network_interface_id().unwrap_or_default())
        .send()
        .await
        .expect("the address is associated");
    Rich {
        address: primary.private_ip_address().expect("an address").to_owned(),
        id,
        volumes,
        allocation,
    }
}

/// Launches it into a subnet, and gives its id.
async fn launch_rich(account: &Account, image: &str, subnet: &str) -> String {
    let ebs = |size: i32, kind: &str| {
        ec2types::EbsBlockDevice::builder()
            .volume_size(size)
            .volume_type(ec2types::VolumeType::from(kind))
    };
    let device = |name: &str, ebs: ec2types::EbsBlockDevice| {
        ec2types::BlockDeviceMapping::builder()
            .device_name(name)
            .ebs(ebs)
            .build()
    };
    let interface = |index: i32, description: &str| {
        ec2types::InstanceNetworkInterfaceSpecification::builder()
            .device_index(index)
            .subnet_id(subnet)
            .description(description)
            .secondary_private_ip_address_count(1)
            .delete_on_termination(index == 0)
            .build()
    };
    let launch = account
        .ec2()
        .run_instances()
        .image_id(image)
        .instance_type(ec2types::InstanceType::T3Micro)
        .min_count(1)
        .max_count(1)
        .key_name("ops")
        .user_data("IyEvYmluL3NoCmVjaG8gc2hvcAo=")
        .iam_instance_profile(
            ec2types::IamInstanceProfileSpecification::builder()
                .arn(account.make_profile("shop").await)
                .build(),
        )
        .metadata_options(
            ec2types::InstanceMetadataOptionsRequest::builder()
                .http_tokens(ec2types::HttpTokensState::Required)
                .http_put_response_hop_limit(3)
                .instance_metadata_tags(ec2types::InstanceMetadataTagsState::Enabled)
                .build(),
        )
        .private_dns_name_options(
            ec2types::PrivateDnsNameOptionsRequest::builder()
                .hostname_type(ec2types::HostnameType::ResourceName)
                .enable_resource_name_dns_a_record(true)
                .build(),
        )
        .monitoring(
            ec2types::RunInstancesMonitoringEnabled::builder()
                .enabled(true)
                .build(),
        )
        .credit_specification(
            ec2types::CreditSpecificationRequest::builder()
                .cpu_credits("standard")
                .build(),
        )
        .instance_initiated_shutdown_behavior(ec2types::ShutdownBehavior::Terminate)
        .block_device_mappings(device(
            "/dev/xvda",
            ebs(8, "gp3").iops(4000).throughput(200).build(),
        ))
        .block_device_mappings(device(
            "/dev/sdf",
            ebs(4, "io2").iops(500).delete_on_termination(true).build(),
        ))
        .block_device_mappings(device(
            "/dev/sdk",
            ebs(125, "st1")
                .encrypted(true)
                .delete_on_termination(false)
                .build(),
        ))
        .block_device_mappings(
            ec2types::BlockDeviceMapping::builder()
                .device_name("/dev/sdw")
                .no_device("")
                .build(),
        )
        .network_interfaces(interface(0, "front"))
        .network_interfaces(interface(1, "back"))
        .tag_specifications(tagged(ec2types::ResourceType::Instance, "db"));
    let started = launch.send().await.expect("the instance starts");
    started.instances()[0]
        .instance_id()
        .expect("an instance has an id")
        .to_owned()
}

/// Gives its volumes bytes and tags of their own, and its interfaces tags and checks.
async fn dress_rich(account: &Account, view: &ec2types::Instance, volumes: &BTreeMap<String, String>) {
    let ec2 = account.ec2();
    for (number, (device, volume)) in (0_u64..).zip(volumes) {
        ec2.create_tags()
            .resources(volume)
            .tags(tag("app", "shop"))
            .tags(tag("Name", device))
            .send()
            .await
            .expect("a volume is tagged");
        write(account, volume, &format!("{device} before"), number).await;
    }
    for interface in view.network_interfaces() {
        let interface_id = interface.network_interface_id().unwrap_or_default();
        let description = interface.description().unwrap_or_default();
        ec2.create_tags()
            .resources(interface_id)
            .tags(tag("Name", description))
            .send()
            .await
            .expect("an interface is tagged");
        if description == "back" {
            ec2.modify_network_interface_attribute()
                .network_interface_id(interface_id)
                .source_dest_check(ec2types::AttributeBooleanValue::builder().value(false).build())
                .send()
                .await
                .expect("the check is set");
        }
    }
}

/// Writes bytes that only this text and number give onto a volume.
///
/// # Panics
/// The simulator does not take them.
pub async fn write(account: &Account, volume: &str, text: &str, number: u64) {
    for block in 0..2_u64 {
        let bytes = format!("{text} {block}").repeat(300).into_bytes();
        account
            .simulator
            .put_content(volume, (block * 7 + number) * 512 * 1024, bytes)
            .await
            .expect("the simulator takes the bytes");
    }
}

/// Has the simulator forget an account and everything on its volumes: a harness makes thousands.
///
/// # Panics
/// The simulator does not answer.
pub async fn forget(account: &Account) {
    account
        .simulator
        .ask(reqwest::Method::POST, "reset", None)
        .await
        .expect("the simulator forgets the account");
}

/// The checksum of everything on a volume.
///
/// # Panics
/// The simulator does not answer.
pub async fn digest(account: &Account, volume: &str) -> String {
    let route = format!("volumes/{volume}/digest");
    let answer = account
        .simulator
        .ask(reqwest::Method::GET, &route, None)
        .await
        .expect("the simulator gives the digest");
    answer["sha256"]
        .as_str()
        .or(answer["digest"].as_str())
        .map_or_else(|| answer.to_string(), str::to_owned)
}

/// One instance as EC2 shows it.
///
/// # Panics
/// EC2 does not show it.
pub async fn describe(ec2: &Client, id: &str) -> ec2types::Instance {
    let answer = ec2
        .describe_instances()
        .instance_ids(id)
        .send()
        .await
        .expect("the instance is described");
    answer.reservations()[0].instances()[0].clone()
}

/// The volumes of an instance by device.
///
/// # Panics
/// EC2 does not show it.
pub async fn volumes_of(ec2: &Client, id: &str) -> BTreeMap<String, String> {
    let view = describe(ec2, id).await;
    view.block_device_mappings()
        .iter()
        .filter_map(|mapping| {
            let volume = mapping.ebs()?.volume_id()?.to_owned();
            Some((mapping.device_name()?.to_owned(), volume))
        })
        .collect()
}

/// Everything that an account holds that a restore could make, change or leave, in words that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// Instances that are not terminated: state, volumes with their flags, interfaces with their flags, protections.
    pub instances: BTreeMap<String, String>,
    /// Volumes: state, where they hang, tags.
    pub volumes: BTreeMap<String, String>,
    /// Interfaces: addresses, state, elastic address.
    pub interfaces: BTreeMap<String, String>,
    /// Images of the account.
    pub images: BTreeMap<String, String>,
    /// What carries a restore's tag.
    pub leftovers: Vec<String>,
}

impl World {
    /// Looks at an account.
    ///
    /// # Panics
    /// EC2 does not answer.
    pub async fn of(ec2: &Client) -> Self {
        let mut world = Self::default();
        world.look_at_instances(ec2).await;
        world.look_at_volumes(ec2).await;
        world.look_at_interfaces(ec2).await;
        world.look_at_images(ec2).await;
        world
    }

    fn note(&mut self, id: &str, tags: &BTreeMap<String, String>) {
        if let Some(restore) = tags.get(RESTORE) {
            self.leftovers.push(format!("{id} of {restore}"));
        }
    }

    async fn look_at_instances(&mut self, ec2: &Client) {
        let answer = ec2
            .describe_instances()
            .send()
            .await
            .expect("instances are described");
        for instance in answer
            .reservations()
            .iter()
            .flat_map(ec2types::Reservation::instances)
        {
            let id = instance.instance_id().unwrap_or_default().to_owned();
            let state = instance
                .state()
                .and_then(|state| state.name())
                .map_or("", |name| name.as_str());
            if state == "terminated" {
                continue;
            }
            let tags = words(instance.tags());
            self.note(&id, &tags);
            let (devices, protections) = (devices_of(instance), protections_of(ec2, &id).await);
            let line = format!("{state} {devices} {protections} {tags:?}");
            self.instances.insert(id, line);
        }
    }

    async fn look_at_volumes(&mut self, ec2: &Client) {
        let answer = ec2
            .describe_volumes()
            .send()
            .await
            .expect("volumes are described");
        for volume in answer.volumes() {
            let id = volume.volume_id().unwrap_or_default().to_owned();
            let tags = words(volume.tags());
            self.note(&id, &tags);
            let state = volume.state().map_or("", |state| state.as_str());
            let at: Vec<_> = volume
                .attachments()
                .iter()
                .map(|attachment| (attachment.instance_id(), attachment.device()))
                .collect();
            self.volumes.insert(id, format!("{state} {at:?} {tags:?}"));
        }
    }

    async fn look_at_interfaces(&mut self, ec2: &Client) {
        let answer = ec2
            .describe_network_interfaces()
            .send()
            .await
            .expect("interfaces are described");
        for interface in answer.network_interfaces() {
            let id = interface.network_interface_id().unwrap_or_default().to_owned();
            let tags = words(interface.tag_set());
            self.note(&id, &tags);
            let state = interface.status().map_or("", |state| state.as_str());
            let addresses: Vec<_> = interface
                .private_ip_addresses()
                .iter()
                .map(|address| {
                    let elastic = address
                        .association()
                        .and_then(|association| association.allocation_id());
                    (address.private_ip_address(), elastic)
                })
                .collect();
            let line = format!(
                "{state} {addresses:?} {:?} {tags:?}",
                interface.source_dest_check()
            );
            self.interfaces.insert(id, line);
        }
    }

    async fn look_at_images(&mut self, ec2: &Client) {
        let answer = ec2
            .describe_images()
            .owners("self")
            .send()
            .await
            .expect("images are described");
        for image in answer.images() {
            let id = image.image_id().unwrap_or_default().to_owned();
            let tags = words(image.tags());
            self.note(&id, &tags);
            self.images.insert(id, format!("{:?} {tags:?}", image.name()));
        }
        let filter = ec2types::Filter::builder()
            .name("tag-key")
            .values(RESTORE)
            .build();
        let answer = ec2
            .describe_snapshots()
            .owner_ids("self")
            .filters(filter)
            .send()
            .await;
        for snapshot in answer.expect("snapshots are described").snapshots() {
            self.note(
                snapshot.snapshot_id().unwrap_or_default(),
                &words(snapshot.tags()),
            );
        }
    }
}

fn words(tags: &[ec2types::Tag]) -> BTreeMap<String, String> {
    tags.iter()
        .map(|tag| {
            (
                tag.key().unwrap_or_default().to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

/// The volumes and interfaces of an instance with their flags.
fn devices_of(instance: &ec2types::Instance) -> String {
    let volumes: BTreeMap<_, _> = instance
        .block_device_mappings()
        .iter()
        .filter_map(|mapping| {
            let ebs = mapping.ebs()?;
            Some((
                mapping.device_name()?.to_owned(),
                (ebs.volume_id()?.to_owned(), ebs.delete_on_termination()),
            ))
        })
        .collect();
    let interfaces: BTreeMap<_, _> = instance
        .network_interfaces()
        .iter()
        .filter_map(|interface| {
            let attachment = interface.attachment()?;
            let index = attachment.device_index()?;
            Some((
                index,
                (
                    interface.network_interface_id()?.to_owned(),
                    attachment.delete_on_termination(),
                ),
            ))
        })
        .collect();
    format!("{volumes:?} {interfaces:?}")
}

/// Whether an instance is protected from being terminated, and from being stopped.
async fn protections_of(ec2: &Client, id: &str) -> String {
    let attribute = async |name: ec2types::InstanceAttributeName| {
        ec2.describe_instance_attribute()
            .instance_id(id)
            .attribute(name)
            .send()
            .await
            .expect("an attribute is described")
    };
    let termination = attribute(ec2types::InstanceAttributeName::DisableApiTermination).await;
    let stop = attribute(ec2types::InstanceAttributeName::DisableApiStop).await;
    let protections = (
        termination
            .disable_api_termination()
            .and_then(ec2types::AttributeBooleanValue::value),
        stop.disable_api_stop()
            .and_then(ec2types::AttributeBooleanValue::value),
    );
    format!("{protections:?}")
}

/// The answer of a restore that came to its end well.
///
/// # Panics
/// It did not.
#[must_use]
pub fn succeeded(execution: Execution) -> Value {
    match execution.status {
        Status::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

/// Why a restore failed: the error and its cause.
///
/// # Panics
/// It did not.
#[must_use]
pub fn failed(status: &Status) -> String {
    match status {
        Status::Failed { error, cause } => format!("{error}: {cause}"),
        other => panic!("{other:?}"),
    }
}

/// Backs the account up, and gives the recovery point.
///
/// # Panics
/// The backup does not succeed.
pub async fn back_up(bench: &mut Bench<'_>) -> String {
    let output = succeeded(bench.back_up(plan(), "backup").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    output["recovery_point_id"]
        .as_str()
        .expect("a recovery point")
        .to_owned()
}

/// The id of the job of the restore execution with this name.
#[must_use]
pub fn execution_arn(account: &Account, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{}:execution:restore:{name}", account.id)
}

/// One call as the simulator's log holds it: its action, and the ids among its parameters.
type LoggedCall = (String, Vec<String>);

async fn calls_of(account: &Account) -> Vec<LoggedCall> {
    let mut calls = Vec::new();
    let mut since = 0;
    loop {
        let route = format!("calls?since={since}");
        let page = account
            .simulator
            .ask(reqwest::Method::GET, &route, None)
            .await
            .expect("the simulator gives its log");
        let found = page["calls"].as_array().cloned().unwrap_or_default();
        if found.is_empty() {
            return calls;
        }
        since = page["next"].as_u64().unwrap_or(0);
        calls.extend(found.iter().filter(|call| call["outcome"] == "ok").map(|call| {
            let ids = call["ids"].as_array().into_iter().flatten();
            (
                call["action"].as_str().unwrap_or_default().to_owned(),
                ids.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            )
        }));
    }
}

/// Checks by the log of calls that an original was terminated only after a candidate had been proved good, and the
/// candidate only after the instance that stays: at no moment both are gone.
///
/// # Panics
/// It was not so.
pub async fn ends_in_order(account: &Account, original: &str) {
    let calls = calls_of(account).await;
    let mut proved: Vec<String> = vec![original.to_owned()];
    let mut terminated: Vec<String> = Vec::new();
    for (action, ids) in calls {
        match action.as_str() {
            "DescribeInstanceStatus" => proved.extend(ids),
            "TerminateInstances" => {
                for id in ids {
                    if terminated.contains(&id) {
                        continue;
                    }
                    let others = proved
                        .iter()
                        .filter(|other| **other != id && !terminated.contains(other));
                    assert!(
                        others.count() > 0,
                        "{id} was terminated with nothing proved good beside it"
                    );
                    terminated.push(id);
                }
            }
            _ => {}
        }
    }
    assert!(
        terminated.iter().any(|id| id == original),
        "the original still stands"
    );
}
