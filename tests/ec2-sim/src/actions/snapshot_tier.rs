//! `ModifySnapshotTier`, `RestoreSnapshotTier` and `DescribeSnapshotTierStatus`.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Snapshot, percent};
use crate::world::tier::{Move, Tier};
use crate::xml::Xml;

use super::Scope;

/// AWS names no bound; this is a hundred years.
const LONGEST_DAYS: u32 = 36_500;

const RULES: DescribeRules = DescribeRules {
    // The call has no ids: a name that no client sends.
    ids: "-",
    ids_in_messages: "-",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |_| Ec2Error::invalid_value("DescribeSnapshotTierStatus takes no ids"),
};

/// Archives. The snapshot can be used until that is done; its sharing ends at once.
pub(super) fn modify(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let snapshot = scope.snapshot(params.required("SnapshotId")?)?;
    let tier = params.text("StorageTier").unwrap_or("archive");
    if tier != "archive" {
        return Err(Ec2Error::invalid_value(format!(
            "Value ({tier}) for parameter storageTier is invalid. Expected: 'archive'."
        )));
    }
    if !snapshot.is_completed(scope.now) {
        let state = snapshot.state(scope.now).word();
        return Err(wrong_state(snapshot, &format!("is in the '{state}' state")));
    }
    if snapshot.tiering.is_moving(scope.now) {
        return Err(wrong_state(snapshot, "is being archived or restored"));
    }
    if snapshot.tiering.tier(scope.now) == Tier::Archive {
        return Err(wrong_state(snapshot, "is already archived"));
    }
    let images = scope.region.images_of(snapshot.id.as_str());
    if let Some(image) = images.into_iter().find(|image| !image.is_disabled) {
        return Err(Ec2Error::new(
            "InvalidSnapshot.InUse",
            format!("The snapshot {} is currently in use by {}", snapshot.id, image.id),
        ));
    }
    let (now, takes) = (scope.now, scope.settings.archive_duration());
    let snapshot = scope.snapshot_mut(params.required("SnapshotId")?)?;
    snapshot.tiering.start(Move::Archive, now, takes);
    snapshot.sharing = Sharing::default();
    let mut xml = Xml::new();
    xml.text("snapshotId", &snapshot.id)
        .text("tieringStartTime", iso(now));
    Ok(xml)
}

/// Brings an archived snapshot back, or changes for how long one is back.
pub(super) fn restore(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let now = scope.now;
    let takes = scope.settings.archive_duration();
    let days = params.bounded("TemporaryRestoreDays", &(1..=LONGEST_DAYS))?;
    let for_good = params.flag("PermanentRestore")?.unwrap_or_default();
    let kind = match (days, for_good) {
        (Some(days), false) => Move::RestoreFor { days },
        (None, true) => Move::RestoreForGood,
        (None, false) => return Err(Ec2Error::missing("TemporaryRestoreDays")),
        (Some(_), true) => {
            return Err(Ec2Error::invalid_combination(
                "TemporaryRestoreDays and PermanentRestore cannot be specified together.",
            ));
        }
    };
    let snapshot = scope.snapshot_mut(params.required("SnapshotId")?)?;
    let is_back_for_some_days = snapshot.tiering.restore_expires_at(now).is_some();
    if snapshot.tiering.is_moving(now) {
        return Err(wrong_state(snapshot, "is being archived or restored"));
    }
    if snapshot.tiering.tier(now) == Tier::Standard && !is_back_for_some_days {
        return Err(wrong_state(snapshot, "is not archived"));
    }
    let takes = if is_back_for_some_days {
        SignedDuration::ZERO
    } else {
        takes
    };
    snapshot.tiering.start(kind, now, takes);
    let mut xml = Xml::new();
    xml.text("snapshotId", &snapshot.id)
        .text("restoreStartTime", iso(now))
        .maybe("restoreDuration", days)
        .text("isPermanentRestore", for_good);
    Ok(xml)
}

fn wrong_state(snapshot: &Snapshot, why: &str) -> Ec2Error {
    Ec2Error::new("IncorrectState", format!("The snapshot '{}' {why}.", snapshot.id))
}

/// A snapshot as far as its tier goes.
struct TierRow<'a>(&'a Snapshot);

impl Filterable for TierRow<'_> {
    const FILTERS: &'static [&'static str] = &[
        "last-tiering-operation",
        "last-tiering-operation-status",
        "snapshot-id",
        "volume-id",
    ];

    fn tags(&self) -> &Tags {
        &self.0.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "snapshot-id" => values.text(self.0.id.as_str()),
            "volume-id" => values.text(self.0.volume.as_str()),
            // AWS documents the one name and answers the other.
            _ => values.maybe(self.0.tiering.last().map(|last| last.status(view.now))),
        }
    }
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let rows: BTreeMap<&str, TierRow<'_>> = scope
        .region
        .snapshots
        .values()
        .map(|snapshot| (snapshot.id.as_str(), TierRow(snapshot)))
        .collect();
    let visible = |row: &TierRow<'_>| row.0.is_visible(scope.now);
    let found = find(&rows, params, &RULES, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list(
        "snapshotTierStatusSet",
        found.resources,
        |xml, TierRow(snapshot)| {
            write(snapshot, scope, xml);
        },
    );
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(snapshot: &Snapshot, scope: &Scope<'_>, xml: &mut Xml) {
    let (now, tiering) = (scope.now, &snapshot.tiering);
    snapshot.tags.write(xml);
    xml.text("snapshotId", &snapshot.id)
        .text("volumeId", &snapshot.volume)
        .text("status", snapshot.state(now).word())
        .text("ownerId", &snapshot.owner)
        .text("storageTier", tiering.tier(now).word())
        .maybe("archivalCompleteTime", tiering.archived_at(now).map(iso))
        .maybe("restoreExpiryTime", tiering.restore_expires_at(now).map(iso));
    if let Some(last) = tiering.last() {
        let progress = if now >= last.ends_at {
            100
        } else {
            percent(last.started_at, last.ends_at, now)
        };
        xml.text("lastTieringStartTime", iso(last.started_at))
            .text("lastTieringProgress", progress)
            .text("lastTieringOperationStatus", last.status(now));
    }
}
