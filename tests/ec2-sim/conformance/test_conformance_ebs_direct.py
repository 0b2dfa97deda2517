"""EBS direct: reading, comparing and writing the blocks of snapshots."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .simulator import ZONE, World, read_tags, refused, tags

BLOCK = 524_288
NOWHERE = "snap-0123456789abcdef0"


def checksum(data: bytes) -> str:
    """Give the SHA-256 of some bytes as EBS direct writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def block_of(letter: str) -> bytes:
    """Give a block that is full of one letter."""
    return letter.encode() * BLOCK


def list_all(ask: Any, answer: str, **arguments: Any) -> list[dict]:
    """Go through all pages of a list call."""
    found, token = [], None
    while True:
        page = ask(**arguments, **({"NextToken": token} if token else {}))
        found += page[answer]
        token = page.get("NextToken")
        if not token:
            return found


def blocks(world: World, snapshot: str, **more: Any) -> dict[int, str]:
    """Give the block tokens of a snapshot by index."""
    found = list_all(world.ebs.list_snapshot_blocks, "Blocks", SnapshotId=snapshot, **more)
    return {block["BlockIndex"]: block["BlockToken"] for block in found}


def put(world: World, snapshot: str, index: int, data: bytes, **more: Any) -> dict[str, Any]:
    """Put one block."""
    asked = {"DataLength": len(data), "Checksum": checksum(data), "ChecksumAlgorithm": "SHA256", **more}
    return world.ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, **asked)


def status(answer: dict[str, Any]) -> int:
    """Give the HTTP status of an answer."""
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def reason(error: ClientError) -> str:
    """Give EBS direct's reason of an error."""
    return error.response["Reason"]


def test_lists_and_reads_what_a_volume_held(still: World) -> None:
    volume = still.volume(size=2)
    written = {0: block_of("a"), 7: block_of("b"), 4095: block_of("c")}
    for index, data in written.items():
        still.write(volume, index * BLOCK, data)
    snapshot = still.snapshot(volume)
    page = still.ebs.list_snapshot_blocks(SnapshotId=snapshot)
    assert (page["BlockSize"], page["VolumeSize"]) == (BLOCK, 2)
    assert page["ExpiryTime"] is not None
    assert [block["BlockIndex"] for block in page["Blocks"]] == [0, 7, 4095]
    for block in page["Blocks"]:
        read = still.ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"]
        )
        data = read["BlockData"].read()
        assert data == written[block["BlockIndex"]]
        assert read["DataLength"] == BLOCK
        assert (read["Checksum"], read["ChecksumAlgorithm"]) == (checksum(data), "SHA256")


def test_pages_through_blocks_and_starts_where_told(still: World) -> None:
    volume = still.volume()
    for index in range(0, 500, 2):
        still.write(volume, index * BLOCK, b"x")
    snapshot = still.snapshot(volume)
    first = still.ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100)
    assert len(first["Blocks"]) <= 100
    assert first["NextToken"]
    for token in (first["NextToken"], first["Blocks"][0]["BlockToken"]):
        assert re.fullmatch("[A-Za-z0-9+/=]{1,256}", token)
    assert sorted(blocks(still, snapshot, MaxResults=100)) == list(range(0, 500, 2))
    assert sorted(blocks(still, snapshot, StartingBlockIndex=301)) == list(range(302, 500, 2))


def test_compares_two_snapshots_of_a_volume(still: World) -> None:
    volume = still.volume()
    for index in (0, 1, 2):
        still.write(volume, index * BLOCK, block_of("a"))
    before = still.snapshot(volume)
    still.write(volume, 1 * BLOCK, block_of("b"))
    still.write(volume, 9 * BLOCK, block_of("c"))
    after = still.snapshot(volume)
    asked = {"FirstSnapshotId": before, "SecondSnapshotId": after}
    page = still.ebs.list_changed_blocks(**asked)
    assert (page["BlockSize"], page["VolumeSize"]) == (BLOCK, 1)
    changed = {one["BlockIndex"]: one for one in list_all(still.ebs.list_changed_blocks, "ChangedBlocks", **asked)}
    assert sorted(changed) == [1, 9]
    for token, snapshot, letter in [("FirstBlockToken", before, "a"), ("SecondBlockToken", after, "b")]:
        read = still.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=1, BlockToken=changed[1][token])
        assert read["BlockData"].read() == block_of(letter)
    assert "FirstBlockToken" not in changed[9]
    from_two = list_all(still.ebs.list_changed_blocks, "ChangedBlocks", StartingBlockIndex=2, **asked)
    assert [one["BlockIndex"] for one in from_two] == [9]
    same = {"FirstSnapshotId": after, "SecondSnapshotId": still.snapshot(volume)}
    assert list_all(still.ebs.list_changed_blocks, "ChangedBlocks", **same) == []


