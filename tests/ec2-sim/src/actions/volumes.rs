//! `CreateVolume`, `DescribeVolumes` and `DeleteVolume`; volumes that other actions make.

use std::collections::BTreeSet;

use crate::clock::iso;
use crate::content::Content;
use crate::error::Ec2Error;
use crate::ids::VolumeId;
use crate::kms;
use crate::page::find;
use crate::params::Params;
use crate::tags::Tags;
use crate::world::launch::EbsSpec;
use crate::world::snapshot::Snapshot;
use crate::world::tier::Tier;
use crate::world::volume::{Attachment, Performance, Volume, VolumeType};
use crate::world::{TokenRecord, TokenUse};
use crate::xml::Xml;

use super::Scope;
use super::lookup::VOLUMES;

/// The part of a call that its client token covers is everything but this.
const NOT_COVERED: &[&str] = &["ClientToken", "Action", "Version", "DryRun"];
const TOKEN_LIMIT: usize = 64;

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    if let Some(made) = replay(scope, TokenUse::CreateVolume, params)? {
        let volume = made.first().and_then(|id| scope.region.volumes.get(id.as_str()));
        let volume = volume.ok_or_else(|| {
            Ec2Error::new(
                "IdempotentParameterMismatch",
                "The volume of this client token no longer exists.",
            )
        })?;
        let mut xml = Xml::new();
        write(volume, volume.status(), &mut xml);
        return Ok(xml);
    }
    let zone = read_zone(scope, params)?;
    let mut spec = EbsSpec::read(params, "Size")?;
    spec.tags = Tags::specified(params, "volume", &["volume"])?;
    let volume = new_volume(scope, &spec, &zone, VolumeType::Gp2)?;
    remember(
        scope,
        TokenUse::CreateVolume,
        params,
        BTreeSet::from([volume.id.to_string()]),
    );
    let mut xml = Xml::new();
    write(&volume, "creating", &mut xml);
    scope.region.volumes.insert(volume.id.clone(), volume);
    Ok(xml)
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let visible = |volume: &Volume| scope.now >= volume.visible_at;
    let found = find(&scope.region.volumes, params, &VOLUMES, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list("volumeSet", found.resources, |xml, volume| {
        write(volume, volume.status(), xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let volume = scope.volume(params.required("VolumeId")?)?;
    if let Some(attachment) = volume.attachments.first() {
        return Err(Ec2Error::new(
            "VolumeInUse",
            format!(
                "Volume {} is currently attached to {}",
                volume.id, attachment.instance
            ),
        ));
    }
    let id = volume.id.clone();
    scope.region.volumes.remove(&id);
    Ok(Xml::done())
}

/// What an earlier call with the same client token made; none when this call is the first.
pub(super) fn replay(
    scope: &Scope<'_>,
    token_use: TokenUse,
    params: &Params,
) -> Result<Option<BTreeSet<String>>, Ec2Error> {
    let Some(token) = params.text("ClientToken").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    if token.len() > TOKEN_LIMIT || !token.is_ascii() {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid value '{token}' for clientToken. A client token has at most {TOKEN_LIMIT} ASCII characters."
        )));
    }
    let Some(record) = scope.region.client_tokens.get(&(token_use, token.to_owned())) else {
        return Ok(None);
    };
    if record.params == params.without(NOT_COVERED) {
        return Ok(Some(record.made.clone()));
    }
    Err(Ec2Error::new(
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    ))
}

/// Keeps what a call made for a later one with the same client token.
pub(super) fn remember(scope: &mut Scope<'_>, token_use: TokenUse, params: &Params, made: BTreeSet<String>) {
    if let Some(token) = params.owned("ClientToken").filter(|token| !token.is_empty()) {
        let record = TokenRecord {
            params: params.without(NOT_COVERED),
            made,
        };
        scope.region.client_tokens.insert((token_use, token), record);
    }
}

fn read_zone(scope: &Scope<'_>, params: &Params) -> Result<String, Ec2Error> {
    let network = &scope.region.network;
    if let Some(id) = params.text("AvailabilityZoneId") {
        return network
            .zones()
            .find(|subnet| subnet.zone_id == id)
            .map(|subnet| subnet.zone.clone())
            .ok_or_else(|| unknown_zone(id));
    }
    let zone = params.required("AvailabilityZone")?;
    if network.has_zone(zone) {
        Ok(zone.to_owned())
    } else {
        Err(unknown_zone(zone))
    }
}

pub(super) fn unknown_zone(zone: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidZone.NotFound",
        format!("The zone '{zone}' does not exist."),
    )
}

