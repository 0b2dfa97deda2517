//! `DeleteSnapshot`.

use crate::content::Content;
use crate::error::Ec2Error;
use crate::ids::SnapshotId;
use crate::params::Params;
use crate::world::snapshot::Snapshot;
use crate::xml::Xml;

use super::Scope;

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let snapshot = scope.snapshot(params.required("SnapshotId")?)?;
    check_lock(snapshot, scope)?;
    if let Some(image) = scope.region.images_of(snapshot.id.as_str()).next() {
        return Err(Ec2Error::new(
            "InvalidSnapshot.InUse",
            format!("The snapshot {} is currently in use by {}", snapshot.id, image.id),
        ));
    }
    let id = snapshot.id.clone();
    remove(scope, &id);
    Ok(Xml::done())
}

pub(super) fn check_lock(snapshot: &Snapshot, scope: &Scope<'_>) -> Result<(), Ec2Error> {
    if !snapshot.is_locked(scope.now) {
        return Ok(());
    }
    Err(Ec2Error::new(
        "OperationNotPermitted",
        format!("The snapshot {} is locked and cannot be deleted.", snapshot.id),
    ))
}

/// Takes a snapshot away. Copies that still read from it fail.
pub(crate) fn remove(scope: &mut Scope<'_>, id: &SnapshotId) {
    if let Some(mut snapshot) = scope.region.snapshots.remove(id) {
        snapshot.content = Content::default();
        scope.region.deleted_snapshots.push(snapshot);
        scope.outside.gone.push(id.clone());
    }
}
