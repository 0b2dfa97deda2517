//! Awkward instances: launched as a row describes them, changed since their backup, and looked at from outside.

use crate::account::{Account, make_key};
use crate::restoring::{describe, digest, volumes_of};
use crate::workflow::start_of_time;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types as ec2types;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An image that nobody registered.
const PLAIN_IMAGE: &str = "ami-0123456789abcdef0";
const ROOT: &str = "/dev/xvda";

/// An instance in a row of a table, and what happens to it between its backup and its restore.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Description {
    /// Images that are planted, by their names; `$image.<name>` in requests.
    pub images: BTreeMap<String, Value>,
    /// The image of `images` that it is launched from; a plain one where it is left out.
    pub image: Option<String>,
    /// Keys that are made beside those of disks; `$key.<name>` in requests.
    pub keys: Vec<String>,
    /// Its type.
    pub instance_type: String,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Instance-store devices.
    pub instance_store: BTreeMap<String, String>,
    /// Devices of the image that it does not have.
    pub without: Vec<String>,
    /// Its interfaces; one where there are none.
    pub interfaces: Vec<Interface>,
    /// A subnet of its own with this range; `$subnet` in requests.
    pub subnet: Option<String>,
    /// Whether AWS lends it a public address.
    pub public: bool,
    /// Elastic addresses: the interface and the place of its private address; `$elastic.0` in requests.
    pub elastic: Vec<[usize; 2]>,
    /// How many tags each of its things has.
    pub tags: usize,
    /// Tags of AWS's own on the instance.
    pub aws_tags: BTreeMap<String, String>,
    /// What it is protected from: `stop`, `termination`.
    pub protected: Vec<String>,
    /// Whether it is captured stopped.
    pub stopped: bool,
    /// What else the launch says.
    pub options: LaunchOptions,
    /// What happens after the backup.
    pub since: Vec<Since>,
    /// Settings of the simulator during the restore.
    pub settings: Value,
    /// Faults during the restore.
    pub faults: Vec<Value>,
}

impl Default for Description {
    fn default() -> Self {
        Self {
            images: BTreeMap::new(),
            image: None,
            keys: Vec::new(),
            instance_type: "t3.micro".to_owned(),
            disks: Vec::new(),
            instance_store: BTreeMap::new(),
            without: Vec::new(),
            interfaces: Vec::new(),
            subnet: None,
            public: false,
            elastic: Vec::new(),
            tags: 2,
            aws_tags: BTreeMap::new(),
            protected: Vec::new(),
            stopped: false,
            options: LaunchOptions::default(),
            since: Vec::new(),
            settings: json!({}),
            faults: Vec::new(),
        }
    }
}

/// A disk; the image's own where the device is that of its boot volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the words of EC2")]
pub struct Disk {
    pub device: String,
    pub gib: Option<i32>,
    pub kind: Option<String>,
    pub iops: Option<i32>,
    pub throughput: Option<i32>,
    pub encrypted: bool,
    pub key: Option<String>,
    pub ends: Option<bool>,
    /// Whether another instance has it too.
    pub shared: bool,
}

/// An interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Private addresses beside the primary one.
    pub secondary: i32,
    /// IPv6 addresses.
    pub ipv6: i32,
    /// Prefixes of each kind.
    pub prefixes: i32,
    /// Groups, by names; each is made. `$group.<name>` in requests.
    pub groups: Vec<String>,
    /// A subnet of its own with this range; `$subnet.<place>` in requests.
    pub subnet: Option<String>,
    /// Whether it takes what is not addressed to it.
    pub open: bool,
    /// Whether it stays when the instance ends.
    pub stays: bool,
    /// The network card it stands on, where that is not the first one: all of another card have the index 1.
    pub card: i32,
}

/// What else a launch says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the words of EC2, which is asked for one thing or not"
)]
pub struct LaunchOptions {
    pub spot: bool,
    pub tenancy: Option<String>,
    pub host_id: Option<String>,
    pub group_name: Option<String>,
    pub partition_number: Option<i32>,
    pub reservation_id: Option<String>,
    pub cpu: Option<[i32; 2]>,
    pub credits: Option<String>,
    pub user_data: Option<String>,
    pub key_name: Option<String>,
    pub profile: Option<String>,
    pub monitoring: bool,
    pub ebs_optimized: bool,
    pub enclave: bool,
    pub bandwidth: Option<String>,
    pub auto_recovery: Option<String>,
    pub license: Option<String>,
    pub without_metadata: bool,
}

/// How an instance profile is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileLoss {
    /// It is gone.
    Deleted,
    /// It has no role any more.
    Emptied,
}