/// Makes a volume that is not in the region yet, so that a call that fails later leaves nothing.
pub(super) fn new_volume(
    scope: &Scope<'_>,
    spec: &EbsSpec,
    zone: &str,
    default_type: VolumeType,
) -> Result<Volume, Ec2Error> {
    let source = spec
        .snapshot
        .as_deref()
        .map(|id| usable_source(scope, id))
        .transpose()?;
    let size_gib = match (spec.size_gib, source) {
        (Some(size), Some(source)) if size < source.size_gib => {
            return Err(Ec2Error::invalid_value(format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                source.id, source.size_gib
            )));
        }
        (Some(size), _) => size,
        (None, Some(source)) => source.size_gib,
        (None, None) => return Err(Ec2Error::missing("size/snapshot")),
    };
    let kind = spec.kind.unwrap_or(default_type);
    if spec.multi_attach && !kind.takes_several() {
        return Err(Ec2Error::invalid_combination(
            "Multi-Attach is only supported for io1 and io2 volumes.",
        ));
    }
    let performance = Performance {
        kind,
        iops: spec.iops,
        throughput: spec.throughput,
    }
    .settle(size_gib)?;
    Ok(Volume {
        id: VolumeId::next(scope.ids),
        size_gib,
        kind: performance.kind,
        iops: performance.iops,
        throughput: performance.throughput,
        key: key_of(scope, spec, source),
        snapshot: source.map(|source| source.id.clone()),
        history: source.map(history_of).unwrap_or_default(),
        zone: zone.to_owned(),
        created_at: scope.now,
        visible_at: scope.settings.visible_from(scope.now),
        multi_attach: spec.multi_attach,
        tags: spec.tags.clone(),
        attachments: Vec::new(),
        content: source
            .map(|source| Content::clone(&source.content))
            .unwrap_or_default(),
        last_snapshot_at: None,
        pending: Vec::new(),
        planned: None,
    })
}

/// What a volume made of a snapshot comes from. A copy does not tell of its source.
fn history_of(source: &Snapshot) -> BTreeSet<String> {
    let volume = source.copy.is_none().then(|| source.volume.to_string());
    volume
        .into_iter()
        .filter(|volume| volume != VolumeId::none().as_str())
        .chain([source.id.to_string()])
        .collect()
}

pub(super) fn usable_source<'a>(scope: &'a Scope<'_>, id: &str) -> Result<&'a Snapshot, Ec2Error> {
    let source = scope.snapshot(id)?;
    if source.tiering.tier(scope.now) == Tier::Archive {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!("The snapshot '{id}' is archived and must be restored before it can be used."),
        ));
    }
    if source.is_completed(scope.now) {
        return Ok(source);
    }
    Err(Ec2Error::new(
        "IncorrectState",
        format!(
            "Snapshot is in invalid state - {}",
            source.state(scope.now).word()
        ),
    ))
}

/// A snapshot's encryption cannot be taken off; its key can be changed.
fn key_of(scope: &Scope<'_>, spec: &EbsSpec, source: Option<&Snapshot>) -> Option<String> {
    let region = scope.region.name.as_str();
    if let Some(named) = &spec.key {
        return Some(kms::key_arn(region, scope.account, named));
    }
    let encryption = &scope.region.encryption;
    let is_encrypted = spec.encrypted == Some(true) || encryption.by_default;
    source
        .and_then(|source| source.key.clone())
        .or_else(|| is_encrypted.then(|| encryption.key(region, scope.account)))
}

fn write(volume: &Volume, status: &str, xml: &mut Xml) {
    xml.text("volumeId", &volume.id)
        .text("size", volume.size_gib)
        .text(
            "snapshotId",
            volume.snapshot.as_ref().map_or("", |id| id.as_str()),
        )
        .text("availabilityZone", &volume.zone)
        .text("status", status)
        .text("createTime", iso(volume.created_at));
    xml.list("attachmentSet", &volume.attachments, |xml, attachment| {
        write_attachment(volume, attachment, "attached", xml);
    });
    volume.tags.write(xml);
    xml.text("volumeType", volume.kind)
        .maybe("iops", volume.iops)
        .maybe("throughput", volume.throughput)
        .text("encrypted", volume.key.is_some())
        .maybe("kmsKeyId", volume.key.as_ref())
        .text("multiAttachEnabled", volume.multi_attach);
}

pub(super) fn write_attachment(volume: &Volume, attachment: &Attachment, status: &str, xml: &mut Xml) {
    xml.text("volumeId", &volume.id)
        .text("instanceId", &attachment.instance)
        .text("device", &attachment.device)
        .text("status", status)
        .text("attachTime", iso(attachment.attached_at))
        .text("deleteOnTermination", attachment.delete_on_termination);
}
