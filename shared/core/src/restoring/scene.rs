//! A captured instance with everything that an instance can have, and surroundings in which it can come back.

use super::Held;
use super::surroundings::{
    Ability, Holder, ImageFacts, InterfaceFacts, SnapshotFacts, Subnet, Surroundings, TypeFacts,
};
use crate::backup::{Backup, BackupStatus};
use crate::configuration::{
    CapacityReservation, CpuOptions, InstanceConfiguration, InterfaceConfiguration, MetadataOptions,
    Placement, PrivateAddress, PrivateDnsName, ProductCode, Tags, VolumeConfiguration,
};
use crate::ids::{InstanceId, SnapshotId, derive_run_ids};
use crate::ids::{Occasion, PlanId};
use crate::replica::Destination;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/own";

pub(crate) fn now() -> Timestamp {
    "2026-11-26T05:00:00Z".parse().unwrap()
}

pub(crate) fn resource() -> InstanceId {
    InstanceId::try_from("i-0123456789abcdef0").unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it fills optional fields")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// An instance of which every field is set.
#[expect(clippy::too_many_lines, reason = "an instance has that many fields")]
pub(crate) fn captured() -> InstanceConfiguration {
    let volume = |n: u32, device: &str| VolumeConfiguration {
        device: device.to_owned(),
        encrypted: Some(true),
        kms_key_id: some(KEY),
        tags: tags(&[("Name", device)]),
        ..VolumeConfiguration::sample(n)
    };
    let mut volumes = vec![
        volume(1, "/dev/sdf"),
        volume(2, "/dev/sdh"),
        volume(3, "/dev/xvda"),
    ];
    volumes[2].is_boot = true;
    volumes[1].delete_on_termination = Some(false);
    InstanceConfiguration {
        image_id: some("ami-0123456789abcdef0"),
        instance_type: some("m5.large"),
        architecture: some("x86_64"),
        platform: None,
        platform_details: some("Linux/UNIX"),
        usage_operation: some("RunInstances"),
        product_codes: Vec::new(),
        lifecycle: None,
        virtualization_type: some("hvm"),
        hypervisor: some("xen"),
        boot_mode: some("uefi"),
        current_boot_mode: some("uefi"),
        tpm_support: some("v2.0"),
        kernel_id: some("aki-1"),
        ramdisk_id: some("ari-1"),
        ena_support: Some(true),
        sriov_net_support: some("simple"),
        ebs_optimized: Some(true),
        root_device_name: some("/dev/xvda"),
        root_device_type: some("ebs"),
        state: some("running"),
        launched_at: Some(now()),
        key_name: some("ops"),
        iam_instance_profile_arn: some("arn:aws:iam::111122223333:instance-profile/shop"),
        user_data: some("IyEvYmluL3NoCg=="),
        monitoring: some("enabled"),
        source_dest_check: Some(false),
        disable_api_termination: Some(true),
        disable_api_stop: Some(false),
        instance_initiated_shutdown_behavior: some("stop"),
        cpu_credits: some("unlimited"),
        hibernation_configured: Some(false),
        enclave_enabled: Some(false),
        auto_recovery: some("default"),
        reboot_migration: some("default"),
        bandwidth_weighting: some("default"),
        licenses: vec![
            "arn:aws:license-manager:eu-west-1:111122223333:license-configuration:lic-1".to_owned(),
        ],
        placement: Placement {
            availability_zone: some("eu-west-1a"),
            tenancy: some("default"),
            group_name: None,
            group_id: None,
            partition_number: None,
            host_id: None,
            affinity: None,
            spread_domain: None,
            host_resource_group_arn: None,
        },
        cpu: CpuOptions {
            core_count: Some(1),
            threads_per_core: Some(2),
            amd_sev_snp: some("disabled"),
            nested_virtualization: some("disabled"),
        },
        metadata: MetadataOptions {
            http_tokens: some("required"),
            http_put_response_hop_limit: Some(2),
            http_endpoint: some("enabled"),
            http_protocol_ipv6: some("disabled"),
            instance_metadata_tags: some("enabled"),
        },
        private_dns_name: PrivateDnsName {
            hostname_type: some("resource-name"),
            enable_resource_name_dns_a_record: Some(true),
            enable_resource_name_dns_aaaa_record: Some(false),
        },
        capacity_reservation: CapacityReservation {
            preference: some("open"),
            reservation_id: None,
            resource_group_arn: None,
        },
        vpc_id: some("vpc-1"),
        subnet_id: some("subnet-a"),
        private_ip_address: some("10.0.1.10"),
        public_ip_address: some("198.51.100.7"),
        security_groups: vec!["sg-web".to_owned()],
        tags: tags(&[("Name", "shop"), ("app", "shop")]),
        volumes,
        instance_store: BTreeMap::new(),
        interfaces: vec![
            InterfaceConfiguration {
                network_interface_id: "eni-primary".to_owned(),
                device_index: Some(0),
                network_card_index: Some(0),
                delete_on_termination: Some(true),
                interface_type: some("interface"),
                description: some("primary"),
                mac_address: some("02:00:00:00:00:01"),
                subnet_id: some("subnet-a"),
                vpc_id: some("vpc-1"),
                source_dest_check: Some(false),
                security_groups: vec!["sg-web".to_owned()],
                private_addresses: vec![
                    PrivateAddress {
                        address: "10.0.1.10".to_owned(),
                        primary: true,
                        public_ip: some("198.51.100.7"),
                        allocation_id: some("eipalloc-1"),
                        elastic_ip_tags: Tags::new(),
                    },
                    PrivateAddress {
                        address: "10.0.1.11".to_owned(),
                        ..PrivateAddress::default()
                    },
                ],
                ipv6_addresses: vec!["2001:db8::10".to_owned()],
                ipv4_prefixes: vec!["10.0.1.32/28".to_owned()],
                ipv6_prefixes: vec!["2001:db8:0:1::/80".to_owned()],
                tags: tags(&[("Name", "primary")]),
            },
            InterfaceConfiguration {
                network_interface_id: "eni-second".to_owned(),
                device_index: Some(1),
                network_card_index: Some(0),
                delete_on_termination: Some(false),
                interface_type: some("interface"),
                description: some("second"),
                subnet_id: some("subnet-a2"),
                vpc_id: some("vpc-1"),
                source_dest_check: Some(true),
                security_groups: vec!["sg-db".to_owned()],
                private_addresses: vec![PrivateAddress {
                    address: "10.0.2.10".to_owned(),
                    primary: true,
                    ..PrivateAddress::default()
                }],
                ..InterfaceConfiguration::default()
            },
        ],
    }
}

/// The same, billed as Windows under a product code.
pub(crate) fn coded() -> InstanceConfiguration {
    InstanceConfiguration {
        platform: some("windows"),
        platform_details: some("Windows"),
        usage_operation: some("RunInstances:0002"),
        product_codes: vec![ProductCode {
            id: "abc123".to_owned(),
            kind: some("marketplace"),
        }],
        ..captured()
    }
}

/// A backup of it with a snapshot of every volume.
pub(crate) fn held(configuration: InstanceConfiguration) -> Held {
    let plan_id = PlanId::try_from("nightly").unwrap();
    let (job_id, recovery_point_id) = derive_run_ids(&plan_id, &Occasion::Slot(now()));
    let mut backup = Backup::intend(&recovery_point_id, &plan_id, &job_id, &resource(), Some(0));
    backup.status = BackupStatus::Completed;
    let snapshots = configuration
        .volumes
        .iter()
        .zip(1..)
        .map(|(volume, n)| (volume.volume_id.clone(), snapshot(n)))
        .collect();
    backup.configuration = Some(configuration);
    Held {
        backup,
        snapshots,
        place: Destination {
            account_id: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
        },
        is_replica: false,
    }
}

pub(crate) fn snapshot(n: u32) -> SnapshotId {
    SnapshotId::try_from(format!("snap-{n:017x}")).unwrap()
}

/// Surroundings in which the original still runs, as it was captured.
pub(crate) fn around(configuration: &InstanceConfiguration) -> Surroundings {
    let holder = |interface: &InterfaceConfiguration| Holder {
        interface_id: Some(interface.network_interface_id.clone()),
        instance_id: Some(resource()),
    };
    let taken = configuration.interfaces.iter().flat_map(|interface| {
        let subnet = interface.subnet_id.clone().unwrap();
        interface
            .private_addresses
            .iter()
            .map(move |private| ((subnet.clone(), private.address.clone()), holder(interface)))
    });
    let subnet = |cidr: &str| Subnet {
        zone: "eu-west-1a".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        cidr: cidr.to_owned(),
        on_outpost: false,
        free: 200,
    };
    let fact = |volume: &VolumeConfiguration| SnapshotFacts {
        usable: true,
        archived: false,
        kms_key_id: volume.kms_key_id.clone(),
        size_gib: volume.size_gib.unwrap(),
    };
    Surroundings {
        original: Some(configuration.clone()),
        subnets: BTreeMap::from([
            ("subnet-a".to_owned(), subnet("10.0.1.0/24")),
            ("subnet-a2".to_owned(), subnet("10.0.2.0/24")),
            (
                "subnet-b".to_owned(),
                Subnet {
                    zone: "eu-west-1b".to_owned(),
                    ..subnet("10.0.3.0/24")
                },
            ),
        ]),
        security_groups: BTreeMap::from([
            ("sg-web".to_owned(), "vpc-1".to_owned()),
            ("sg-db".to_owned(), "vpc-1".to_owned()),
            ("sg-quiet".to_owned(), "vpc-1".to_owned()),
            ("sg-elsewhere".to_owned(), "vpc-2".to_owned()),
        ]),
        key_pairs: BTreeSet::from(["ops".to_owned(), "other".to_owned()]),
        unusable_profiles: BTreeMap::new(),
        taken_addresses: taken.collect(),
        interfaces: standing_interfaces(configuration),
        elastic_ips: BTreeMap::from([("eipalloc-1".to_owned(), holder(&configuration.interfaces[0]))]),
        images: BTreeMap::from([(
            "ami-0123456789abcdef0".to_owned(),
            ImageFacts {
                available: true,
                usage_operation: configuration.usage_operation.clone(),
                product_codes: configuration
                    .product_codes
                    .iter()
                    .map(|code| code.id.clone())
                    .collect(),
                architecture: configuration.architecture.clone(),
                root_device_name: some("/dev/sda1"),
                other_devices: vec!["/dev/sdb".to_owned()],
            },
        )]),
        image_names: BTreeSet::from(["taken".to_owned()]),
        snapshots: configuration
            .volumes
            .iter()
            .zip(1..)
            .map(|(volume, n)| (snapshot(n), fact(volume)))
            .collect(),
        unusable_keys: BTreeMap::new(),
        key_arns: BTreeMap::new(),
        default_key: None,
        kept_volumes: BTreeMap::new(),
        places: ["h-1", "near", "cr-1"].map(str::to_owned).into(),
        instance_types: kinds(),
        attach_to: None,
        shared_volumes: BTreeSet::new(),
        zones: BTreeSet::from(["eu-west-1a".to_owned(), "eu-west-1b".to_owned()]),
        target_groups: Vec::new(),
    }
}

/// A usual type, a burstable one, one for another architecture, one with no ability at all, and one with disks of its host.
fn kinds() -> BTreeMap<String, TypeFacts> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let kind = |architecture: &str, abilities: &[Ability]| TypeFacts {
        architectures: texts(&[architecture]),
        default_cores: Some(1),
        default_threads_per_core: Some(2),
        abilities: abilities.iter().copied().collect(),
        boot_modes: texts(&["legacy-bios", "uefi"]),
        bandwidth_weightings: texts(&["vpc-1"]),
        zones: texts(&["eu-west-1a", "eu-west-1b"]),
        most_interfaces: Some(3),
    };
    let steady = [
        Ability::EbsOptimized,
        Ability::Enclaves,
        Ability::Hibernates,
        Ability::Tpm,
    ];
    let with_disks = [&steady[..], &[Ability::InstanceStore]].concat();
    let mut all = steady.to_vec();
    all.push(Ability::Bursts);
    let old = TypeFacts {
        boot_modes: texts(&["legacy-bios"]),
        bandwidth_weightings: texts(&[]),
        ..kind("x86_64", &[])
    };
    let named = |(name, kind): (&str, TypeFacts)| (name.to_owned(), kind);
    [
        ("m5.large", kind("x86_64", &steady)),
        ("t3.micro", kind("x86_64", &all)),
        ("m6g.large", kind("arm64", &steady)),
        ("m4.large", old),
        ("i4i.large", kind("x86_64", &with_disks)),
    ]
    .map(named)
    .into()
}

/// The interfaces of the instance that still runs.
fn standing_interfaces(configuration: &InstanceConfiguration) -> BTreeMap<String, InterfaceFacts> {
    let facts = |interface: &InterfaceConfiguration| InterfaceFacts {
        is_free: false,
        instance_id: Some(resource()),
        now: interface.clone(),
    };
    let interfaces = configuration.interfaces.iter();
    interfaces
        .map(|interface| (interface.network_interface_id.clone(), facts(interface)))
        .collect()
}

/// Surroundings in which the original is gone, and its addresses are free.
pub(crate) fn alone(configuration: &InstanceConfiguration) -> Surroundings {
    let mut around = around(configuration);
    around.original = None;
    around.taken_addresses.clear();
    around.interfaces.clear();
    around
        .elastic_ips
        .insert("eipalloc-1".to_owned(), Holder::default());
    around
}
