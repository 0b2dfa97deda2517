//! `CopySnapshot`: called where the copy is to be. A key that cannot be used does not fail the call but the copy.

use jiff::SignedDuration;

use crate::clock::after;
use crate::content::BLOCKS_PER_GIB;
use crate::error::Ec2Error;
use crate::ids::{SnapshotId, VolumeId};
use crate::kms::{self, Encryption};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::copies::{CopyRecord, lineage};
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Fate, Snapshot, State};
use crate::world::tier::{Tier, Tiering};
use crate::xml::Xml;

use super::Scope;
use super::create_snapshots::{check_room, read_description};
use super::lookup::{check_snapshot_id, snapshot_not_found};
use super::outside::{CopySource, Place};

/// How long it takes AWS to find out that it cannot use a key.
const KEY_CHECK: SignedDuration = SignedDuration::from_secs(2);

/// A copy that may be started: nothing can fail after this.
struct Start {
    source: CopySource,
    tags: Tags,
    description: String,
}

pub(super) fn copy(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("SourceSnapshotId")?;
    let region = params.required("SourceRegion")?;
    check_snapshot_id(id)?;
    let tags = Tags::specified(params, "snapshot", &["snapshot"])?;
    let description = read_description(params)?;
    if params.flag("Encrypted")? == Some(false) {
        return Err(Ec2Error::invalid_value(
            "The parameter encrypted=false is invalid",
        ));
    }
    let source = scope.outside.source.take();
    let source = source.ok_or_else(|| snapshot_not_found(id))?;
    check_source(&source)?;
    if params.text("KmsKeyId").is_some() && source.key.is_none() {
        return Err(Ec2Error::new(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        ));
    }
    check_limits(scope)?;
    let start = Start {
        source,
        tags,
        description,
    };
    let copy = new_copy(scope, start, region);
    let mut xml = Xml::new();
    xml.text("snapshotId", &copy.id);
    copy.tags.write(&mut xml);
    scope.region.copies.add(&copy);
    scope.region.snapshots.insert(copy.id.clone(), copy);
    Ok(xml)
}

/// The ARN of a copy's key; none when the copy is not encrypted. Encryption cannot be taken off.
pub(super) fn key_of_copy(
    place: Place<'_>,
    params: &Params,
    encryption: &Encryption,
    source_is_encrypted: bool,
) -> Option<String> {
    let is_asked_for = params.flag("Encrypted").ok().flatten().unwrap_or_default();
    (source_is_encrypted || is_asked_for || encryption.by_default).then(|| match params.text("KmsKeyId") {
        Some(named) if !named.is_empty() => kms::key_arn(place.region, place.account, named),
        _ => encryption.key(place.region, place.account),
    })
}

fn check_source(source: &CopySource) -> Result<(), Ec2Error> {
    let id = &source.snapshot.id;
    if source.state != State::Completed {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!(
                "The snapshot '{id}' is in the '{}' state; only a completed snapshot can be copied.",
                source.state.word()
            ),
        ));
    }
    if source.tier == Tier::Archive {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!("The snapshot '{id}' is archived and must be restored before it can be copied."),
        ));
    }
    Ok(())
}

fn check_limits(scope: &mut Scope<'_>) -> Result<(), Ec2Error> {
    let limit = scope.settings.copy_limit;
    let region = &mut *scope.region;
    if region.copies.pending(&region.snapshots, scope.now).len() >= limit {
        return Err(Ec2Error::new(
            "ResourceLimitExceeded",
            format!(
                "Too many snapshot copies in progress. The limit is {limit} for this destination region."
            ),
        ));
    }
    check_room(scope, 1)
}

fn new_copy(scope: &mut Scope<'_>, start: Start, source_region: &str) -> Snapshot {
    let Start {
        source,
        tags,
        description,
    } = start;
    let CopySource {
        snapshot: source,
        key,
        key_problem,
        ..
    } = source;
    let region = &mut *scope.region;
    let id = SnapshotId::next(scope.ids);
    let lineage = lineage(scope.account, &region.name, key.as_deref(), &source.lineage);
    let base = region.copies.base(&lineage, &region.snapshots, scope.now);
    let blocks = base.map_or(source.content.len(), |base| {
        base.content.differences(&source.content, 0).len()
    });
    let record = CopyRecord {
        account: source.owner,
        region: source_region.to_owned(),
        source: source.id,
        incremental: base.is_some(),
        blocks,
    };
    let planned = region.planned_copies.remove(record.source.as_str());
    let fate = match (planned, key_problem) {
        (None, Some(message)) => Fate::Fails {
            at: after(scope.now, KEY_CHECK),
            message,
        },
        (planned, _) => {
            let gib = gib_to_bring(&record, source.size_gib);
            let takes = scope.settings.copy_duration(id.as_str(), gib);
            Fate::starting(planned.as_ref(), takes, scope.now)
        }
    };
    Snapshot {
        id,
        owner: scope.account.to_owned(),
        volume: VolumeId::none(),
        size_gib: source.size_gib,
        started_at: scope.now,
        description,
        key,
        tags,
        content: source.content,
        fate,
        visible_at: after(scope.now, scope.settings.visibility_delay()),
        set: None,
        lineage,
        parent: None,
        copy: Some(record),
        sharing: Sharing::default(),
        lock: None,
        tiering: Tiering::default(),
    }
}

/// A first copy is counted with the whole size of its volume, since volumes here are hardly ever full.
fn gib_to_bring(record: &CopyRecord, size_gib: u32) -> f64 {
    if !record.incremental {
        return size_gib.into();
    }
    let per_gib = u32::try_from(BLOCKS_PER_GIB).unwrap_or(u32::MAX);
    f64::from(u32::try_from(record.blocks).unwrap_or(u32::MAX)) / f64::from(per_gib)
}
