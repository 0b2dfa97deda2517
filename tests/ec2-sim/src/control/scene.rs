//! Scenes: many instances or snapshots at once, without the API's limits.

use axum::Json as Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::actions::run_instances::launch;
use crate::clock::after;
use crate::content::Content;
use crate::ids::{InstanceId, SnapshotId, VolumeId};
use crate::params::Params;
use crate::settings::seconds;
use crate::tags::Tags;
use crate::world::instance::{InstanceState, Lifecycle};
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Fate, Snapshot};
use crate::world::tier::Tiering;

use super::{Json, Refused, World, bad};

/// Letters of a device's name: `/dev/sda` to `/dev/sdz`, then `/dev/sdaa` and so on.
const LETTERS: std::ops::RangeInclusive<char> = 'a'..='z';

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InstancesRequest {
    instances: u32,
    /// The boot volume is one of them.
    volumes_per_instance: usize,
    volume_size_gib: u32,
    tags: Tags,
    state: String,
}

impl Default for InstancesRequest {
    fn default() -> Self {
        Self {
            instances: 1,
            volumes_per_instance: 1,
            volume_size_gib: 8,
            tags: Tags::default(),
            state: "running".to_owned(),
        }
    }
}

pub(super) async fn make_instances(
    world: World,
    Json(request): Json<InstancesRequest>,
) -> Result<Answer<Value>, Refused> {
    let state = InstanceState::ALL
        .into_iter()
        .find(|state| state.name() == request.state);
    let state = state.ok_or_else(|| bad(format!("state: {} is no state of an instance", request.state)))?;
    if request.volumes_per_instance == 0 {
        return Err(bad(
            "volumes_per_instance: an instance has a boot volume at least",
        ));
    }
    let mut account = world.lock();
    let mut scope = account.scope(&world.region, &world.app.ids);
    let ids = launch(&mut scope, &request.params())?;
    for id in &ids {
        settle(&mut scope, id, state);
    }
    let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    Ok(Answer(json!({"instance_ids": ids})))
}

fn settle(scope: &mut Scope<'_>, id: &InstanceId, state: InstanceState) {
    let now = scope.now;
    let region = &mut *scope.region;
    let Some(instance) = region.instances.get_mut(id) else {
        return;
    };
    instance.lifecycle = Lifecycle::fixed(state, now);
    // A scene has been there all along.
    instance.visible_at = jiff::Timestamp::MIN;
    for volume in &instance.volumes {
        if let Some(volume) = region.volumes.get_mut(volume) {
            volume.visible_at = jiff::Timestamp::MIN;
        }
    }
    for interface in &instance.interfaces {
        if let Some(interface) = region.interfaces.get_mut(interface) {
            interface.visible_at = jiff::Timestamp::MIN;
        }
    }
}

impl InstancesRequest {
    /// The launch that makes the scene.
    fn params(&self) -> Params {
        let mut pairs: Vec<(String, String)> = [
            ("ImageId", "ami-0123456789abcdef0".to_owned()),
            ("InstanceType", "t3.small".to_owned()),
            ("MinCount", self.instances.to_string()),
            ("MaxCount", self.instances.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let data = LETTERS
            .map(|letter| letter.to_string())
            .chain(LETTERS.flat_map(|first| LETTERS.map(move |second| format!("{first}{second}"))))
            .skip(5)
            .map(|letters| format!("/dev/sd{letters}"));
        let devices = std::iter::once("/dev/xvda".to_owned()).chain(data);
        for (number, device) in (1..).zip(devices.take(self.volumes_per_instance)) {
            let mapping = format!("BlockDeviceMapping.{number}");
            pairs.push((format!("{mapping}.DeviceName"), device));
            pairs.push((
                format!("{mapping}.Ebs.VolumeSize"),
                self.volume_size_gib.to_string(),
            ));
            pairs.push((format!("{mapping}.Ebs.VolumeType"), "gp3".to_owned()));
        }
        if !self.tags.is_empty() {
            pairs.push((
                "TagSpecification.1.ResourceType".to_owned(),
                "instance".to_owned(),
            ));
        }
        for (number, (key, value)) in (1..).zip(self.tags.iter()) {
            pairs.push((format!("TagSpecification.1.Tag.{number}.Key"), key.to_owned()));
            pairs.push((format!("TagSpecification.1.Tag.{number}.Value"), value.to_owned()));
        }
        pairs.into_iter().collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotsRequest {
    count: u32,
    #[serde(default)]
    tags: Tags,
    #[serde(default = "usual_size")]
    size_gib: u32,
    /// How far each is before the next newer one.
    #[serde(default = "a_minute")]
    spread_seconds: f64,
}

fn usual_size() -> u32 {
    8
}

fn a_minute() -> f64 {
    60.0
}

/// Makes completed snapshots of volumes that are long gone.
pub(super) async fn make_snapshots(world: World, Json(request): Json<SnapshotsRequest>) -> Answer<Value> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let mut made = Vec::new();
    for number in 0..request.count {
        let volume = VolumeId::next(scope.ids);
        let started_at = after(
            scope.now,
            -seconds((f64::from(number) + 1.0) * request.spread_seconds),
        );
        let snapshot = Snapshot {
            id: SnapshotId::next(scope.ids),
            owner: scope.account.to_owned(),
            lineage: volume.to_string(),
            volume,
            size_gib: request.size_gib,
            started_at,
            description: String::new(),
            key: None,
            tags: request.tags.clone(),
            content: Content::default(),
            fate: Fate::Completes(started_at),
            visible_at: started_at,
            set: None,
            parent: None,
            copy: None,
            sharing: Sharing::default(),
            lock: None,
            tiering: Tiering::default(),
        };
        made.push(snapshot.id.to_string());
        scope.region.snapshots.insert(snapshot.id.clone(), snapshot);
    }
    Answer(json!({"snapshot_ids": made}))
}
