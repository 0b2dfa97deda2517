//! `DeregisterImage`, `DisableImage` and `EnableImage`.

use crate::error::Ec2Error;
use crate::ids::SnapshotId;
use crate::params::Params;
use crate::world::image::ImageState;
use crate::xml::Xml;

use super::Scope;
use super::delete_snapshot::remove;

pub(super) fn deregister(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = scope.image(params.required("ImageId")?)?.id.clone();
    let with_snapshots = params.flag("DeleteAssociatedSnapshots")?.unwrap_or_default();
    let mut xml = Xml::done();
    let Some(image) = scope.region.images.remove(&id) else {
        return Ok(xml);
    };
    scope.region.deregistered_images.insert(id);
    if with_snapshots {
        xml.list("deleteSnapshotResultSet", image.snapshots(), |xml, id| {
            xml.text("snapshotId", id).text("returnCode", delete(scope, id));
        });
    }
    Ok(xml)
}

/// Deletes a snapshot of an image that is gone; gives AWS's word for what became of it.
fn delete(scope: &mut Scope<'_>, id: &str) -> &'static str {
    if scope.region.images_of(id).next().is_some() {
        return "skipped";
    }
    let deletable: Option<SnapshotId> = scope
        .region
        .snapshots
        .get(id)
        .filter(|snapshot| !snapshot.is_locked(scope.now))
        .map(|snapshot| snapshot.id.clone());
    match deletable {
        Some(id) => {
            remove(scope, &id);
            "success"
        }
        None => "client-error",
    }
}

pub(super) fn disable(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let image = scope.image(params.required("ImageId")?)?;
    let state = image.state(scope.region, scope.now);
    if !matches!(state, ImageState::Available | ImageState::Disabled) {
        return Err(Ec2Error::new(
            "InvalidAMIID.Unavailable",
            format!("The image ID '{}' is in the '{}' state.", image.id, state.word()),
        ));
    }
    set_disabled(scope, params, true)
}

pub(super) fn enable(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    set_disabled(scope, params, false)
}

fn set_disabled(scope: &mut Scope<'_>, params: &Params, is_disabled: bool) -> Result<Xml, Ec2Error> {
    let id = scope.image(params.required("ImageId")?)?.id.clone();
    if let Some(image) = scope.region.images.get_mut(&id) {
        image.is_disabled = is_disabled;
    }
    Ok(Xml::done())
}
