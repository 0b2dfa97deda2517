//! `PutSnapshotBlock` and `CompleteSnapshot`: the blocks of an upload, and its end.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::actions::Scope;
use crate::content::{BLOCK_SIZE, BLOCKS_PER_GIB, Block, Content};
use crate::ids::VolumeId;
use crate::params::Params;
use crate::world::snapshot::{Fate, Snapshot, State};

use super::lookup::{bounded, number, own, readable, wrong_state};
use super::start::deadline;
use super::{EbsError, SHA256, checksum};

const LINEAR: &str = "LINEAR";

pub(super) fn put_block(
    scope: &mut Scope<'_>,
    id: &str,
    index: &str,
    params: &Params,
    data: &[u8],
) -> Result<Response, EbsError> {
    let timeout_minutes = uploading(scope, id)?;
    let snapshot = own(scope, id)?;
    let index = bounded(index, "BlockIndex", &(0..=u32::MAX))?;
    if u64::from(index) >= u64::from(snapshot.size_gib) * BLOCKS_PER_GIB {
        let message = format!(
            "Block {index} is not within the {} GiB of '{id}'.",
            snapshot.size_gib
        );
        return Err(EbsError::validation("INVALID_BLOCK", message));
    }
    let checksum = check_data(params, data)?;
    if let Some(snapshot) = scope.region.snapshots.get_mut(id) {
        snapshot.content.put(index, Block::from(data));
        snapshot.fate = Fate::Uploading {
            deadline: deadline(scope.now, timeout_minutes),
            timeout_minutes,
        };
    }
    let headers = [
        ("x-amz-checksum", checksum),
        ("x-amz-checksum-algorithm", SHA256.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, Json(json!({}))).into_response())
}

/// The minutes that the upload of a snapshot may rest, when there is one under way.
fn uploading(scope: &Scope<'_>, id: &str) -> Result<u32, EbsError> {
    let snapshot = own(scope, id)?;
    match snapshot.fate {
        Fate::Uploading { timeout_minutes, .. } if snapshot.is_pending(scope.now) => Ok(timeout_minutes),
        _ => Err(wrong_state(snapshot, scope, "pending after StartSnapshot")),
    }
}

/// Compares data with what the headers say about it, and gives its checksum.
fn check_data(params: &Params, data: &[u8]) -> Result<String, EbsError> {
    let length: usize = number(params, "DataLength", &(BLOCK_SIZE..=BLOCK_SIZE))?
        .ok_or_else(|| EbsError::missing("DataLength"))?;
    number(params, "Progress", &(0..=100_u8))?;
    must_be(params, "ChecksumAlgorithm", SHA256)?;
    let given = params
        .text("Checksum")
        .ok_or_else(|| EbsError::missing("Checksum"))?;
    if data.len() != length {
        return Err(EbsError::invalid_value("Failed to read block data"));
    }
    let checksum = checksum(data);
    if given == checksum {
        return Ok(checksum);
    }
    Err(EbsError::invalid_value(format!(
        "The checksum '{given}' is not that of the data."
    )))
}

pub(super) fn complete(scope: &mut Scope<'_>, id: &str, params: &Params) -> Result<Response, EbsError> {
    let snapshot = own(scope, id)?;
    let count: usize = number(params, "ChangedBlocksCount", &(0..=usize::MAX))?
        .ok_or_else(|| EbsError::missing("ChangedBlocksCount"))?;
    if was_completed(snapshot, scope) {
        return Ok(answer(&State::Completed));
    }
    uploading(scope, id)?;
    let put = snapshot.content.len();
    if count != put {
        let message = format!("{put} blocks were put into '{id}', not {count}.");
        return Err(EbsError::invalid_value(message));
    }
    check_aggregate(&snapshot.content, params)?;
    let content = over_parent(scope, snapshot)?;
    let now = scope.now;
    let snapshot = scope
        .region
        .snapshots
        .get_mut(id)
        .ok_or_else(|| EbsError::snapshot_not_found(id))?;
    snapshot.content = content;
    snapshot.fate = Fate::Completes(now);
    Ok(answer(&snapshot.state(now)))
}

/// Whether it is the finished snapshot of an upload: completing it again changes nothing.
fn was_completed(snapshot: &Snapshot, scope: &Scope<'_>) -> bool {
    snapshot.volume == VolumeId::none() && snapshot.is_completed(scope.now)
}

/// Compares the checksum over all that was put, when the call gives one.
fn check_aggregate(put: &Content, params: &Params) -> Result<(), EbsError> {
    let Some(given) = params.text("Checksum") else {
        return Ok(());
    };
    must_be(params, "ChecksumAlgorithm", SHA256)?;
    must_be(params, "ChecksumAggregationMethod", LINEAR)?;
    // The checksums as bytes, not as their base64 text.
    let sum = put.blocks_from(0).fold(Sha256::new(), |sum, (_, block)| {
        sum.chain_update(Sha256::digest(block))
    });
    if given == BASE64.encode(sum.finalize()) {
        return Ok(());
    }
    Err(EbsError::invalid_value(format!(
        "The checksum '{given}' is not that of the blocks that were put."
    )))
}

