//! `DeleteSnapshot`.

use crate::content::Content;
use crate::error::Ec2Error;
use crate::params::Params;
use crate::xml::Xml;

use super::Scope;

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = scope.snapshot(params.required("SnapshotId")?)?.id.clone();
    if let Some(mut snapshot) = scope.region.snapshots.remove(&id) {
        snapshot.content = Content::default();
        scope.region.deleted_snapshots.push(snapshot);
    }
    Ok(Xml::done())
}
