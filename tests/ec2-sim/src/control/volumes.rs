//! What is written on volumes.

use axum::Json as Answer;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::content::{BLOCK_SIZE, BLOCKS_PER_GIB};
use crate::world::volume::Volume;

use super::{Refused, World, bad, not_found};

#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
}

/// Writes bytes at an offset, as the volume's instance would.
pub(super) async fn write(
    world: World,
    Path(id): Path<String>,
    Query(place): Query<Place>,
    bytes: Bytes,
) -> Result<Answer<Value>, Refused> {
    on_volume(&world, &id, |volume| {
        let end = place
            .offset
            .checked_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if end.is_none_or(|end| end > size(volume)) {
            return Err(bad(format!("offset: the volume ends at {}", size(volume))));
        }
        volume.content.write(place.offset, &bytes);
        Ok(Answer(json!({})))
    })
}

/// Reads bytes from an offset, by default to the end of the block.
pub(super) async fn read(
    world: World,
    Path(id): Path<String>,
    Query(place): Query<Place>,
) -> Result<Vec<u8>, Refused> {
    on_volume(&world, &id, |volume| {
        let left = size(volume).saturating_sub(place.offset);
        let length = place
            .length
            .unwrap_or_else(|| u64::try_from(BLOCK_SIZE).unwrap_or(u64::MAX))
            .min(left);
        let mut bytes = Vec::new();
        let mut position = place.offset;
        let end = place.offset.saturating_add(length);
        while position < end {
            let rest = usize::try_from(end - position).map_err(|_| bad("length: too long"))?;
            let part = volume.content.read(position, rest);
            position += u64::try_from(part.len()).unwrap_or(u64::MAX);
            bytes.extend(part);
        }
        Ok(bytes)
    })
}

/// The SHA-256 of each block that holds data, and of all of them in order.
pub(super) async fn digest(world: World, Path(id): Path<String>) -> Result<Answer<Value>, Refused> {
    let content = on_volume(&world, &id, |volume| Ok(volume.content.clone()))?;
    let mut whole = Sha256::new();
    let mut blocks = Vec::with_capacity(content.len());
    for (index, block) in content.blocks_from(0) {
        whole.update(index.to_be_bytes());
        whole.update(block);
        blocks.push(json!([index, hex(&Sha256::digest(block))]));
    }
    Ok(Answer(
        json!({"sha256": hex(&whole.finalize()), "blocks": blocks}),
    ))
}

fn on_volume<T>(
    world: &World,
    id: &str,
    act: impl FnOnce(&mut Volume) -> Result<T, Refused>,
) -> Result<T, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    act(scope.region.volumes.get_mut(id).ok_or_else(|| not_found(id))?)
}

fn size(volume: &Volume) -> u64 {
    u64::from(volume.size_gib) * BLOCKS_PER_GIB * u64::try_from(BLOCK_SIZE).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