/// What happens between backup and restore.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Since {
    /// The original is terminated.
    Terminate,
    /// A volume is taken off.
    Detach(String),
    /// A volume is taken off and deleted.
    Delete(String),
    /// Another volume comes to a device, in place of what is there; with whether it ends with the instance.
    NewVolume(String, bool),
    /// Volumes go from a device to another.
    Move(BTreeMap<String, String>),
    /// It gets another type.
    ChangeType(String),
    /// Its subnet, or that of the interface with this place, is deleted.
    DeleteSubnet(String),
    /// Somebody else has its primary address.
    TakeAddress,
    /// Every free address of its subnet is taken.
    FillSubnet,
    /// A group is deleted.
    DeleteGroup(String),
    /// The original's interfaces get another group.
    ChangeGroups(String),
    /// Another interface is attached.
    NewInterface,
    /// An elastic address is released.
    ReleaseElastic,
    /// An elastic address goes to another interface.
    MoveElastic,
    /// A key pair is deleted.
    DeleteKeyPair(String),
    /// An instance profile is deleted, or its role is taken from it.
    LoseProfile(String, ProfileLoss),
    /// New volumes are encrypted by default, under a key.
    EncryptByDefault(String),
    /// A key is disabled.
    DisableKey(String),
    /// The snapshots are gone.
    LoseSnapshots,
    /// The snapshots lie in the archive tier.
    ArchiveSnapshots,
    /// An image is deregistered.
    Deregister(String),
    /// An image has this name.
    TakeName(String),
    /// A placement group is deleted.
    DeletePlacementGroup(String),
    /// A dedicated host is released.
    ReleaseHost(String),
    /// A capacity reservation is cancelled.
    CancelReservation(String),
    /// A type is offered no more in a zone.
    Withhold(String, String),
}

/// What of an instance can be seen from outside, by the names that differences have.
pub type Portrait = BTreeMap<String, String>;

/// A launched instance.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The account it is in.
    pub account: &'a Account,
    /// The instance.
    pub original: String,
    /// Its type.
    pub kind: String,
    /// What requests may name with a `$`.
    pub names: BTreeMap<String, String>,
    /// The checksum of each device's bytes.
    pub captured: BTreeMap<String, String>,
    /// What it looked like.
    pub portrait: Portrait,
    ec2: Client,
    /// The account's default VPC.
    vpc: String,
}

fn tag(key: &str, value: &str) -> ec2types::Tag {
    ec2types::Tag::builder().key(key).value(value).build()
}

