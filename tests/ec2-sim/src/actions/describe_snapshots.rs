//! `DescribeSnapshots`.

use crate::clock::iso;
use crate::content::BLOCK_SIZE;
use crate::error::Ec2Error;
use crate::page::find;
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
            && (owners.is_empty() || owners.contains(&snapshot.owner.as_str()))
            && (restorers.is_empty() || restorers.contains(&snapshot.owner.as_str()))
    };
    let found = find(&scope.region.snapshots, params, &SNAPSHOTS, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list("snapshotSet", found.resources, |xml, snapshot| {
        write(snapshot, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

/// Account ids of a list parameter in which `self` means the caller.
fn accounts<'a>(params: &'a Params, name: &str, caller: &'a str) -> Vec<&'a str> {
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
        .text("storageTier", "standard")
        .maybe("completionTime", snapshot.completed_at(scope.now).map(iso));
    if state == State::Completed {
        xml.text("fullSnapshotSizeInBytes", snapshot.content.len() * BLOCK_SIZE);
    }
    if let State::Error { message } = state {
        xml.text("statusMessage", message);
    }
}
