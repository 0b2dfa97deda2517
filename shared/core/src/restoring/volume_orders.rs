//! Which volumes are made of the backup's snapshots, and what each is to be.

use super::deciding::Deciding;
use super::overrides::VolumeOverride;
use super::target::VolumeOrder;
use crate::configuration::VolumeConfiguration;
use crate::ids::SnapshotId;

/// IOPS and MiB/s of a gp3 volume of which nothing is said. Source: EBS user guide, General Purpose SSD volumes.
const GP3_BASELINE: (Option<i32>, Option<i32>) = (Some(3000), Some(125));

impl Deciding<'_> {
    /// The volumes to be made, and what they are to be.
    pub(super) fn volumes(&mut self, only: &[String]) -> (Vec<VolumeOrder>, Vec<VolumeConfiguration>) {
        let devices: Vec<&str> = self
            .captured
            .volumes
            .iter()
            .map(|volume| volume.device.as_str())
            .collect();
        let held: Vec<&VolumeConfiguration> = self
            .captured
            .volumes
            .iter()
            .filter(|volume| self.held.snapshots.contains_key(&volume.volume_id))
            .collect();
        let here: Vec<&str> = held.iter().map(|volume| volume.device.as_str()).collect();
        for device in only.iter().filter(|device| !here.contains(&device.as_str())) {
            let problem = format!("the backup holds no volume of {device}");
            self.block("volumes.devices", problem, here.clone());
        }
        for device in self.overrides.volumes.keys() {
            if !devices.contains(&device.as_str()) {
                let problem = format!("{device} is no device of the captured instance");
                self.block(
                    &format!("overrides.volumes.{device}"),
                    problem,
                    [devices.join(", ")],
                );
            }
        }
        let mut orders = Vec::new();
        let mut wanted = Vec::new();
        for volume in held {
            if !only.is_empty() && !only.contains(&volume.device) {
                self.because(
                    format!("volumes.{}", volume.device),
                    "only other volumes were asked for",
                );
                continue;
            }
            let snapshot_id = self.held.snapshots[&volume.volume_id].clone();
            let (volume, rekey) = self.volume(volume, &snapshot_id);
            orders.push(VolumeOrder {
                device: volume.device.clone(),
                is_boot: volume.is_boot,
                snapshot_id,
                rekey,
            });
            wanted.push(volume);
        }
        for volume in self
            .captured
            .volumes
            .iter()
            .filter(|volume| !here.contains(&volume.device.as_str()))
        {
            self.reasons.insert(
                format!("volumes.{}", volume.device),
                "the plan leaves this volume out of its backups".to_owned(),
            );
        }
        (orders, wanted)
    }

    fn volume(
        &mut self,
        captured: &VolumeConfiguration,
        snapshot_id: &SnapshotId,
    ) -> (VolumeConfiguration, Option<String>) {
        let mut volume = captured.clone();
        let none = VolumeOverride::default();
        let own = self.overrides.volumes.get(&captured.device).unwrap_or(&none);
        if let Some(kind) = &own.volume_type {
            if captured.volume_type.as_ref() != Some(kind) {
                // What one type takes means nothing to another.
                (volume.iops, volume.throughput) = if kind == "gp3" { GP3_BASELINE } else { (None, None) };
            }
            volume.volume_type = Some(kind.clone());
        }
        volume.size_gib = own.size_gib.or(volume.size_gib);
        volume.iops = own.iops.or(volume.iops);
        volume.throughput = own.throughput.or(volume.throughput);
        if volume.volume_type.as_deref() == Some("gp2") && own.size_gib.is_some() {
            volume.iops = None;
        }
        if captured.multi_attach_enabled == Some(true) {
            volume.multi_attach_enabled = Some(false);
        }
        let field = format!("overrides.volumes.{}", captured.device);
        self.check_type(&field, own, &volume);
        let Some(snapshot) = self.around.snapshots.get(snapshot_id).cloned() else {
            self.block::<String>(
                "recovery_point_id",
                format!("{snapshot_id} of {} is not there", captured.device),
                ["another recovery point".to_owned()],
            );
            return (volume, None);
        };
        if snapshot.archived {
            self.block(
                "recovery_point_id",
                format!("{snapshot_id} of {} lies in the archive tier", captured.device),
                [
                    "another recovery point",
                    "the same one, once RestoreSnapshotTier has brought it back",
                ],
            );
        } else if !snapshot.usable {
            self.block(
                "recovery_point_id",
                format!("{snapshot_id} of {} is not complete", captured.device),
                ["another recovery point"],
            );
        }
        if volume.size_gib.is_some_and(|size| size < snapshot.size_gib) {
            self.block(
                &format!("{field}.size_gib"),
                format!("a volume of {snapshot_id} has at least {} GiB", snapshot.size_gib),
                [format!("{} or more", snapshot.size_gib)],
            );
        }
        // The snapshot's own key is what the volume gets if nobody says otherwise.
        let asked = own.kms_key_id.as_ref().or(self.overrides.kms_key_id.as_ref());
        // A key may be named in several ways; a volume shows its ARN.
        let asked = asked.map(|named| self.around.key_arns.get(named).unwrap_or(named));
        let named = asked.or(snapshot.kms_key_id.as_ref());
        let by_default = self.default_key.filter(|_| named.is_none());
        let key = named.or(by_default).cloned();
        if let Some(problem) = snapshot
            .kms_key_id
            .as_ref()
            .and_then(|own| self.around.unusable_keys.get(own))
        {
            let problem = format!("{snapshot_id} cannot be read: {problem}");
            self.block(
                "recovery_point_id",
                problem,
                ["another recovery point", "the same one, once its key can be used"],
            );
        } else if let Some(problem) = asked.and_then(|key| self.around.unusable_keys.get(key)) {
            self.block(
                &format!("{field}.kms_key_id"),
                problem.clone(),
                ["a key that can be used here"],
            );
        } else if let Some(problem) = by_default.and_then(|key| self.around.unusable_keys.get(key)) {
            self.block(
                "overrides.kms_key_id",
                format!("new volumes are encrypted by default: {problem}"),
                ["a key that can be used here"],
            );
        }
        volume.encrypted = Some(key.is_some());
        let rekey = asked
            .filter(|asked| snapshot.kms_key_id.as_ref() != Some(*asked))
            .cloned();
        if asked.is_none() && key != captured.kms_key_id {
            let why = if by_default.is_some() {
                "EC2 encrypts new volumes by default here"
            } else if self.held.is_replica {
                "the replica is encrypted with its destination's key"
            } else {
                "the snapshot is under another key than the volume was"
            };
            self.because(format!("volumes.{}.kms_key_id", captured.device), why);
            self.because(format!("volumes.{}.encrypted", captured.device), why);
        }
        volume.kms_key_id = key;
        (volume, rekey)
    }

    /// Whether a volume's type takes what is asked for.
    fn check_type(&mut self, field: &str, own: &VolumeOverride, volume: &VolumeConfiguration) {
        let Some(kind) = volume.volume_type.as_deref() else {
            return;
        };
        let is_provisioned = matches!(kind, "io1" | "io2");
        if own.iops.is_some() && !is_provisioned && kind != "gp3" {
            let problem = format!("a volume of type {kind} takes no IOPS");
            self.block(
                &format!("{field}.iops"),
                problem,
                ["nothing", "IOPS with a volume_type of gp3, io1 or io2"],
            );
        }
        if own.throughput.is_some() && kind != "gp3" {
            let problem = format!("a volume of type {kind} takes no throughput");
            self.block(
                &format!("{field}.throughput"),
                problem,
                ["nothing", "a throughput with volume_type gp3"],
            );
        }
        if is_provisioned && volume.iops.is_none() {
            let problem = format!("a volume of type {kind} needs its IOPS to be said");
            self.block(&format!("{field}.iops"), problem, ["a number of IOPS"]);
        }
        if *own != VolumeOverride::default() {
            self.check_least(field, kind, volume);
        }
        if own.volume_type.is_some() && volume.is_boot && matches!(kind, "st1" | "sc1") {
            let problem = format!("no instance boots from a volume of type {kind}");
            self.block(
                &format!("{field}.volume_type"),
                problem,
                ["gp2", "gp3", "io1", "io2", "standard"],
            );
        }
    }

    /// Whether a volume has as much as its type has at least. The most it can have is for EC2 to say, which raises it now
    /// and then.
    fn check_least(&mut self, field: &str, kind: &str, volume: &VolumeConfiguration) {
        let (size, iops, throughput) = match kind {
            "gp3" => (1, 3000, 125),
            "io1" | "io2" => (4, 100, 0),
            "st1" | "sc1" => (125, 0, 0),
            _ => return,
        };
        let figures = [
            ("size_gib", volume.size_gib, size, "GiB"),
            ("iops", volume.iops, iops, "IOPS"),
            ("throughput", volume.throughput, throughput, "MiB/s"),
        ];
        for (name, figure, least, unit) in figures {
            if figure.is_some_and(|figure| figure < least) {
                self.block(
                    &format!("{field}.{name}"),
                    format!("a volume of type {kind} has at least {least} {unit}"),
                    [format!("{least} or more")],
                );
            }
        }
    }
}
