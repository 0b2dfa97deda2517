//! What is known to differ from what was captured, told before anything is made.

use super::Mode;
use super::boot::is_coded;
use super::deciding::Deciding;
use super::fidelity::{Difference, compare, compare_tags, compare_volumes};
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};

/// What will differ from what was captured, each with its reason. Where only volumes or an image are made, that is their
/// volumes, and the image's tags; `devices` are those that were asked for, or none for all.
pub(super) fn announce(
    deciding: &Deciding<'_>,
    target: &InstanceConfiguration,
    devices: &[String],
) -> Vec<Difference> {
    let gives_an_instance = !matches!(deciding.mode, Mode::Volumes | Mode::Image);
    let mut announced = if gives_an_instance {
        compare(deciding.captured, target)
    } else {
        let is_asked = |volume: &&VolumeConfiguration| devices.is_empty() || devices.contains(&volume.device);
        let captured = deciding.captured.volumes.iter().filter(is_asked);
        let captured: Vec<VolumeConfiguration> = captured.cloned().collect();
        let mut differences = Vec::new();
        if deciding.mode == Mode::Image {
            compare_tags("tags", &deciding.captured.tags, &target.tags, &mut differences);
        }
        compare_volumes(&captured, &target.volumes, &mut differences);
        differences
    };
    for difference in &mut announced {
        let because = deciding
            .reasons
            .iter()
            .filter(|(field, _)| is_within(&difference.field, field))
            .max_by_key(|(field, _)| field.len());
        let why = because.map_or("asked for", |(_, why)| why.as_str());
        difference.why = Some(why.to_owned());
    }
    if gives_an_instance && deciding.mode != Mode::InPlace {
        for (field, captured, restored, why) in deciding.further_reasons(target) {
            announced.push(Difference::announced(field, captured, restored, why));
        }
    }
    for captured in &deciding.captured.volumes {
        let mut volumes = target.volumes.iter();
        if let Some(restored) = volumes.find(|restored| restored.volume_id == captured.volume_id) {
            announced.extend(of_new_kind(captured, restored));
        }
    }
    announced.extend(deciding.further.iter().cloned());
    announced
}

/// What a volume gets that it had no value for when it was captured.
fn of_new_kind<'a>(
    captured: &'a VolumeConfiguration,
    restored: &'a VolumeConfiguration,
) -> impl Iterator<Item = Difference> + 'a {
    let field = |name: &str| format!("volumes.{}.{name}", captured.device);
    let alone = captured.multi_attach_enabled == Some(true) && restored.multi_attach_enabled == Some(false);
    let alone = alone.then(|| {
        let why = "one instance is restored, and its volumes are its own";
        Difference::announced(field("multi_attach_enabled"), "true", "false", why)
    });
    let numbers = [
        ("iops", captured.iops, restored.iops),
        ("throughput", captured.throughput, restored.throughput),
    ];
    let numbers = numbers.into_iter().filter_map(move |(name, before, after)| {
        let after = after.filter(|_| before.is_none())?;
        let why = "the volume's type was asked for";
        Some(Difference::announced(
            field(name),
            "nothing",
            after.to_string(),
            why,
        ))
    });
    alone.into_iter().chain(numbers)
}

/// Whether `field` is `root` or below it. `volumes./dev/sdf` is not the root of `volumes./dev/sdf1`.
fn is_within(field: &str, root: &str) -> bool {
    field
        .strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Deciding<'_> {
    /// What cannot be compared field by field and differs all the same.
    fn further_reasons(&self, target: &InstanceConfiguration) -> Vec<(String, String, String, String)> {
        let mut further = Vec::new();
        let reserved = |tags: &crate::configuration::Tags| {
            tags.iter()
                .filter(|(key, _)| crate::tags::is_reserved(key) && !crate::tags::is_identity(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        for (key, value) in reserved(&self.captured.tags) {
            further.push((
                format!("tags.{key}"),
                value,
                "nothing".to_owned(),
                "AWS alone sets tags of its own".to_owned(),
            ));
        }
        if self.captured.lifecycle.as_deref() == Some("spot") {
            further.push((
                "lifecycle".to_owned(),
                "spot".to_owned(),
                "on-demand".to_owned(),
                "a restored instance is not given to the spot market".to_owned(),
            ));
        }
        let taken_over = target
            .interfaces
            .iter()
            .any(|interface| !interface.network_interface_id.is_empty());
        let (restored, why) = if taken_over {
            (
                "nothing",
                "an interface that is taken over is lent no address; give it an elastic one",
            )
        } else {
            (
                "another one",
                "AWS lends public addresses, and does not lend the same one twice",
            )
        };
        for address in lent_addresses(self.captured) {
            further.push((
                "public_ip_address".to_owned(),
                address,
                restored.to_owned(),
                why.to_owned(),
            ));
        }
        if is_coded(self.captured) || self.overrides.image_id.is_some() {
            return further;
        }
        let image = self.captured.image_id.clone().unwrap_or_default();
        further.push((
            "image_id".to_owned(),
            image,
            "an image of the backup".to_owned(),
            "the boot volume comes from the backup".to_owned(),
        ));
        further
    }
}

/// The public addresses that AWS has lent an instance.
fn lent_addresses(configuration: &InstanceConfiguration) -> impl Iterator<Item = String> + '_ {
    configuration
        .interfaces
        .iter()
        .flat_map(|interface| &interface.private_addresses)
        .filter(|private| private.allocation_id.is_none())
        .filter_map(|private| private.public_ip.clone())
}

/// What a stop takes from a running instance beside its time: the public addresses that AWS has lent it.
pub(super) fn lost_by_a_stop(running: &InstanceConfiguration) -> impl Iterator<Item = Difference> + '_ {
    lent_addresses(running).map(|address| {
        Difference::announced(
            "public_ip_address",
            address,
            "another one",
            "a stop gives back what AWS has lent",
        )
    })
}

/// Tells of a volume that stands where another one stood when the backup was taken: the backup does not hold it.
pub(super) fn tell_stranger(deciding: &mut Deciding<'_>, volume: &VolumeConfiguration, fate: &str) {
    let captured = deciding
        .captured
        .volumes
        .iter()
        .find(|captured| captured.device == volume.device);
    let captured = captured.map_or_else(|| "nothing".to_owned(), |captured| captured.volume_id.to_string());
    deciding.further.push(Difference::announced(
        format!("volumes.{}.volume_id", volume.device),
        captured,
        "a volume of the backup",
        format!(
            "{} stands there since the backup, which does not hold it; {fate}",
            volume.volume_id
        ),
    ));
}
