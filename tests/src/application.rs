//! Applications to back up: instances with volumes under keys of every kind, and what their snapshots hold.

use crate::account::Account;
use crate::vault::Vault;
use crate::workflow::start_of_time;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, InstanceType, ResourceType, Tag, TagSpecification, VolumeType,
};
use std::collections::BTreeMap;

/// How a volume is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// Under AWS's default key for EBS, which keeps snapshots from being shared.
    DefaultKey,
    /// Under a key of the account.
    Key(String),
}

/// Starts an instance with one volume for each entry, tagged `app=shop` and `Name=<name>`. Gives its volumes, with
/// bytes of their own on each. It is for the beginning of a test: it stops the account's clock.
///
/// # Panics
/// The local stack does not answer as it should.
pub async fn start_instance(account: &Account, name: &str, volumes: &[Encryption]) -> Vec<String> {
    account
        .simulator
        .freeze(start_of_time())
        .await
        .expect("the simulator's clock stops");
    let devices = volumes.iter().zip('a'..).map(|(encryption, letter)| {
        let ebs = EbsBlockDevice::builder()
            .volume_size(1)
            .volume_type(VolumeType::Gp3);
        let ebs = match encryption {
            Encryption::None => ebs,
            Encryption::DefaultKey => ebs.encrypted(true),
            Encryption::Key(key) => ebs.encrypted(true).kms_key_id(key),
        };
        let device = if letter == 'a' {
            "/dev/xvda".to_owned()
        } else {
            format!("/dev/sd{letter}")
        };
        BlockDeviceMapping::builder()
            .device_name(device)
            .ebs(ebs.build())
            .build()
    });
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let specify = |kind: ResourceType| {
        TagSpecification::builder()
            .resource_type(kind)
            .tags(tag("app", "shop"))
            .tags(tag("Name", name))
            .build()
    };
    let started = account
        .ec2()
        .run_instances()
        .image_id("ami-0123456789abcdef0")
        .instance_type(InstanceType::T3Micro)
        .min_count(1)
        .max_count(1)
        .set_block_device_mappings(Some(devices.collect()))
        .tag_specifications(specify(ResourceType::Instance))
        .tag_specifications(specify(ResourceType::Volume))
        .send()
        .await
        .expect("an instance starts");
    let id = started.instances()[0]
        .instance_id()
        .expect("an instance has an id")
        .to_owned();
    let described = account
        .ec2()
        .describe_instances()
        .instance_ids(&id)
        .send()
        .await
        .expect("described");
    let mappings = described.reservations()[0].instances()[0].block_device_mappings();
    let ids: Vec<String> = mappings
        .iter()
        .filter_map(|mapping| mapping.ebs()?.volume_id().map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), volumes.len());
    for (number, volume) in (0_u64..).zip(&ids) {
        for block in 0..3_u64 {
            let bytes = format!("{name} {volume} {block}").repeat(500).into_bytes();
            account
                .simulator
                .put_content(volume, (block * 7 + number) * 512 * 1024, bytes)
                .await
                .expect("the simulator takes the bytes");
        }
    }
    ids
}

/// The checksum of each block of a snapshot, by its index, read through EBS direct.
///
/// # Panics
/// EBS does not answer as it should.
pub async fn blocks(ebs: &aws_sdk_ebs::Client, snapshot: &str) -> BTreeMap<i32, String> {
    let mut blocks = BTreeMap::new();
    let mut pages = ebs
        .list_snapshot_blocks()
        .snapshot_id(snapshot)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for block in page.expect("EBS lists the blocks").blocks() {
            let index = block.block_index().expect("a block has an index");
            let got = ebs
                .get_snapshot_block()
                .snapshot_id(snapshot)
                .block_index(index)
                .block_token(block.block_token().expect("a block has a token"))
                .send()
                .await
                .expect("EBS gives the block");
            blocks.insert(index, got.checksum().expect("a block has a checksum").to_owned());
        }
    }
    blocks
}

/// EBS direct where a vault is, as the vault's own account.
#[must_use]
pub fn ebs_of(vault: &Vault) -> aws_sdk_ebs::Client {
    aws_sdk_ebs::Client::new(vault.config())
}