impl<'a> Scene<'a> {
    /// Launches an instance as described, with bytes on each of its volumes. It stops the account's clock.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn launch(account: &'a Account, wanted: &Description) -> Self {
        let simulator = &account.simulator;
        simulator
            .freeze(start_of_time() - jiff::SignedDuration::from_hours(1))
            .await
            .expect("the simulator's clock stops");
        let ec2 = account.ec2();
        let subnets = ec2
            .describe_subnets()
            .send()
            .await
            .expect("subnets are described");
        let subnet_in = |zone: &str| {
            let mut subnets = subnets.subnets().iter();
            let found = subnets.find(|subnet| subnet.availability_zone() == Some(zone));
            let id = found.and_then(|subnet| subnet.subnet_id());
            id.expect("every zone has a subnet").to_owned()
        };
        let vpc = subnets.subnets()[0]
            .vpc_id()
            .expect("a subnet has a VPC")
            .to_owned();
        let mut scene = Self {
            account,
            original: String::new(),
            kind: wanted.instance_type.clone(),
            names: BTreeMap::from([
                ("subnet".to_owned(), subnet_in("us-east-1a")),
                ("elsewhere".to_owned(), subnet_in("us-east-1b")),
            ]),
            captured: BTreeMap::new(),
            portrait: Portrait::new(),
            ec2,
            vpc,
        };
        scene.make_surroundings(wanted).await;
        scene.run(wanted).await;
        scene.complete(wanted).await;
        for (place, volume) in (0_u64..).zip(volumes_of(&scene.ec2, &scene.original).await) {
            let (device, volume) = volume;
            scene
                .write(&volume, &format!("{device} captured"), place * 512 * 1024)
                .await;
            scene.captured.insert(device, digest(account, &volume).await);
        }
        scene.portrait = portrait(&scene.ec2, &scene.original).await;
        scene
    }

    /// What the launch needs: images, keys, subnets, groups.
    async fn make_surroundings(&mut self, wanted: &Description) {
        for (name, image) in &wanted.images {
            self.plant(name, image.clone()).await;
        }
        let of_disks = wanted.disks.iter().filter_map(|disk| disk.key.as_ref());
        for name in of_disks.chain(&wanted.keys) {
            let key = make_key(self.account.config(), None).await;
            self.names.insert(format!("key.{name}"), key);
        }
        let own = wanted.subnet.as_ref().map(|range| ("subnet".to_owned(), range));
        let places = wanted.interfaces.iter().enumerate();
        let others = places
            .filter_map(|(place, interface)| Some((format!("subnet.{place}"), interface.subnet.as_ref()?)));
        for (name, range) in own.into_iter().chain(others) {
            let made = self.ec2.create_subnet().vpc_id(&self.vpc).cidr_block(range);
            let made = made
                .availability_zone("us-east-1a")
                .send()
                .await
                .expect("a subnet is made");
            let id = made.subnet().and_then(|subnet| subnet.subnet_id());
            self.names
                .insert(name, id.expect("a subnet has an id").to_owned());
        }
        let mut groups: Vec<&String> = wanted.interfaces.iter().flat_map(|one| &one.groups).collect();
        let changed = wanted.since.iter().filter_map(|since| match since {
            Since::ChangeGroups(name) => Some(name),
            _ => None,
        });
        groups.extend(changed);
        for name in groups {
            let made = self
                .ec2
                .create_security_group()
                .group_name(name)
                .description(name);
            let made = made.vpc_id(&self.vpc).send().await.expect("a group is made");
            let id = made.group_id().expect("a group has an id").to_owned();
            self.names.insert(format!("group.{name}"), id);
        }
    }

    async fn plant(&mut self, name: &str, mut image: Value) {
        image["name"] = json!(name);
        let answer = self
            .account
            .simulator
            .post("images", image)
            .await
            .expect("an image is planted");
        let id = answer["image_id"]
            .as_str()
            .expect("an image has an id")
            .to_owned();
        self.names.insert(format!("image.{name}"), id);
    }

    async fn run(&mut self, wanted: &Description) {
        let options = &wanted.options;
        let image = wanted
            .image
            .as_ref()
            .map(|name| self.named(&format!("image.{name}")));
        let placement = ec2types::Placement::builder()
            .set_tenancy(options.tenancy.as_deref().map(ec2types::Tenancy::from))
            .set_host_id(options.host_id.clone())
            .set_group_name(options.group_name.clone())
            .set_partition_number(options.partition_number);
        let mut profile = None;
        if let Some(name) = &options.profile {
            let arn = self.account.make_profile(name).await;
            let named = ec2types::IamInstanceProfileSpecification::builder().arn(arn);
            profile = Some(named.build());
        }
        let mut run = self
            .ec2
            .run_instances()
            .image_id(image.unwrap_or_else(|| PLAIN_IMAGE.to_owned()))
            .instance_type(ec2types::InstanceType::from(wanted.instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .placement(placement.build())
            .ebs_optimized(options.ebs_optimized)
            .set_user_data(options.user_data.clone())
            .set_key_name(options.key_name.clone())
            .set_iam_instance_profile(profile)
            .set_block_device_mappings(Some(self.mappings(wanted)))
            .set_network_interfaces(Some(self.interfaces(wanted)))
            .tag_specifications(
                ec2types::TagSpecification::builder()
                    .resource_type(ec2types::ResourceType::Instance)
                    .set_tags(Some(filler(wanted.tags, "shop")))
                    .build(),
            );
        if options.spot {
            run = run.instance_market_options(
                ec2types::InstanceMarketOptionsRequest::builder()
                    .market_type(ec2types::MarketType::Spot)
                    .build(),
            );
        }
        if let Some([cores, threads]) = options.cpu {
            let cpu = ec2types::CpuOptionsRequest::builder()
                .core_count(cores)
                .threads_per_core(threads);
            run = run.cpu_options(cpu.build());
        }
        if let Some(credits) = &options.credits {
            let credits = ec2types::CreditSpecificationRequest::builder().cpu_credits(credits);
            run = run.credit_specification(credits.build());
        }
        if let Some(reservation) = &options.reservation_id {
            let target = ec2types::CapacityReservationTarget::builder().capacity_reservation_id(reservation);
            let specification = ec2types::CapacityReservationSpecification::builder();
            let specification = specification.capacity_reservation_target(target.build());
            run = run.capacity_reservation_specification(specification.build());
        }
        if options.monitoring {
            run = run.monitoring(
                ec2types::RunInstancesMonitoringEnabled::builder()
                    .enabled(true)
                    .build(),
            );
        }
        if options.enclave {
            run = run.enclave_options(ec2types::EnclaveOptionsRequest::builder().enabled(true).build());
        }
        if let Some(weighting) = &options.bandwidth {
            let weighting = ec2types::InstanceBandwidthWeighting::from(weighting.as_str());
            let performance = ec2types::InstanceNetworkPerformanceOptionsRequest::builder();
            run = run.network_performance_options(performance.bandwidth_weighting(weighting).build());
        }
        if let Some(recovery) = &options.auto_recovery {
            let recovery = ec2types::InstanceAutoRecoveryState::from(recovery.as_str());
            let maintenance = ec2types::InstanceMaintenanceOptionsRequest::builder();
            run = run.maintenance_options(maintenance.auto_recovery(recovery).build());
        }
        if let Some(license) = &options.license {
            let license = ec2types::LicenseConfigurationRequest::builder().license_configuration_arn(license);
            run = run.license_specifications(license.build());
        }
        if options.without_metadata {
            let metadata = ec2types::InstanceMetadataOptionsRequest::builder()
                .http_endpoint(ec2types::InstanceMetadataEndpointState::Disabled);
            run = run.metadata_options(metadata.build());
        }
        let started = run.send().await.expect("the instance starts");
        let id = started.instances()[0]
            .instance_id()
            .expect("an instance has an id");
        id.clone_into(&mut self.original);
        self.names.insert("original".to_owned(), id.to_owned());
    }

    fn mappings(&self, wanted: &Description) -> Vec<ec2types::BlockDeviceMapping> {
        let mapping = |device: &str| ec2types::BlockDeviceMapping::builder().device_name(device);
        let disks = wanted.disks.iter().filter(|disk| !disk.shared).map(|disk| {
            let ebs = ec2types::EbsBlockDevice::builder()
                .set_volume_size(disk.gib)
                .set_volume_type(disk.kind.as_deref().map(ec2types::VolumeType::from))
                .set_iops(disk.iops)
                .set_throughput(disk.throughput)
                .set_encrypted((disk.encrypted || disk.key.is_some()).then_some(true))
                .set_kms_key_id(disk.key.as_ref().map(|name| self.named(&format!("key.{name}"))))
                .set_delete_on_termination(disk.ends);
            mapping(&disk.device).ebs(ebs.build()).build()
        });
        let stores = wanted.instance_store.iter();
        let stores = stores.map(|(device, name)| mapping(device).virtual_name(name).build());
        let without = wanted
            .without
            .iter()
            .map(|device| mapping(device).no_device("").build());
        disks.chain(stores).chain(without).collect()
    }

    fn interfaces(&self, wanted: &Description) -> Vec<ec2types::InstanceNetworkInterfaceSpecification> {
        let one = [Interface::default()];
        let interfaces = if wanted.interfaces.is_empty() {
            &one[..]
        } else {
            &wanted.interfaces
        };
        let alone = interfaces.len() == 1;
        let count = |number: i32| Some(number).filter(|number| *number > 0);
        let specifications = (0..).zip(interfaces).map(|(place, interface)| {
            let groups = interface
                .groups
                .iter()
                .map(|name| self.named(&format!("group.{name}")));
            let own = format!("subnet.{place}");
            let subnet = self
                .names
                .get(&own)
                .cloned()
                .unwrap_or_else(|| self.named("subnet"));
            ec2types::InstanceNetworkInterfaceSpecification::builder()
                .device_index(if interface.card == 0 { place } else { 1 })
                .set_network_card_index(Some(interface.card).filter(|card| *card != 0))
                .subnet_id(subnet)
                .description(format!("interface {place}"))
                .set_groups(Some(groups.collect()))
                .set_secondary_private_ip_address_count(count(interface.secondary))
                .set_ipv6_address_count(count(interface.ipv6))
                .set_ipv4_prefix_count(count(interface.prefixes))
                .set_ipv6_prefix_count(count(interface.prefixes))
                .delete_on_termination(!interface.stays)
                .set_associate_public_ip_address(alone.then_some(wanted.public))
                .build()
        });
        specifications.collect()
    }

    /// What a launch cannot say.
    async fn complete(&mut self, wanted: &Description) {
        for disk in wanted.disks.iter().filter(|disk| disk.shared) {
            self.share(disk).await;
        }
        let view = describe(&self.ec2, &self.original).await;
        for (device, volume) in volumes_of(&self.ec2, &self.original).await {
            self.names.insert(format!("volume.{device}"), volume.clone());
            self.tag(&volume, filler(wanted.tags, &device)).await;
        }
        for interface in view.network_interfaces() {
            let id = interface.network_interface_id().unwrap_or_default().to_owned();
            let place = interface
                .attachment()
                .and_then(ec2types::InstanceNetworkInterfaceAttachment::device_index)
                .unwrap_or(0);
            self.tag(&id, filler(wanted.tags, &format!("interface {place}")))
                .await;
            let described = usize::try_from(place)
                .ok()
                .and_then(|place| wanted.interfaces.get(place));
            if described.is_some_and(|described| described.open) {
                let modify = self
                    .ec2
                    .modify_network_interface_attribute()
                    .network_interface_id(&id);
                let open = ec2types::AttributeBooleanValue::builder().value(false).build();
                modify
                    .source_dest_check(open)
                    .send()
                    .await
                    .expect("the check is set");
            }
            if place == 0 {
                let address = interface.private_ip_address().unwrap_or_default().to_owned();
                self.names.insert("address".to_owned(), address);
            }
            self.names.insert(format!("interface.{place}"), id);
        }
        for (number, [interface, address]) in wanted.elastic.iter().enumerate() {
            let allocated = self
                .ec2
                .allocate_address()
                .send()
                .await
                .expect("an address is allocated");
            let allocation = allocated
                .allocation_id()
                .expect("an address has an allocation")
                .to_owned();
            let id = self.named(&format!("interface.{interface}"));
            let mut interfaces = view.network_interfaces().iter();
            let found = interfaces
                .find(|one| one.network_interface_id() == Some(&id))
                .expect("the interface");
            let private = found.private_ip_addresses()[*address]
                .private_ip_address()
                .unwrap_or_default();
            self.associate(&allocation, &id, private).await;
            self.names.insert(format!("elastic.{number}"), allocation);
        }
        for protection in &wanted.protected {
            let modify = self.ec2.modify_instance_attribute().instance_id(&self.original);
            let on = ec2types::AttributeBooleanValue::builder().value(true).build();
            let modify = match protection.as_str() {
                "stop" => modify.disable_api_stop(on),
                _ => modify.disable_api_termination(on),
            };
            modify.send().await.expect("it is protected");
        }
        if !wanted.aws_tags.is_empty() {
            let tags = json!({"resource_id": self.original, "tags": wanted.aws_tags});
            let set = self.account.simulator.post("tags", tags).await;
            set.expect("the tags are set");
        }
        if wanted.stopped {
            self.stop().await;
        }
    }

    /// Attaches a volume that another instance has too.
    async fn share(&mut self, disk: &Disk) {
        let run = self
            .ec2
            .run_instances()
            .image_id(PLAIN_IMAGE)
            .min_count(1)
            .max_count(1);
        let run = run
            .instance_type(ec2types::InstanceType::T3Micro)
            .subnet_id(self.named("subnet"));
        let started = run.send().await.expect("another instance starts");
        let other = started.instances()[0]
            .instance_id()
            .expect("an instance has an id")
            .to_owned();
        let made = self
            .ec2
            .create_volume()
            .availability_zone("us-east-1a")
            .set_size(disk.gib);
        let made = made.set_volume_type(disk.kind.as_deref().map(ec2types::VolumeType::from));
        let made = made
            .set_iops(disk.iops)
            .multi_attach_enabled(true)
            .send()
            .await
            .expect("a volume is made");
        let volume = made.volume_id().expect("a volume has an id");
        for instance in [&self.original, &other] {
            self.attach(volume, instance, &disk.device).await;
        }
    }

    async fn attach(&self, volume: &str, instance: &str, device: &str) {
        let attach = self
            .ec2
            .attach_volume()
            .volume_id(volume)
            .instance_id(instance)
            .device(device);
        attach.send().await.expect("a volume is attached");
    }

    async fn detach(&self, device: &str) -> Option<String> {
        let volume = volumes_of(&self.ec2, &self.original).await.remove(device)?;
        let detached = self.ec2.detach_volume().volume_id(&volume).send().await;
        detached.expect("a volume is detached");
        Some(volume)
    }

    async fn tag(&self, resource: &str, tags: Vec<ec2types::Tag>) {
        let sent = self
            .ec2
            .create_tags()
            .resources(resource)
            .set_tags(Some(tags))
            .send()
            .await;
        sent.expect("a thing is tagged");
    }

    async fn associate(&self, allocation: &str, interface: &str, private: &str) {
        let associate = self.ec2.associate_address().allocation_id(allocation);
        let associate = associate
            .network_interface_id(interface)
            .private_ip_address(private);
        associate.send().await.expect("the address is associated");
    }

    async fn stop(&self) {
        let stopped = self
            .ec2
            .stop_instances()
            .instance_ids(&self.original)
            .send()
            .await;
        stopped.expect("it stops");
    }

    async fn write(&self, volume: &str, text: &str, offset: u64) {
        let bytes = text.repeat(100).into_bytes();
        let written = self.account.simulator.put_content(volume, offset, bytes).await;
        written.expect("the simulator takes the bytes");
    }

    /// Puts other bytes on every volume of the original that was captured.
    ///
    /// # Panics
    /// The simulator does not take them.
    pub async fn damage(&self) {
        for volume in volumes_of(&self.ec2, &self.original).await.values() {
            self.write(volume, "damaged", 0).await;
        }
    }

    /// The tags of the backup's snapshots.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn snapshots(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let found = self
            .account
            .simulator
            .snapshots("holdfast:resource", &self.original)
            .await;
        let found = found.expect("the simulator lists its snapshots").into_iter();
        found
            .map(|snapshot| (snapshot.snapshot_id, snapshot.tags))
            .collect()
    }

    /// What a name of this scene stands for.
    ///
    /// # Panics
    /// It stands for nothing.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        let found = self.names.get(name);
        found.unwrap_or_else(|| panic!("there is no ${name}")).clone()
    }

    /// A request with `$name` replaced by what it stands for.
    #[must_use]
    pub fn fill(&self, request: &Value) -> Value {
        match request {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => json!(self.named(name)),
                None => request.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.fill(value)))
                .collect(),
            other => other.clone(),
        }
    }

    /// Lets something happen.
    ///
    /// # Panics
    /// The local stack does not answer as it should.
    pub async fn let_happen(&mut self, since: &Since) {
        let ec2 = self.ec2.clone();
        match since {
            Since::Terminate => {
                let terminated = ec2
                    .terminate_instances()
                    .instance_ids(&self.original)
                    .send()
                    .await;
                terminated.expect("it is terminated");
            }
            Since::Detach(device) => {
                self.detach(device).await;
            }
            Since::Delete(device) => {
                let volume = self.detach(device).await.expect("there is a volume");
                ec2.delete_volume()
                    .volume_id(volume)
                    .send()
                    .await
                    .expect("a volume is deleted");
            }
            Since::NewVolume(device, ends) => self.put_new_volume(device, *ends).await,
            Since::Move(moves) => {
                let mut moving = Vec::new();
                for (from, to) in moves {
                    moving.push((self.detach(from).await.expect("there is a volume"), to));
                }
                for (volume, to) in moving {
                    self.attach(&volume, &self.original, to).await;
                }
            }
            Since::ChangeType(kind) => {
                self.stop().await;
                let kind = ec2types::AttributeValue::builder().value(kind).build();
                let modify = ec2.modify_instance_attribute().instance_id(&self.original);
                modify
                    .instance_type(kind)
                    .send()
                    .await
                    .expect("it gets another type");
                let started = ec2.start_instances().instance_ids(&self.original).send().await;
                started.expect("it starts");
            }
            Since::DeleteKeyPair(name) => {
                ec2.delete_key_pair()
                    .key_name(name)
                    .send()
                    .await
                    .expect("a key pair is deleted");
            }
            Since::LoseProfile(name, loss) => self.lose_profile(name, *loss).await,
            Since::DisableKey(name) => {
                let kms = aws_sdk_kms::Client::new(self.account.config());
                let disabled = kms
                    .disable_key()
                    .key_id(self.named(&format!("key.{name}")))
                    .send()
                    .await;
                disabled.expect("a key is disabled");
            }
            Since::EncryptByDefault(name) => {
                let key = self.named(&format!("key.{name}"));
                let chosen = ec2.modify_ebs_default_kms_key_id().kms_key_id(key).send().await;
                chosen.expect("a default key is chosen");
                let enabled = ec2.enable_ebs_encryption_by_default().send().await;
                enabled.expect("encryption by default is enabled");
            }
            Since::Deregister(name) => {
                let image = self.named(&format!("image.{name}"));
                let gone = ec2.deregister_image().image_id(image).send().await;
                gone.expect("an image is deregistered");
            }
            Since::TakeName(name) => {
                let devices = json!([{"device": ROOT, "size_gib": 1}]);
                self.plant(name, json!({"root_device": ROOT, "devices": devices}))
                    .await;
            }
            Since::LoseSnapshots | Since::ArchiveSnapshots => self.take_snapshots_away(since).await,
            Since::DeletePlacementGroup(_)
            | Since::ReleaseHost(_)
            | Since::CancelReservation(_)
            | Since::Withhold(..) => self.take_place_away(since).await,
            other => self.change_network(other).await,
        }
    }

    async fn lose_profile(&self, name: &str, loss: ProfileLoss) {
        let iam = aws_sdk_iam::Client::new(self.account.config());
        let emptied = iam
            .remove_role_from_instance_profile()
            .instance_profile_name(name)
            .role_name(name)
            .send()
            .await;
        emptied.expect("a role is taken from its profile");
        if loss == ProfileLoss::Deleted {
            let deleted = iam
                .delete_instance_profile()
                .instance_profile_name(name)
                .send()
                .await;
            deleted.expect("an instance profile is deleted");
        }
    }

    async fn take_place_away(&self, since: &Since) {
        let ec2 = &self.ec2;
        match since {
            Since::DeletePlacementGroup(name) => {
                let deleted = ec2.delete_placement_group().group_name(name).send().await;
                deleted.expect("a placement group is deleted");
            }
            Since::ReleaseHost(id) => {
                let released = ec2.release_hosts().host_ids(id).send().await;
                let released = released.expect("a host is released");
                assert_eq!(released.successful(), [id.as_str()]);
            }
            Since::CancelReservation(id) => {
                let cancelled = ec2.cancel_capacity_reservation().capacity_reservation_id(id);
                cancelled
                    .send()
                    .await
                    .expect("a capacity reservation is cancelled");
            }
            Since::Withhold(kind, zone) => {
                let body = json!({"instance_type": kind, "zone": zone});
                let withheld = self.account.simulator.post("instance-types/withhold", body).await;
                withheld.expect("a type is withheld");
            }
            other => panic!("{other:?} takes no place away"),
        }
    }

    async fn put_new_volume(&self, device: &str, ends: bool) {
        self.detach(device).await;
        let made = self.ec2.create_volume().availability_zone("us-east-1a").size(1);
        let made = made
            .volume_type(ec2types::VolumeType::Gp3)
            .send()
            .await
            .expect("a volume is made");
        let volume = made.volume_id().expect("a volume has an id");
        self.attach(volume, &self.original, device).await;
        let ebs = ec2types::EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(ends);
        let mapping = ec2types::InstanceBlockDeviceMappingSpecification::builder()
            .device_name(device)
            .ebs(ebs.build());
        let modify = self.ec2.modify_instance_attribute().instance_id(&self.original);
        let modified = modify.block_device_mappings(mapping.build()).send().await;
        modified.expect("the flag is set");
        self.write(volume, "a stranger", 0).await;
    }

    async fn take_snapshots_away(&self, how: &Since) {
        let simulator = &self.account.simulator;
        let snapshots = simulator.snapshots("holdfast:resource", &self.original).await;
        for snapshot in snapshots.expect("the simulator lists its snapshots") {
            let id = &snapshot.snapshot_id;
            if matches!(how, Since::LoseSnapshots) {
                let gone = simulator
                    .post("snapshots/vanish", json!({"snapshot_id": id}))
                    .await;
                gone.expect("a snapshot vanishes");
            } else {
                let modify = self.ec2.modify_snapshot_tier().snapshot_id(id);
                let moved = modify
                    .storage_tier(ec2types::TargetStorageTier::Archive)
                    .send()
                    .await;
                moved.expect("a snapshot is archived");
            }
        }
        simulator
            .advance(60.0)
            .await
            .expect("the simulator's clock moves");
    }

    async fn change_network(&mut self, since: &Since) {
        let ec2 = self.ec2.clone();
        match since {
            Since::DeleteSubnet(name) => {
                let deleted = ec2.delete_subnet().subnet_id(self.named(name)).send().await;
                deleted.expect("a subnet is deleted");
            }
            Since::TakeAddress => {
                let create = ec2.create_network_interface().subnet_id(self.named("subnet"));
                let created = create.private_ip_address(self.named("address")).send().await;
                created.expect("an interface is made");
            }
            Since::FillSubnet => {
                let subnet = self.named("subnet");
                let found = ec2
                    .describe_subnets()
                    .subnet_ids(&subnet)
                    .send()
                    .await
                    .expect("the subnet");
                for _ in 0..found.subnets()[0].available_ip_address_count().unwrap_or(0) {
                    let create = ec2.create_network_interface().subnet_id(&subnet);
                    create.send().await.expect("an interface is made");
                }
            }
            Since::DeleteGroup(name) => {
                let group = self.named(&format!("group.{name}"));
                let deleted = ec2.delete_security_group().group_id(group).send().await;
                deleted.expect("a group is deleted");
            }
            Since::ChangeGroups(name) => {
                let group = self.named(&format!("group.{name}"));
                let modify = ec2.modify_network_interface_attribute();
                let modify = modify.network_interface_id(self.named("interface.0"));
                modify
                    .groups(group)
                    .send()
                    .await
                    .expect("an interface gets another group");
            }
            Since::NewInterface => {
                let create = ec2.create_network_interface().subnet_id(self.named("subnet"));
                let made = create.send().await.expect("an interface is made");
                let id = made
                    .network_interface()
                    .and_then(|made| made.network_interface_id());
                let attach = ec2.attach_network_interface().instance_id(&self.original);
                let attach = attach.set_network_interface_id(id.map(str::to_owned));
                attach
                    .device_index(1)
                    .send()
                    .await
                    .expect("an interface is attached");
            }
            Since::ReleaseElastic => {
                let allocation = self.named("elastic.0");
                let filter = ec2types::Filter::builder()
                    .name("allocation-id")
                    .values(&allocation)
                    .build();
                let found = ec2
                    .describe_addresses()
                    .filters(filter)
                    .send()
                    .await
                    .expect("the address");
                let association = found.addresses()[0].association_id().map(str::to_owned);
                let taken = ec2
                    .disassociate_address()
                    .set_association_id(association)
                    .send()
                    .await;
                taken.expect("an address is taken off");
                let released = ec2.release_address().allocation_id(allocation).send().await;
                released.expect("an address is released");
            }
            Since::MoveElastic => {
                let create = ec2.create_network_interface().subnet_id(self.named("subnet"));
                let made = create.send().await.expect("an interface is made");
                let made = made.network_interface().expect("an interface");
                let id = made
                    .network_interface_id()
                    .expect("an interface has an id")
                    .to_owned();
                let private = made.private_ip_address().expect("an interface has an address");
                self.associate(&self.named("elastic.0"), &id, private).await;
                self.names.insert("holder".to_owned(), id);
            }
            other => panic!("{other:?} is no change of the network"),
        }
    }
}