/// What was put, and the parent's blocks wherever nothing was.
fn over_parent(scope: &Scope<'_>, snapshot: &Snapshot) -> Result<Content, EbsError> {
    let Some(parent) = &snapshot.parent else {
        return Ok(snapshot.content.clone());
    };
    let mut whole = readable(scope, parent.as_str())?.content.clone();
    for (index, block) in snapshot.content.blocks_from(0) {
        whole.put(index, Block::clone(block));
    }
    Ok(whole)
}

fn must_be(params: &Params, name: &str, expected: &str) -> Result<(), EbsError> {
    match params.text(name) {
        Some(given) if given == expected => Ok(()),
        Some(given) => Err(EbsError::invalid_value(format!(
            "The {name} '{given}' is not {expected}."
        ))),
        None => Err(EbsError::missing(name)),
    }
}

fn answer(state: &State) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "Status": state.word() }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use jiff::SignedDuration;

    use super::*;
    use crate::ebs::fixture::{World, json_of};

    fn block(byte: u8) -> Vec<u8> {
        vec![byte; BLOCK_SIZE]
    }

    fn started(world: &mut World) -> String {
        world.start(&json!({ "VolumeSize": 1, "Timeout": 10 }))
    }

    fn complete(world: &mut World, id: &str, headers: &[(&str, &str)]) -> Result<Response, EbsError> {
        world.call(&Method::POST, &format!("/snapshots/completion/{id}"), headers, "")
    }

    fn aggregate(blocks: &[u8]) -> String {
        let digests: Vec<u8> = blocks
            .iter()
            .flat_map(|byte| Sha256::digest(block(*byte)))
            .collect();
        checksum(&digests)
    }

    fn reason(error: Result<Response, EbsError>) -> &'static str {
        error.unwrap_err().reason.unwrap()
    }

    #[test]
    fn puts_blocks_and_completes() {
        let mut world = World::default();
        let id = started(&mut world);
        let response = world.put(&id, 3, &block(7)).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-amz-checksum"], checksum(&block(7)).as_str());
        assert_eq!(response.headers()["x-amz-checksum-algorithm"], "SHA256");
        assert_eq!(json_of(response), json!({}));
        // Zeros that were put are data, and a block that is put again is still one block.
        world.put(&id, 0, &block(0)).unwrap();
        world.put(&id, 3, &block(8)).unwrap();
        assert!(world.snapshot(&id).is_pending(world.now));

        let sum = aggregate(&[0, 8]);
        let response = complete(
            &mut world,
            &id,
            &[
                ("x-amz-changedblockscount", "2"),
                ("x-amz-checksum", &sum),
                ("x-amz-checksum-algorithm", "SHA256"),
                ("x-amz-checksum-aggregation-method", "LINEAR"),
            ],
        )
        .unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(json_of(response), json!({ "Status": "completed" }));
        assert_eq!(world.snapshot(&id).completed_at(world.now), Some(world.now));
        let content = world.content(&id);
        assert_eq!((content.len(), content.get(3).unwrap()[0]), (2, 8));
    }

    #[test]
    fn completes_again_but_takes_no_more_blocks() {
        let mut world = World::default();
        let id = world.completed(&[(0, 1)]);
        let completed_at = world.now;
        world.pass(SignedDuration::from_hours(1));
        let again = complete(&mut world, &id, &[("x-amz-changedblockscount", "1")]).unwrap();
        assert_eq!(json_of(again), json!({ "Status": "completed" }));
        assert_eq!(world.snapshot(&id).fate, Fate::Completes(completed_at));
        assert_eq!(reason(world.put(&id, 0, &block(2))), "INVALID_SNAPSHOT_ID");
        assert_eq!(world.content(&id).get(0).unwrap()[0], 1);
    }

    #[test]
    fn puts_over_the_blocks_of_the_parent() {
        let mut world = World::default();
        let parent = world.completed(&[(0, 1), (1, 1)]);
        let child = world.completed_from(&parent, &[(1, 2), (2, 2)]);
        let content = world.content(&child);
        let bytes: Vec<(u32, u8)> = content
            .blocks_from(0)
            .map(|(index, block)| (index, block[0]))
            .collect();
        assert_eq!(bytes, [(0, 1), (1, 2), (2, 2)]);
        assert_eq!(world.content(&parent).len(), 2);
    }

    #[test]
    fn does_not_complete_without_the_blocks_of_its_parent() {
        let mut world = World::default();
        let parent = world.completed(&[(0, 1)]);
        let child = world.start(&json!({ "VolumeSize": 1, "ParentSnapshotId": parent }));
        world.region.snapshots.remove(parent.as_str());
        let refused = complete(&mut world, &child, &[("x-amz-changedblockscount", "0")]);
        assert_eq!(reason(refused), "SNAPSHOT_NOT_FOUND");
        assert!(world.snapshot(&child).is_pending(world.now));
    }

    #[test]
    fn refuses_data_that_is_not_what_its_headers_say() {
        let mut world = World::default();
        let id = started(&mut world);
        let good = [
            ("x-amz-data-length", "524288".to_owned()),
            ("x-amz-checksum", checksum(&block(7))),
            ("x-amz-checksum-algorithm", "SHA256".to_owned()),
            ("x-amz-progress", "50".to_owned()),
        ];
        let mut put = |changed: &str, value: Option<&str>, data: Vec<u8>| {
            let headers: Vec<(&str, &str)> = good
                .iter()
                .filter_map(|(name, usual)| {
                    let value = if *name == changed {
                        value
                    } else {
                        Some(usual.as_str())
                    };
                    Some((*name, value?))
                })
                .collect();
            let result = world.call(&Method::PUT, &format!("/snapshots/{id}/blocks/0"), &headers, data);
            (result.is_ok(), world.content(&id).len())
        };
        for (name, value) in [
            ("x-amz-data-length", Some("4096")),
            ("x-amz-data-length", None),
            (
                "x-amz-checksum",
                Some("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            ),
            ("x-amz-checksum", None),
            ("x-amz-checksum-algorithm", Some("MD5")),
            ("x-amz-checksum-algorithm", None),
            ("x-amz-progress", Some("101")),
        ] {
            assert_eq!(put(name, value, block(7)), (false, 0), "{name}: {value:?}");
        }
        assert_eq!(put("", None, block(8)), (false, 0));
        let short = block(7)[1..].to_vec();
        assert_eq!(put("x-amz-checksum", Some(&checksum(&short)), short), (false, 0));
        assert_eq!(put("x-amz-progress", None, block(7)), (true, 1));
    }

    #[test]
    fn keeps_to_the_size_of_the_disk() {
        let mut world = World::default();
        let id = started(&mut world);
        assert_eq!(reason(world.put(&id, 2_048, &block(1))), "INVALID_BLOCK");
        assert!(world.put(&id, 2_047, &block(1)).is_ok());
    }

    #[test]
    fn fails_when_nothing_is_put_for_too_long() {
        let mut world = World::default();
        let id = started(&mut world);
        world.pass(SignedDuration::from_mins(9));
        world.put(&id, 0, &block(1)).unwrap();
        world.pass(SignedDuration::from_mins(9));
        world.put(&id, 1, &block(1)).unwrap();
        world.pass(SignedDuration::from_mins(10));
        assert_eq!(world.snapshot(&id).state(world.now).word(), "error");
        assert_eq!(reason(world.put(&id, 2, &block(1))), "INVALID_SNAPSHOT_ID");
        let late = complete(&mut world, &id, &[("x-amz-changedblockscount", "2")]);
        assert_eq!(reason(late), "INVALID_SNAPSHOT_ID");
    }

    #[test]
    fn refuses_to_complete_what_does_not_add_up() {
        let mut world = World::default();
        let id = started(&mut world);
        world.put(&id, 0, &block(1)).unwrap();
        world.put(&id, 1, &block(2)).unwrap();
        let (right, wrong) = (aggregate(&[1, 2]), aggregate(&[2, 1]));
        let count = |count| ("x-amz-changedblockscount", count);
        let algorithm = ("x-amz-checksum-algorithm", "SHA256");
        let method = |method| ("x-amz-checksum-aggregation-method", method);
        for headers in [
            vec![],
            vec![count("1")],
            vec![count("-1")],
            vec![
                count("2"),
                ("x-amz-checksum", &wrong),
                algorithm,
                method("LINEAR"),
            ],
            vec![count("2"), ("x-amz-checksum", &right), algorithm, method("TREE")],
            vec![count("2"), ("x-amz-checksum", &right), method("LINEAR")],
        ] {
            let refused = complete(&mut world, &id, &headers);
            assert_eq!(reason(refused), "INVALID_PARAMETER_VALUE", "{headers:?}");
            assert!(world.snapshot(&id).is_pending(world.now));
        }
        assert!(complete(&mut world, &id, &[count("2")]).is_ok());
    }

    #[test]
    fn leaves_snapshots_alone_that_were_not_uploaded() {
        let mut world = World::default();
        let id = world.completed(&[(0, 1)]);
        world.snapshot_mut(&id).volume = VolumeId::next(&crate::random::IdSource::default());
        let refused = complete(&mut world, &id, &[("x-amz-changedblockscount", "1")]);
        assert_eq!(reason(refused), "INVALID_SNAPSHOT_ID");
        world.snapshot_mut(&id).fate = Fate::Held;
        assert_eq!(reason(world.put(&id, 0, &block(1))), "INVALID_SNAPSHOT_ID");
        let unknown = complete(&mut world, "snap-0000", &[("x-amz-changedblockscount", "1")]);
        assert_eq!(reason(unknown), "SNAPSHOT_NOT_FOUND");
    }
}
