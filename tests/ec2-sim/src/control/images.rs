//! Images that nobody registered here, such as those of AWS and of its marketplace.

use axum::Json as Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::content::Content;
use crate::ids::{ImageId, SnapshotId, VolumeId};
use crate::tags::Tags;
use crate::world::billing::{Billing, ProductCode};
use crate::world::image::Image;
use crate::world::launch::{DeviceSpec, EbsSpec, Options};
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Fate, Snapshot};
use crate::world::tier::Tiering;
use crate::world::volume::VolumeType;

use super::{Json, Refused, World, bad};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageRequest {
    image_id: Option<String>,
    name: String,
    root_device: String,
    devices: Vec<Device>,
    platform: Option<String>,
    platform_details: Option<String>,
    usage_operation: Option<String>,
    #[serde(default)]
    product_codes: Vec<ProductCode>,
    architecture: Option<String>,
    boot_mode: Option<String>,
    tpm_support: Option<String>,
    ena_support: Option<bool>,
    owner: Option<String>,
    #[serde(default)]
    deprecated: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    device: String,
    size_gib: u32,
}

/// Plants an image with empty devices.
pub(super) async fn plant(world: World, Json(request): Json<ImageRequest>) -> Result<Answer<Value>, Refused> {
    if !request
        .devices
        .iter()
        .any(|device| device.device == request.root_device)
    {
        return Err(bad("devices: the root device is not among them"));
    }
    let mut account = world.lock();
    let mut scope = account.scope(&world.region, &world.app.ids);
    let owner = request.owner.clone().unwrap_or_else(|| scope.account.to_owned());
    let image = Image {
        id: request
            .image_id
            .as_deref()
            .map_or_else(|| ImageId::next(scope.ids), ImageId::given),
        settings: request.settings(),
        billing: request.billing(),
        devices: request
            .devices
            .iter()
            .map(|device| plant_device(&mut scope, device, &owner, device.device == request.root_device))
            .collect(),
        owner,
        name: request.name,
        root_device: request.root_device,
        tags: Tags::default(),
        created_at: scope.now,
        visible_at: jiff::Timestamp::MIN,
        is_disabled: false,
        is_deprecated: request.deprecated,
        instance: None,
    };
    let id = image.id.clone();
    scope.region.images.insert(id.clone(), image);
    Ok(Answer(json!({"image_id": id.as_str()})))
}

impl ImageRequest {
    fn settings(&self) -> Options {
        let mut settings = Options::default();
        settings.set("Architecture", self.architecture.as_deref().unwrap_or("x86_64"));
        settings.set("VirtualizationType", "hvm");
        settings.set("EnaSupport", self.ena_support.unwrap_or(true).to_string());
        for (field, value) in [("BootMode", &self.boot_mode), ("TpmSupport", &self.tpm_support)] {
            if let Some(value) = value {
                settings.set(field, value);
            }
        }
        settings
    }

    /// What AWS says of Windows when nobody says otherwise, and of Linux.
    fn billing(&self) -> Billing {
        let usual = Billing::default();
        let (details, operation) = match &self.platform {
            Some(_) => ("Windows".to_owned(), "RunInstances:0002".to_owned()),
            None => (usual.details, usual.operation),
        };
        Billing {
            platform: self.platform.clone(),
            details: self.platform_details.clone().unwrap_or(details),
            operation: self.usage_operation.clone().unwrap_or(operation),
            codes: self.product_codes.clone(),
        }
    }
}

fn plant_device(scope: &mut Scope<'_>, device: &Device, owner: &str, is_root: bool) -> DeviceSpec {
    let volume = VolumeId::next(scope.ids);
    let snapshot = Snapshot {
        id: SnapshotId::next(scope.ids),
        owner: owner.to_owned(),
        lineage: volume.to_string(),
        volume,
        size_gib: device.size_gib,
        started_at: scope.now,
        description: String::new(),
        key: None,
        tags: Tags::default(),
        content: Content::default(),
        fate: Fate::Completes(scope.now),
        visible_at: jiff::Timestamp::MIN,
        set: None,
        parent: None,
        copy: None,
        sharing: Sharing::default(),
        lock: None,
        tiering: Tiering::default(),
    };
    let id = snapshot.id.clone();
    scope.region.snapshots.insert(id.clone(), snapshot);
    DeviceSpec {
        device: device.device.clone(),
        no_device: false,
        virtual_name: None,
        ebs: EbsSpec {
            snapshot: Some(id.to_string()),
            size_gib: Some(device.size_gib),
            kind: Some(VolumeType::Gp3),
            delete_on_termination: Some(is_root),
            ..EbsSpec::default()
        },
    }
}