/// Tags of one thing: what the plan selects by, its name, and others up to `count`.
fn filler(count: usize, name: &str) -> Vec<ec2types::Tag> {
    let others = (2..count).map(|number| tag(&format!("tag {number:02}"), &format!("{name} {number}")));
    [tag("app", "shop"), tag("Name", name)]
        .into_iter()
        .chain(others)
        .collect()
}

/// What an instance looks like: everything that EC2 tells of it, without ids and times.
///
/// # Panics
/// EC2 does not answer.
pub async fn portrait(ec2: &Client, id: &str) -> Portrait {
    let view = describe(ec2, id).await;
    let mut portrait = Portrait::new();
    let mut note = |field: &str, value: String| {
        portrait.insert(field.to_owned(), value);
    };
    note(
        "state",
        format!("{:?}", view.state().and_then(ec2types::InstanceState::name)),
    );
    note("instance_type", format!("{:?}", view.instance_type()));
    note("architecture", format!("{:?}", view.architecture()));
    note("boot_mode", format!("{:?}", view.boot_mode()));
    note("tpm_support", format!("{:?}", view.tpm_support()));
    note("ena_support", format!("{:?}", view.ena_support()));
    note("platform", format!("{:?}", view.platform()));
    note("platform_details", format!("{:?}", view.platform_details()));
    note("usage_operation", format!("{:?}", view.usage_operation()));
    note("product_codes", format!("{:?}", view.product_codes()));
    note("lifecycle", format!("{:?}", view.instance_lifecycle()));
    note("key_name", format!("{:?}", view.key_name()));
    let profile = view
        .iam_instance_profile()
        .and_then(ec2types::IamInstanceProfile::arn);
    note("iam_instance_profile_arn", format!("{profile:?}"));
    note("monitoring", format!("{:?}", view.monitoring()));
    note("ebs_optimized", format!("{:?}", view.ebs_optimized()));
    note("root_device_name", format!("{:?}", view.root_device_name()));
    note("metadata", format!("{:?}", view.metadata_options()));
    note(
        "private_dns_name",
        format!("{:?}", view.private_dns_name_options()),
    );
    note("enclave_enabled", format!("{:?}", view.enclave_options()));
    note("auto_recovery", format!("{:?}", view.maintenance_options()));
    note(
        "bandwidth_weighting",
        format!("{:?}", view.network_performance_options()),
    );
    note("licenses", format!("{:?}", view.licenses()));
    let reservation = view.capacity_reservation_specification();
    note(
        "capacity_reservation.reservation_id",
        format!("{:?}", reservation.map(|one| one.capacity_reservation_target())),
    );
    note(
        "public_ip_address",
        format!("{}", view.public_ip_address().is_some()),
    );
    if let Some(cpu) = view.cpu_options() {
        note("cpu.core_count", format!("{:?}", cpu.core_count()));
        note("cpu.threads_per_core", format!("{:?}", cpu.threads_per_core()));
    }
    if let Some(placement) = view.placement() {
        note(
            "placement.availability_zone",
            format!("{:?}", placement.availability_zone()),
        );
        note("placement.tenancy", format!("{:?}", placement.tenancy()));
        note("placement.host_id", format!("{:?}", placement.host_id()));
        note(
            "placement.group_name",
            format!("{:?}", placement.group_name().filter(|name| !name.is_empty())),
        );
        note(
            "placement.partition_number",
            format!("{:?}", placement.partition_number()),
        );
    }
    let template = ec2
        .get_launch_template_data()
        .instance_id(id)
        .send()
        .await
        .expect("it is described");
    if let Some(template) = template.launch_template_data() {
        note("user_data", format!("{:?}", template.user_data()));
        note(
            "disable_api_termination",
            format!("{:?}", template.disable_api_termination()),
        );
        note("disable_api_stop", format!("{:?}", template.disable_api_stop()));
        note("cpu_credits", format!("{:?}", template.credit_specification()));
        let shutdown = template.instance_initiated_shutdown_behavior();
        note("instance_initiated_shutdown_behavior", format!("{shutdown:?}"));
        for mapping in template.block_device_mappings() {
            if let (Some(device), Some(name)) = (mapping.device_name(), mapping.virtual_name()) {
                note(&format!("instance_store.{device}"), name.to_owned());
            }
        }
    }
    note_tags("", view.tags(), &mut portrait);
    note_volumes(ec2, id, &mut portrait).await;
    note_interfaces(ec2, id, &mut portrait).await;
    portrait
}

