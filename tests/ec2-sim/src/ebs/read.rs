//! `ListSnapshotBlocks`, `ListChangedBlocks` and `GetSnapshotBlock`.

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::content::{BLOCK_SIZE, BLOCKS_PER_GIB, Block};
use crate::params::Params;
use crate::world::snapshot::Snapshot;

use super::lookup::{bounded, number, readable};
use super::token::{block_expiry, block_token, check_block_token, page_token, read_page_token};
use super::{EbsError, SHA256, checksum, epoch_seconds};

/// A caller that asks for fewer gets this many.
const LEAST_PAGE: usize = 100;
const LARGEST_PAGE: usize = 10_000;
/// AWS does not say what a page holds when nobody asks. A page may always hold less than the largest.
const USUAL_PAGE: usize = 1_000;
/// A page of changes looks at this many block indices for each block that it may hold, and ends there
/// even when it found nothing: where changes are scarce, AWS answers empty pages with a next token too.
const SEARCHED_PER_BLOCK: usize = 10;

/// Where a page begins and how many blocks it may hold.
struct Page {
    start: u32,
    size: usize,
}

impl Page {
    /// A token of an earlier page goes before a block index to start from.
    fn read(params: &Params, list: &str, now: Timestamp) -> Result<Self, EbsError> {
        let size = number(params, "MaxResults", &(0..=LARGEST_PAGE))?
            .unwrap_or(USUAL_PAGE)
            .max(LEAST_PAGE);
        let start = match params.text("NextToken") {
            Some(token) => read_page_token(token, list, now)?,
            None => number(params, "StartingBlockIndex", &(0..=u32::MAX))?.unwrap_or_default(),
        };
        Ok(Self { start, size })
    }
}

pub(super) fn list_blocks(scope: &Scope<'_>, id: &str, params: &Params) -> Result<Response, EbsError> {
    let snapshot = readable(scope, id)?;
    let page = Page::read(params, id, scope.now)?;
    let expiry = block_expiry(scope.now);
    let mut blocks = snapshot.content.blocks_from(page.start).map(|(index, _)| index);
    let listed = blocks
        .by_ref()
        .take(page.size)
        .map(|index| json!({ "BlockIndex": index, "BlockToken": block_token(id, index, expiry) }))
        .collect();
    let next = blocks.next().map(|index| page_token(id, index, scope.now));
    Ok(answer("Blocks", listed, snapshot, expiry, next))
}

pub(super) fn list_changes(scope: &Scope<'_>, id: &str, params: &Params) -> Result<Response, EbsError> {
    let second = readable(scope, id)?;
    let first_id = params
        .text("FirstSnapshotId")
        .ok_or_else(|| EbsError::missing("FirstSnapshotId"))?;
    let first = readable(scope, first_id)?;
    if first.lineage != second.lineage {
        return Err(EbsError::validation(
            "UNRELATED_SNAPSHOTS",
            format!("The snapshots '{first_id}' and '{id}' are not of the same lineage."),
        ));
    }
    let list = format!("{first_id}/{id}");
    let page = Page::read(params, &list, scope.now)?;
    let end = end_of_search(&page, first.size_gib.max(second.size_gib));
    let expiry = block_expiry(scope.now);
    let mut changes = first
        .content
        .differences(&second.content, page.start)
        .into_iter()
        .take_while(|(index, ..)| end.is_none_or(|end| *index < end));
    let listed = changes
        .by_ref()
        .take(page.size)
        .map(|(index, in_first, in_second)| {
            let mut block = json!({ "BlockIndex": index });
            if in_first {
                block["FirstBlockToken"] = block_token(first_id, index, expiry).into();
            }
            if in_second {
                block["SecondBlockToken"] = block_token(id, index, expiry).into();
            }
            block
        })
        .collect();
    let next = changes.next().map(|(index, ..)| index).or(end);
    let next = next.map(|index| page_token(&list, index, scope.now));
    Ok(answer("ChangedBlocks", listed, second, expiry, next))
}