def test_finds_changes_that_are_far_apart(still: World) -> None:
    volume = still.volume(size=8)
    before = still.snapshot(volume)
    for index in (3, 9_000, 16_383):
        still.write(volume, index * BLOCK, b"x")
    asked = {"FirstSnapshotId": before, "SecondSnapshotId": still.snapshot(volume), "MaxResults": 100}
    found = list_all(still.ebs.list_changed_blocks, "ChangedBlocks", **asked)
    assert [one["BlockIndex"] for one in found] == [3, 9_000, 16_383]


def test_a_comparison_needs_a_first_snapshot(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    with refused("ValidationException", "firstSnapshotId"):
        still.ebs.list_changed_blocks(SecondSnapshotId=snapshot)


def test_unrelated_snapshots_are_not_compared(still: World) -> None:
    first, second = (still.snapshot(still.volume()) for _ in range(2))
    with pytest.raises(ClientError) as caught:
        still.ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert reason(caught.value) == "UNRELATED_SNAPSHOTS"


def test_reads_no_snapshot_that_is_pending_or_missing(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    pending = still.ec2.create_snapshot(VolumeId=still.volume())["SnapshotId"]
    with refused("ValidationException", "pending"):
        still.ebs.list_snapshot_blocks(SnapshotId=pending)
    with refused("ResourceNotFoundException", status=404):
        still.ebs.list_snapshot_blocks(SnapshotId=NOWHERE)
    with refused("ResourceNotFoundException", status=404):
        still.ebs.list_changed_blocks(FirstSnapshotId=snapshot, SecondSnapshotId=NOWHERE)


def test_a_token_is_good_for_its_block_only(still: World) -> None:
    volume = still.volume()
    for index in (0, 1):
        still.write(volume, index * BLOCK, block_of("a"))
    snapshot, other = still.snapshot(volume), still.snapshot(volume)
    token = blocks(still, snapshot)[0]
    for where in (
        {"SnapshotId": snapshot, "BlockIndex": 1, "BlockToken": token},
        {"SnapshotId": other, "BlockIndex": 0, "BlockToken": token},
        {"SnapshotId": snapshot, "BlockIndex": 0, "BlockToken": "AAABAbogus=="},
    ):
        with pytest.raises(ClientError) as caught:
            still.ebs.get_snapshot_block(**where)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert reason(caught.value) == "INVALID_BLOCK_TOKEN"


def test_block_tokens_last_a_week_and_page_tokens_an_hour(still: World) -> None:
    volume = still.volume()
    for index in range(150):
        still.write(volume, index * BLOCK, b"x")
    snapshot = still.snapshot(volume)
    page = still.ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100)
    block = page["Blocks"][0]
    asked = {"SnapshotId": snapshot, "BlockIndex": block["BlockIndex"], "BlockToken": block["BlockToken"]}
    still.advance(3500)
    rest = still.ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100, NextToken=page["NextToken"])
    assert len(page["Blocks"]) + len(rest["Blocks"]) == 150
    still.advance(200)
    with pytest.raises(ClientError) as caught:
        still.ebs.list_snapshot_blocks(SnapshotId=snapshot, NextToken=page["NextToken"])
    assert reason(caught.value) == "INVALID_PAGE_TOKEN"
    still.advance(6 * 86_400)
    assert still.ebs.get_snapshot_block(**asked)["DataLength"] == BLOCK
    still.advance(86_400)
    with pytest.raises(ClientError) as caught:
        still.ebs.get_snapshot_block(**asked)
    assert reason(caught.value) == "INVALID_BLOCK_TOKEN"