/// The tags that a user can set.
fn note_tags(root: &str, tags: &[ec2types::Tag], portrait: &mut Portrait) {
    for tag in tags {
        let key = tag.key().unwrap_or_default();
        if !key.starts_with("holdfast:") {
            let value = tag.value().unwrap_or_default().to_owned();
            portrait.insert(format!("{root}tags.{key}"), value);
        }
    }
}

fn of_instance(id: &str) -> ec2types::Filter {
    ec2types::Filter::builder()
        .name("attachment.instance-id")
        .values(id)
        .build()
}

async fn note_volumes(ec2: &Client, id: &str, portrait: &mut Portrait) {
    let found = ec2.describe_volumes().filters(of_instance(id)).send().await;
    for volume in found.expect("volumes are described").volumes() {
        let mut attachments = volume.attachments().iter();
        let attachment = attachments
            .find(|one| one.instance_id() == Some(id))
            .expect("an attachment");
        let root = format!("volumes.{}.", attachment.device().unwrap_or_default());
        let mut note = |field: &str, value: String| {
            portrait.insert(format!("{root}{field}"), value);
        };
        note("size_gib", format!("{:?}", volume.size()));
        note("volume_type", format!("{:?}", volume.volume_type()));
        note("iops", format!("{:?}", volume.iops()));
        note("throughput", format!("{:?}", volume.throughput()));
        note("encrypted", format!("{:?}", volume.encrypted()));
        note("kms_key_id", format!("{:?}", volume.kms_key_id()));
        note(
            "multi_attach_enabled",
            format!("{:?}", volume.multi_attach_enabled()),
        );
        note(
            "delete_on_termination",
            format!("{:?}", attachment.delete_on_termination()),
        );
        note_tags(&root, volume.tags(), portrait);
    }
}