/// The block before which a page of changes ends whatever it found; none when it gets to the end of
/// the disk.
fn end_of_search(page: &Page, size_gib: u32) -> Option<u32> {
    let searched = u32::try_from(page.size * SEARCHED_PER_BLOCK).ok()?;
    let end = page.start.checked_add(searched)?;
    (u64::from(end) < u64::from(size_gib) * BLOCKS_PER_GIB).then_some(end)
}

fn answer(
    name: &str,
    listed: Vec<Value>,
    snapshot: &Snapshot,
    expiry: Timestamp,
    next: Option<String>,
) -> Response {
    let mut body = json!({
        "ExpiryTime": epoch_seconds(expiry),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
    });
    body[name] = listed.into();
    if let Some(token) = next {
        body["NextToken"] = token.into();
    }
    Json(body).into_response()
}

pub(super) fn get_block(
    scope: &Scope<'_>,
    id: &str,
    index: &str,
    params: &Params,
) -> Result<Response, EbsError> {
    let snapshot = readable(scope, id)?;
    let index = bounded(index, "BlockIndex", &(0..=u32::MAX))?;
    let token = params
        .text("BlockToken")
        .ok_or_else(|| EbsError::missing("BlockToken"))?;
    check_block_token(token, id, index, scope.now)?;
    let block = snapshot.content.get(index).ok_or_else(|| {
        EbsError::validation(
            "INVALID_BLOCK",
            format!("The snapshot '{id}' has no block {index}."),
        )
    })?;
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("x-amz-data-length", block.len().to_string()),
        ("x-amz-checksum", checksum(block)),
        ("x-amz-checksum-algorithm", SHA256.to_owned()),
    ];
    Ok((headers, Bytes::from_owner(Block::clone(block))).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use jiff::SignedDuration;

    use super::*;
    use crate::ebs::fixture::{World, bytes_of, json_of};
    use crate::world::snapshot::Fate;

    fn list(world: &mut World, path: &str) -> Value {
        json_of(world.call(&Method::GET, path, &[], "").unwrap())
    }

    fn refusal(world: &mut World, path: &str) -> (u16, &'static str) {
        let error = world.call(&Method::GET, path, &[], "").unwrap_err();
        (error.status.as_u16(), error.reason.unwrap())
    }

    fn indices(page: &Value, name: &str) -> Vec<u64> {
        let blocks = page[name].as_array().unwrap();
        blocks
            .iter()
            .map(|block| block["BlockIndex"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn lists_and_reads_the_blocks_that_there_are() {
        let mut world = World::default();
        let id = world.completed(&[(0, 1), (5, 2)]);
        let page = list(&mut world, &format!("/snapshots/{id}/blocks"));
        assert_eq!(indices(&page, "Blocks"), [0, 5]);
        assert_eq!(
            (&page["BlockSize"], &page["VolumeSize"]),
            (&json!(524_288), &json!(1))
        );
        assert_eq!(page["ExpiryTime"], json!(epoch_seconds(block_expiry(world.now))));
        assert_eq!(page.get("NextToken"), None);

        let token = page["Blocks"][1]["BlockToken"].as_str().unwrap();
        let path = format!("/snapshots/{id}/blocks/5?blockToken={token}");
        let response = world.call(&Method::GET, &path, &[], "").unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        let data = bytes_of(response);
        assert_eq!(data, vec![2; BLOCK_SIZE]);
        assert_eq!(headers["x-amz-data-length"], "524288");
        assert_eq!(headers["x-amz-checksum-algorithm"], "SHA256");
        assert_eq!(headers["x-amz-checksum"], checksum(&data).as_str());
    }

    #[test]
    fn turns_pages_until_every_block_was_listed_once() {
        let mut world = World::default();
        let blocks: Vec<(u32, u8)> = (0..250).map(|number| (number * 2, 1)).collect();
        let id = world.completed(&blocks);
        let base = format!("/snapshots/{id}/blocks?maxResults=100");
        let (mut all, mut pages, mut path) = (Vec::new(), 0, base.clone());
        loop {
            let page = list(&mut world, &path);
            all.extend(indices(&page, "Blocks"));
            pages += 1;
            let Some(token) = page.get("NextToken").and_then(Value::as_str) else {
                break;
            };
            // A start is ignored beside a token.
            path = format!("{base}&startingBlockIndex=0&pageToken={token}");
        }
        assert_eq!(pages, 3);
        assert_eq!(all, (0..250).map(|number| number * 2).collect::<Vec<u64>>());
    }

    #[test]
    fn gives_at_least_a_hundred_and_at_most_ten_thousand() {
        let mut world = World::default();
        let blocks: Vec<(u32, u8)> = (0..120).map(|index| (index, 1)).collect();
        let id = world.completed(&blocks);
        let page = list(&mut world, &format!("/snapshots/{id}/blocks?maxResults=7"));
        assert_eq!(indices(&page, "Blocks").len(), 100);
        let start = list(
            &mut world,
            &format!("/snapshots/{id}/blocks?startingBlockIndex=119"),
        );
        assert_eq!(indices(&start, "Blocks"), [119]);
        for wrong in [
            "maxResults=10001",
            "maxResults=-1",
            "maxResults=many",
            "startingBlockIndex=-1",
        ] {
            let refused = refusal(&mut world, &format!("/snapshots/{id}/blocks?{wrong}"));
            assert_eq!(refused, (400, "INVALID_PARAMETER_VALUE"), "{wrong}");
        }
    }

    #[test]
    fn lists_a_change_with_a_token_for_each_side_that_has_the_block() {
        let mut world = World::default();
        let first = world.completed(&[(0, 1), (1, 1), (2, 1)]);
        let second = world.completed_from(&first, &[(1, 9), (4, 9)]);
        world
            .snapshot_mut(&second)
            .content
            .write(2 * BLOCK_SIZE as u64, &vec![0; BLOCK_SIZE]);
        let page = list(
            &mut world,
            &format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}"),
        );
        assert_eq!(indices(&page, "ChangedBlocks"), [1, 2, 4]);
        let sides: Vec<(bool, bool)> = page["ChangedBlocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| {
                (
                    block.get("FirstBlockToken").is_some(),
                    block.get("SecondBlockToken").is_some(),
                )
            })
            .collect();
        assert_eq!(sides, [(true, true), (true, false), (false, true)]);
        for (side, id, byte) in [("FirstBlockToken", &first, 1), ("SecondBlockToken", &second, 9)] {
            let token = page["ChangedBlocks"][0][side].as_str().unwrap();
            let path = format!("/snapshots/{id}/blocks/1?blockToken={token}");
            let response = world.call(&Method::GET, &path, &[], "").unwrap();
            assert_eq!(bytes_of(response), vec![byte; BLOCK_SIZE]);
        }
    }

    #[test]
    fn answers_empty_pages_where_changes_are_scarce() {
        let mut world = World::default();
        let first = world.completed(&[(0, 1)]);
        let second = world.completed_from(&first, &[(1_500, 9)]);
        let base = format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}&maxResults=100");
        let empty = list(&mut world, &base);
        assert_eq!(indices(&empty, "ChangedBlocks"), [0_u64; 0]);
        let token = empty["NextToken"].as_str().unwrap();
        let last = list(&mut world, &format!("{base}&pageToken={token}"));
        assert_eq!(indices(&last, "ChangedBlocks"), [1_500]);
        // The disk ends at block 2,047, with or without changes up to there.
        let token = last["NextToken"].as_str().unwrap();
        let end = list(&mut world, &format!("{base}&pageToken={token}"));
        assert_eq!(
            (indices(&end, "ChangedBlocks").len(), end.get("NextToken")),
            (0, None)
        );
        let whole = list(
            &mut world,
            &format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}"),
        );
        assert_eq!(
            (indices(&whole, "ChangedBlocks"), whole.get("NextToken")),
            (vec![1_500], None)
        );
    }

    #[test]
    fn turns_pages_of_changes_that_are_full() {
        let mut world = World::default();
        let first = world.completed(&[]);
        let blocks: Vec<(u32, u8)> = (0..150).map(|index| (index, 1)).collect();
        let second = world.completed_from(&first, &blocks);
        let base = format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}&maxResults=100");
        let page = list(&mut world, &base);
        assert_eq!(indices(&page, "ChangedBlocks"), (0..100).collect::<Vec<u64>>());
        let token = page["NextToken"].as_str().unwrap();
        let rest = list(&mut world, &format!("{base}&pageToken={token}"));
        assert_eq!(indices(&rest, "ChangedBlocks"), (100..150).collect::<Vec<u64>>());
        // A token belongs to its list.
        let other = format!("/snapshots/{second}/blocks?pageToken={token}");
        assert_eq!(refusal(&mut world, &other), (400, "INVALID_PAGE_TOKEN"));
    }

    #[test]
    fn refuses_snapshots_that_have_nothing_in_common() {
        let mut world = World::default();
        let (first, second) = (world.completed(&[(0, 1)]), world.completed(&[(0, 1)]));
        let path = format!("/snapshots/{second}/changedblocks");
        let with_first = format!("{path}?firstSnapshotId={first}");
        assert_eq!(refusal(&mut world, &with_first), (400, "UNRELATED_SNAPSHOTS"));
        assert_eq!(refusal(&mut world, &path), (400, "INVALID_PARAMETER_VALUE"));
        let unknown = format!("{path}?firstSnapshotId=snap-0000");
        assert_eq!(refusal(&mut world, &unknown), (404, "SNAPSHOT_NOT_FOUND"));
    }

    #[test]
    fn reads_only_completed_snapshots_of_the_account_itself() {
        let mut world = World::default();
        let id = world.completed(&[(0, 1)]);
        let path = format!("/snapshots/{id}/blocks");
        world.snapshot_mut(&id).fate = Fate::Held;
        assert_eq!(refusal(&mut world, &path), (400, "INVALID_SNAPSHOT_ID"));
        world.snapshot_mut(&id).fate = Fate::Completes(world.now);
        assert_eq!(indices(&list(&mut world, &path), "Blocks"), [0]);
        world.snapshot_mut(&id).owner = "111122223333".to_owned();
        assert_eq!(refusal(&mut world, &path), (404, "SNAPSHOT_NOT_FOUND"));
        assert_eq!(
            refusal(&mut world, "/snapshots/snap-0000/blocks"),
            (404, "SNAPSHOT_NOT_FOUND")
        );
        assert_eq!(
            refusal(&mut world, "/snapshots/snap-XYZ/blocks"),
            (400, "INVALID_SNAPSHOT_ID")
        );
    }

    #[test]
    fn refuses_a_token_that_expired_or_names_another_block() {
        let mut world = World::default();
        let id = world.completed(&[(0, 1), (1, 1)]);
        let page = list(&mut world, &format!("/snapshots/{id}/blocks"));
        let token = page["Blocks"][0]["BlockToken"].as_str().unwrap().to_owned();
        let block = |index| format!("/snapshots/{id}/blocks/{index}?blockToken={token}");
        assert!(world.call(&Method::GET, &block(0), &[], "").is_ok());
        assert_eq!(refusal(&mut world, &block(1)), (400, "INVALID_BLOCK_TOKEN"));
        let without = format!("/snapshots/{id}/blocks/0");
        assert_eq!(refusal(&mut world, &without), (400, "INVALID_PARAMETER_VALUE"));
        world.pass(SignedDuration::from_hours(7 * 24));
        assert_eq!(refusal(&mut world, &block(0)), (400, "INVALID_BLOCK_TOKEN"));
    }
}
