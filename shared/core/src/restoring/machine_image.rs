//! A machine image: mode `image`.

use super::Mode;
use super::blueprint::Blueprint;
use super::boot::decide_boot_way;
use super::deciding::Deciding;
use super::launching::take_root_device;
use super::overrides::Overrides;
use super::step::{Part, Step};
use crate::configuration::InstanceConfiguration;

/// A machine image: of the snapshots where nothing is billed for; else of an instance that carries the billing.
pub(super) fn decide_image(deciding: &mut Deciding<'_>, overrides: &Overrides, blueprint: &mut Blueprint) {
    if let Some(name) = blueprint
        .image_name
        .as_ref()
        .filter(|name| deciding.around.image_names.contains(*name))
    {
        let problem = format!("there is an image of the name {name} already");
        deciding.block("image.name", problem, ["another name"]);
    }
    let way = match decide_boot_way(
        Mode::Image,
        deciding.held,
        deciding.captured,
        overrides,
        deciding.around,
    ) {
        Ok(way) => way,
        Err(obstacle) => {
            deciding.obstacles.push(obstacle);
            return;
        }
    };
    if !way.exchanges_boot_volume() {
        // The image is of the snapshots as they are: no volume is made.
        deciding.default_key = None;
    }
    let (orders, wanted) = deciding.volumes(&[]);
    blueprint.volumes = orders;
    if way.exchanges_boot_volume() {
        blueprint.target = deciding.instance(wanted);
        take_root_device(deciding, &way, blueprint);
        let image = way.makes_image().then_some(Step::ObtainImage);
        blueprint.steps = image.into_iter().collect();
        blueprint.steps.extend([
            Step::Launch(Part::Candidate),
            Step::ExchangeBootVolume(Part::Candidate),
            Step::MakeImage,
            Step::RemoveCandidate,
            Step::Finish,
        ]);
    } else {
        if !wanted.iter().any(|volume| volume.is_boot) {
            deciding.block(
                "mode",
                "the backup holds no boot volume, so no image can be made of it",
                ["volumes"],
            );
        }
        for (field, is_given) in [
            ("subnet_id", overrides.subnet_id.is_some()),
            ("security_group_ids", !overrides.security_group_ids.is_empty()),
            ("instance_type", overrides.instance_type.is_some()),
            ("placement", overrides.placement.is_some()),
        ] {
            if is_given {
                let problem =
                    "the image is registered from the snapshots, and no instance is launched for it";
                deciding.block(&format!("overrides.{field}"), problem, ["nothing"]);
            }
        }
        blueprint.target = InstanceConfiguration {
            volumes: wanted,
            ..deciding.captured.clone()
        };
        blueprint.steps = vec![Step::MakeImage, Step::Finish];
    }
    for (key, value) in &overrides.tags {
        blueprint.target.tags.insert(key.clone(), value.clone());
    }
    blueprint.back = vec![Step::RemoveMade];
    blueprint.way_in_words = Some(way.in_words(deciding.captured));
    blueprint.way = Some(way);
}
