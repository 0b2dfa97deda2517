//! `DescribeSnapshots`.

use std::collections::BTreeMap;

use crate::clock::iso;
use crate::content::BLOCK_SIZE;
use crate::error::Ec2Error;
use crate::page::{Found, find};
use crate::params::Params;
use crate::world::snapshot::{Snapshot, State};
use crate::xml::Xml;

use super::Scope;
use super::lookup::SNAPSHOTS;

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let owners = accounts(params, "Owner", scope.account);
    let restorers = accounts(params, "RestorableBy", scope.account);
    let visible = |snapshot: &Snapshot| {
        snapshot.is_visible(scope.now)
            && is_own_or_shared(snapshot, scope)
            && (owners.is_empty() || owners.contains(&snapshot.owner.as_str()))
            && (restorers.is_empty() || restorers.iter().any(|account| can_restore(account, snapshot)))
    };
    let (own, shared) = (&scope.region.snapshots, &scope.outside.shared);
    let found = if shared.is_empty() {
        find(own, params, &SNAPSHOTS, scope.view(), visible)?
    } else {
        let both: BTreeMap<&str, &Snapshot> = own
            .values()
            .chain(shared)
            .map(|snapshot| (snapshot.id.as_str(), snapshot))
            .collect();
        let found = find(&both, params, &SNAPSHOTS, scope.view(), |snapshot| {
            visible(snapshot)
        })?;
        Found {
            resources: found.resources.into_iter().copied().collect(),
            next_token: found.next_token,
        }
    };
    let mut xml = Xml::new();
    xml.list("snapshotSet", found.resources, |xml, snapshot| {
        write(snapshot, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

/// The snapshots of an image that belongs to others are there for its instances only.
fn is_own_or_shared(snapshot: &Snapshot, scope: &Scope<'_>) -> bool {
    snapshot.owner == scope.account || !scope.region.snapshots.contains_key(&snapshot.id)
}

/// Whether an account, or everyone for `all`, can make volumes of a snapshot.
fn can_restore(account: &str, snapshot: &Snapshot) -> bool {
    let sharing = &snapshot.sharing;
    match account {
        "all" => sharing.everyone,
        account => snapshot.owner == account || sharing.accounts.contains(account),
    }
}

/// Account ids of a list parameter in which `self` means the caller.
pub(super) fn accounts<'a>(params: &'a Params, name: &str, caller: &'a str) -> Vec<&'a str> {
    params
        .list(name)
        .into_iter()
        .map(|account| if account == "self" { caller } else { account })
        .collect()
}

fn write(snapshot: &Snapshot, scope: &Scope<'_>, xml: &mut Xml) {
    let state = snapshot.state(scope.now);
    snapshot.tags.write(xml);
    xml.text("snapshotId", &snapshot.id)
        .text("volumeId", &snapshot.volume)
        .text("status", state.word())
        .text("startTime", iso(snapshot.started_at))
        .text("progress", state.progress())
        .text("ownerId", &snapshot.owner)
        .text("volumeSize", snapshot.size_gib)
        .text("description", &snapshot.description)
        .text("encrypted", snapshot.key.is_some())
        .maybe("kmsKeyId", snapshot.key.as_ref())
        .text("storageTier", snapshot.tiering.tier(scope.now).word())
        .maybe(
            "restoreExpiryTime",
            snapshot.tiering.restore_expires_at(scope.now).map(iso),
        )
        .maybe("completionTime", snapshot.completed_at(scope.now).map(iso));
    if state == State::Completed {
        xml.text("fullSnapshotSizeInBytes", snapshot.content.len() * BLOCK_SIZE);
    }
    if let State::Error { message } = state {
        xml.text("statusMessage", message);
    }
}