async fn note_interfaces(ec2: &Client, id: &str, portrait: &mut Portrait) {
    let found = ec2
        .describe_network_interfaces()
        .filters(of_instance(id))
        .send()
        .await;
    for interface in found.expect("interfaces are described").network_interfaces() {
        let attachment = interface.attachment().expect("an attachment");
        let index = attachment.device_index().unwrap_or(0);
        let root = match attachment.network_card_index().unwrap_or(0) {
            0 => format!("interfaces.{index}."),
            card => format!("interfaces.card {card}:{index}."),
        };
        let mut note = |field: &str, value: String| {
            portrait.insert(format!("{root}{field}"), value);
        };
        let mut groups: Vec<_> = interface
            .groups()
            .iter()
            .filter_map(|group| group.group_id())
            .collect();
        groups.sort_unstable();
        let mut addresses: Vec<_> = interface.private_ip_addresses().iter().collect();
        addresses.sort_by_key(|address| (!address.primary().unwrap_or(false), address.private_ip_address()));
        let private: Vec<_> = addresses
            .iter()
            .filter_map(|address| address.private_ip_address())
            .collect();
        let elastic: Vec<_> = addresses
            .iter()
            .map(|address| {
                address
                    .association()
                    .and_then(|association| association.allocation_id())
            })
            .collect();
        let ipv6: Vec<_> = interface
            .ipv6_addresses()
            .iter()
            .map(|one| one.ipv6_address())
            .collect();
        let ipv4_prefixes: Vec<_> = interface
            .ipv4_prefixes()
            .iter()
            .map(|one| one.ipv4_prefix())
            .collect();
        let ipv6_prefixes: Vec<_> = interface
            .ipv6_prefixes()
            .iter()
            .map(|one| one.ipv6_prefix())
            .collect();
        let counts = (
            private.len(),
            ipv6.len(),
            ipv4_prefixes.len(),
            ipv6_prefixes.len(),
        );
        note("counts", format!("{counts:?}"));
        note("private_addresses", format!("{private:?}"));
        note("elastic_ips", format!("{elastic:?}"));
        note("ipv6_addresses", format!("{ipv6:?}"));
        note("ipv4_prefixes", format!("{ipv4_prefixes:?}"));
        note("ipv6_prefixes", format!("{ipv6_prefixes:?}"));
        note("security_groups", format!("{groups:?}"));
        note("subnet_id", format!("{:?}", interface.subnet_id()));
        note("description", format!("{:?}", interface.description()));
        note(
            "source_dest_check",
            format!("{:?}", interface.source_dest_check()),
        );
        note(
            "delete_on_termination",
            format!("{:?}", attachment.delete_on_termination()),
        );
        note_tags(&root, interface.tag_set(), portrait);
    }
}