def test_uploads_a_snapshot_that_ec2_knows(still: World) -> None:
    started = still.ebs.start_snapshot(VolumeSize=1, Description="uploaded", Tags=tags(job="1"))
    snapshot = started["SnapshotId"]
    assert (started["Status"], started["OwnerId"]) == ("pending", still.account)
    assert (started["VolumeSize"], started["BlockSize"], started["Description"]) == (1, BLOCK, "uploaded")
    assert read_tags(started["Tags"]) == {"job": "1"}
    assert still.described(snapshot)["State"] == "pending"
    answer = put(still, snapshot, 0, block_of("a"), Progress=50)
    assert [status(one) for one in (started, answer)] == [201, 201]
    assert (answer["Checksum"], answer["ChecksumAlgorithm"]) == (checksum(block_of("a")), "SHA256")
    put(still, snapshot, 2047, block_of("b"))
    ended = still.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=2)
    assert status(ended) == 202
    assert ended["Status"] in ("pending", "completed")
    still.advance(60)
    found = still.described(snapshot)
    assert (found["State"], found["Description"], found["VolumeSize"]) == ("completed", "uploaded", 1)
    assert read_tags(found["Tags"]) == {"job": "1"}
    assert sorted(blocks(still, snapshot)) == [0, 2047]
    volume = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    assert still.read(volume, BLOCK - 1, 1) == b"a"
    assert still.read(volume, 2**30 - 1, 1) == b"b"


def test_uploads_changes_upon_a_parent(still: World) -> None:
    volume = still.volume()
    for index, letter in enumerate("abc"):
        still.write(volume, index * BLOCK, block_of(letter))
    parent = still.snapshot(volume)
    started = still.ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)
    child = started["SnapshotId"]
    assert started["ParentSnapshotId"] == parent
    put(still, child, 1, block_of("z"))
    still.ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=1)
    still.advance(60)
    changed = still.ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
    assert [one["BlockIndex"] for one in changed] == [1]
    restored = still.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=child)["VolumeId"]
    assert [still.read(restored, index * BLOCK, 1) for index in range(3)] == [b"a", b"z", b"c"]


def test_refuses_blocks_that_do_not_hold_what_they_claim(still: World) -> None:
    snapshot = still.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    good = block_of("a")
    for index, data, claims in [
        (0, good, {"Checksum": checksum(b"something else")}),
        (2048, good, {}),
        (0, b"too short", {}),
    ]:
        with refused("ValidationException"):
            put(still, snapshot, index, data, **claims)
    with refused("ResourceNotFoundException", status=404):
        put(still, NOWHERE, 0, block_of("a"))


def test_completes_only_with_the_right_count(still: World) -> None:
    snapshot = still.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(still, snapshot, 0, block_of("a"))
    with refused("ValidationException"):
        still.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=2)
    still.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    still.advance(60)
    with refused("ValidationException"):
        put(still, snapshot, 1, block_of("b"))


def test_a_snapshot_of_ec2_cannot_be_written(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    with refused("ValidationException"):
        put(still, snapshot, 0, block_of("a"))


def test_the_same_client_token_gives_the_same_upload(still: World) -> None:
    asked = {"VolumeSize": 1, "ClientToken": "once"}
    first, second = (still.ebs.start_snapshot(**asked)["SnapshotId"] for _ in range(2))
    assert first == second
    with refused("ConflictException", status=(409, 503)):
        still.ebs.start_snapshot(**{**asked, "VolumeSize": 2})
    other = still.ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    assert other != first


def test_an_upload_that_nobody_completes_ends_in_error(still: World) -> None:
    snapshot = still.ebs.start_snapshot(VolumeSize=1, Timeout=10)["SnapshotId"]
    still.advance(9 * 60)
    put(still, snapshot, 0, block_of("a"))
    still.advance(9 * 60)
    assert still.described(snapshot)["State"] == "pending"
    still.advance(2 * 60)
    assert still.described(snapshot)["State"] == "error"


def test_an_encrypted_upload_tells_its_key(still: World) -> None:
    key = f"arn:aws:kms:us-east-1:{still.account}:key/mrk-1"
    started = still.ebs.start_snapshot(VolumeSize=1, Encrypted=True, KmsKeyArn=key)
    assert started["KmsKeyArn"] == key
    found = still.described(started["SnapshotId"])
    assert (found["Encrypted"], found["KmsKeyId"]) == (True, key)


def test_lists_are_throttled_at_fifty(still: World) -> None:
    snapshot = still.snapshot(still.volume())
    ebs = still.ebs
    for _ in range(50):
        ebs.list_snapshot_blocks(SnapshotId=snapshot)
    with refused(("RequestThrottledException", "ThrottlingException")):
        ebs.list_snapshot_blocks(SnapshotId=snapshot)
    still.advance(1)
    ebs.list_snapshot_blocks(SnapshotId=snapshot)
