"""Copies of snapshots to other regions and accounts: who may, what comes, how many at once, under which key."""

from __future__ import annotations

from typing import Any

import pytest

from .simulator import AWAY, REGION, World, read_tags, refused, tagged

NOWHERE = "snap-0123456789abcdef0"
NO_KEY = "Given key ID is not accessible"


def arn(world: World, name: str, region: str = REGION) -> str:
    return f"arn:aws:kms:{region}:{world.account}:key/{name}"


def encrypted(world: World, key: str | None = None, size: int = 1) -> str:
    """Snapshot an encrypted volume."""
    return world.snapshot(world.volume(size, Encrypted=True, **({"KmsKeyId": key} if key else {})))


def ended(world: World, copy: str, region: str = AWAY) -> dict[str, Any]:
    """Describe a copy when its time is over."""
    world.advance(60)
    return world.described(copy, region)


def test_a_copy_is_a_snapshot_of_its_own(still: World) -> None:
    volume = still.volume(size=3)
    still.write(volume, 0, b"before")
    source = still.snapshot(volume, TagSpecifications=[tagged("snapshot", a="source")])
    still.settings(copy_base_seconds=10)
    away = still.client("ec2", AWAY)
    made = away.copy_snapshot(
        SourceRegion=REGION,
        SourceSnapshotId=source,
        Description="far away",
        TagSpecifications=[tagged("snapshot", b="copy")],
    )
    copy = made["SnapshotId"]
    assert copy != source
    assert read_tags(made["Tags"]) == {"b": "copy"}
    still.advance(5)
    halfway = still.described(copy, AWAY)
    assert (halfway["State"], halfway["Progress"]) == ("pending", "50%")
    still.advance(5)
    found = still.described(copy, AWAY)
    assert (found["State"], found["VolumeId"], found["VolumeSize"]) == ("completed", "vol-ffffffff", 3)
    assert (found["OwnerId"], found["Description"]) == (still.account, "far away")
    assert found["Encrypted"] is False
    assert read_tags(found["Tags"]) == {"b": "copy"}
    assert found["StartTime"] > still.described(source)["StartTime"]
    with refused("InvalidSnapshot.NotFound", copy):
        still.described(copy)

    still.ec2.delete_snapshot(SnapshotId=source)
    ebs = still.client("ebs", AWAY)
    block = ebs.list_snapshot_blocks(SnapshotId=copy)["Blocks"][0]
    read = ebs.get_snapshot_block(SnapshotId=copy, BlockIndex=0, BlockToken=block["BlockToken"])
    assert read["BlockData"].read(6) == b"before"
    restored = away.create_volume(AvailabilityZone=f"{AWAY}a", SnapshotId=copy)
    assert restored["Size"] == 3


def test_a_copy_can_stay_in_its_region(still: World) -> None:
    source = still.snapshot(still.volume())
    copy = still.copy(source, region=REGION)
    assert ended(still, copy, REGION)["State"] == "completed"


def test_a_copy_without_tags_has_none(still: World) -> None:
    source = still.snapshot(still.volume(), TagSpecifications=[tagged("snapshot", a="source")])
    made = still.client("ec2", AWAY).copy_snapshot(SourceRegion=REGION, SourceSnapshotId=source)
    assert not made.get("Tags")
    assert not still.described(made["SnapshotId"], AWAY).get("Tags")


def test_refuses_what_cannot_be_copied(still: World) -> None:
    volume = still.volume()
    source = still.snapshot(volume)
    for asked in ({"snapshot_id": NOWHERE}, {"snapshot_id": source, "source": "us-west-2"}):
        with refused("InvalidSnapshot.NotFound", "does not exist"):
            still.copy(**asked)
    still.post("snapshots/hold", volume_id=volume)
    pending = still.snapshot(volume)
    with refused("IncorrectState", pending, "pending"):
        still.copy(pending)
    still.post("snapshots/fail", snapshot_id=pending, message="broken")
    with refused("IncorrectState", pending, "error"):
        still.copy(pending)
    with refused("InvalidParameterValue", "encrypted=false"):
        still.copy(source, Encrypted=False)
    with refused("InvalidParameterDependency", "KmsKeyId", "Encrypted"):
        still.copy(source, KmsKeyId="some-key")
    with refused("InvalidParameterValue", "taggable"):
        still.copy(source, TagSpecifications=[tagged("volume", a="1")])
    with refused("UnknownParameter", "CompletionDurationMinutes"):
        still.copy(source, CompletionDurationMinutes=15)
    with refused("DryRunOperation", status=412):
        still.copy(source, DryRun=True)
    assert still.client("ec2", AWAY).describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_another_account_copies_only_what_is_shared_with_it(still: World) -> None:
    other = still.neighbour()
    source = still.snapshot(still.volume())
    with refused("InvalidSnapshot.NotFound", source):
        other.copy(source)
    still.share(source, other.account)
    copy = other.copy(source)
    assert ended(other, copy)["OwnerId"] == other.account
    assert other.behind(copy, AWAY)["copy_of"] == {
        "account": still.account,
        "region": REGION,
        "snapshot_id": source,
    }
    still.ec2.reset_snapshot_attribute(SnapshotId=source, Attribute="createVolumePermission")
    with refused("InvalidSnapshot.NotFound", source):
        other.copy(source)


def test_a_source_is_as_far_as_its_own_clock_says(still: World) -> None:
    other = still.neighbour()
    source = still.ec2.create_snapshot(VolumeId=still.volume())["SnapshotId"]
    still.share(source, other.account)
    other.advance(3600)
    with refused("IncorrectState", source, "pending"):
        other.copy(source)
    still.advance(5)
    copy = other.copy(source)
    assert other.described(copy, AWAY)["StartTime"] > still.described(source)["CompletionTime"]
    still.advance(3600)
    assert other.described(copy, AWAY)["State"] == "pending"


def test_a_region_takes_twenty_copies_at_once(still: World) -> None:
    source = still.snapshot(still.volume())
    copies = [still.copy(source) for _ in range(20)]
    with refused("ResourceLimitExceeded", "Too many snapshot copies in progress", "limit is 20"):
        still.copy(source)
    still.copy(source, region="us-west-2")
    still.advance(5)
    assert {still.described(copy, AWAY)["State"] for copy in copies} == {"completed"}
    still.copy(source)
    still.settings(copy_limit=1)
    with refused("ResourceLimitExceeded", "limit is 1 for this destination region"):
        still.copy(source)


def test_copying_is_throttled(still: World) -> None:
    source = still.snapshot(still.volume())
    still.settings(copy_limit=1000)
    for _ in range(50):
        still.copy(source)
    with refused("RequestLimitExceeded", status=503):
        still.copy(source)
    still.advance(1)
    still.copy(source)


def test_a_region_that_is_full_takes_no_copy(still: World) -> None:
    source = still.snapshot(still.volume())
    still.settings(snapshot_limit=0)
    with refused("SnapshotLimitExceeded"):
        still.copy(source)


def test_a_copy_takes_longer_the_more_there_is_to_bring(still: World) -> None:
    still.settings(copy_base_seconds=10, copy_seconds_per_gib=10)
    volume = still.volume(size=2)
    first = still.copy(still.snapshot(volume))
    still.advance(29)
    assert still.described(first, AWAY)["State"] == "pending"
    still.advance(1)
    assert still.described(first, AWAY)["State"] == "completed"
    still.write(volume, 0, b"new")
    second = still.copy(still.snapshot(volume))
    still.advance(10.5)
    assert still.described(second, AWAY)["State"] == "completed"


def test_copies_can_take_times_of_their_own(still: World) -> None:
    still.settings(copy_base_seconds=100, copy_jitter=0.5)
    source = still.snapshot(still.volume())
    copies = [still.copy(source) for _ in range(20)]
    still.advance(99)
    assert {still.described(copy, AWAY)["State"] for copy in copies} == {"pending"}
    still.advance(26)
    assert len({still.described(copy, AWAY)["State"] for copy in copies}) == 2
    still.advance(26)
    assert {still.described(copy, AWAY)["State"] for copy in copies} == {"completed"}


def test_only_what_changed_travels_while_the_last_copy_is_there(still: World) -> None:
    volume = still.volume()

    def copied(block: int, **more: object) -> tuple[str, tuple[bool, int]]:
        still.write(volume, block << 19, b"data")
        copy = still.copy(still.snapshot(volume), **more)
        still.advance(60)
        behind = still.behind(copy, AWAY)
        return copy, (behind["incremental"], behind["copied_blocks"])

    first, full = copied(0)
    assert full == (False, 1)
    second, changed = copied(1)
    assert changed == (True, 1)
    changes = still.client("ebs", AWAY).list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)
    assert [block["BlockIndex"] for block in changes["ChangedBlocks"]] == [1]
    # Under another key nothing is there yet.
    keyed, full = copied(2, Encrypted=True, KmsKeyId="key-1")
    assert full == (False, 3)
    _, changed = copied(3, Encrypted=True, KmsKeyId="key-1")
    assert changed == (True, 1)
    with pytest.raises(Exception, match="not of the same lineage"):
        still.client("ebs", AWAY).list_changed_blocks(FirstSnapshotId=second, SecondSnapshotId=keyed)
    # Without the last copy, the one before it.
    still.client("ec2", AWAY).delete_snapshot(SnapshotId=second)
    _, changed = copied(4)
    assert changed == (True, 4)
    # And in another region nothing.
    other = still.copy(still.snapshot(volume), region="us-west-2")
    assert still.behind(other, "us-west-2")["incremental"] is False


def test_a_copy_and_its_source_have_nothing_in_common(still: World) -> None:
    source = still.snapshot(still.volume())
    copy = still.copy(source, region=REGION)
    still.advance(60)
    with pytest.raises(Exception, match="not of the same lineage"):
        still.ebs.list_changed_blocks(FirstSnapshotId=source, SecondSnapshotId=copy)


def test_an_encrypted_copy_is_under_the_key_that_was_named(still: World) -> None:
    source = still.snapshot(still.volume())
    named = ended(still, still.copy(source, Encrypted=True, KmsKeyId="key-1"))
    assert (named["Encrypted"], named["KmsKeyId"]) == (True, arn(still, "key-1", AWAY))
    usual = ended(still, still.copy(source, Encrypted=True))
    default = still.client("ec2", AWAY).create_volume(AvailabilityZone=f"{AWAY}a", Size=1, Encrypted=True)
    assert usual["KmsKeyId"] == default["KmsKeyId"]


def test_encryption_cannot_be_taken_off(still: World) -> None:
    source = encrypted(still, arn(still, "key-1"))
    copy = ended(still, still.copy(source))
    assert (copy["State"], copy["Encrypted"]) == ("completed", True)
    assert copy["KmsKeyId"].startswith(f"arn:aws:kms:{AWAY}:{still.account}:")
    assert ended(still, still.copy(source, KmsKeyId="key-2"))["KmsKeyId"] == arn(still, "key-2", AWAY)


@pytest.mark.parametrize("state", ["disabled", "pending_deletion", "missing"])
def test_a_bad_key_fails_the_copy_and_not_the_call(still: World, state: str) -> None:
    source = still.snapshot(still.volume())
    still.control("POST", "keys", {"key": "key-1", "state": state}, region=AWAY)
    copy = still.copy(source, Encrypted=True, KmsKeyId="key-1")
    assert still.described(copy, AWAY)["State"] == "pending"
    still.advance(2)
    found = still.described(copy, AWAY)
    assert (found["State"], found["StateMessage"]) == ("error", NO_KEY)
    still.control("POST", "keys", {"key": "key-1"}, region=AWAY)
    assert ended(still, still.copy(source, Encrypted=True, KmsKeyId="key-1"))["State"] == "completed"


def test_a_key_of_another_region_or_account_cannot_be_used(still: World) -> None:
    other = still.neighbour()
    source = still.snapshot(still.volume())
    theirs = arn(other, "key-1", AWAY)
    for key in (arn(still, "key-1", REGION), theirs):
        assert ended(still, still.copy(source, Encrypted=True, KmsKeyId=key))["StateMessage"] == NO_KEY
    other.control("POST", "keys", {"key": theirs, "usable_by": [still.account]}, region=AWAY)
    assert ended(still, still.copy(source, Encrypted=True, KmsKeyId=theirs))["State"] == "completed"


def test_a_copy_from_another_account_needs_its_key_too(still: World) -> None:
    other = still.neighbour()
    key = arn(still, "key-1")
    source = encrypted(still, key)
    still.share(source, other.account)
    assert ended(other, other.copy(source))["StateMessage"] == NO_KEY
    still.post("keys", key=key, usable_by=[other.account])
    found = ended(other, other.copy(source, Encrypted=True, KmsKeyId="mine"))
    assert (found["State"], found["KmsKeyId"]) == ("completed", arn(other, "mine", AWAY))
    still.post("keys", key=key, state="disabled", usable_by=[other.account])
    assert ended(other, other.copy(source))["StateMessage"] == NO_KEY


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-sim-key-problem": "The key is disabled."}, ("error", "The key is disabled.")),
        ({"x-sim-key-checked": "true"}, ("completed", None)),
        ({}, ("error", NO_KEY)),
    ],
)
def test_believes_what_the_front_found_out_about_keys(
    still: World, headers: dict[str, str], expected: tuple[str, str | None]
) -> None:
    source = still.snapshot(still.volume())
    away = still.client("ec2", AWAY)
    away.meta.events.register("before-call.ec2.CopySnapshot", lambda params, **_: params["headers"].update(headers))
    asked = {"Encrypted": True, "KmsKeyId": arn(still, "key-1", REGION)}
    made = away.copy_snapshot(SourceRegion=REGION, SourceSnapshotId=source, **asked)
    found = ended(still, made["SnapshotId"])
    assert (found["State"], found.get("StateMessage")) == expected


def test_the_next_copy_of_a_snapshot_can_be_made_to_fail_or_stay(still: World) -> None:
    source = still.snapshot(still.volume())
    still.control("POST", "snapshots/fail", {"copy_of": source, "message": "lost", "after_seconds": 3}, region=AWAY)
    copy = still.copy(source)
    assert still.described(copy, AWAY)["State"] == "pending"
    still.advance(3)
    assert still.described(copy, AWAY)["StateMessage"] == "lost"
    still.control("POST", "snapshots/hold", {"copy_of": source}, region=AWAY)
    held = still.copy(source)
    assert ended(still, held)["State"] == "pending"
    still.control("POST", "snapshots/complete", {"snapshot_id": held}, region=AWAY)
    assert still.described(held, AWAY)["State"] == "completed"
    assert ended(still, still.copy(source))["State"] == "completed"


def test_a_copy_fails_when_its_source_is_deleted_before_the_end(still: World) -> None:
    other = still.neighbour()
    source = still.snapshot(still.volume())
    still.share(source, other.account)
    done = still.copy(source)
    still.advance(60)
    mine, theirs = still.copy(source), other.copy(source)
    still.ec2.delete_snapshot(SnapshotId=source)
    for world, copy in ((still, mine), (other, theirs)):
        found = world.described(copy, AWAY)
        assert (found["State"], source in found["StateMessage"]) == ("error", True)
    assert still.described(done, AWAY)["State"] == "completed"


def test_a_copy_appears_late_and_its_lost_reply_is_found_by_tag(still: World) -> None:
    source = still.snapshot(still.volume())
    still.settings(visibility_delay_seconds=30)
    still.post("faults", action="CopySnapshot", kind="lose_reply")
    with pytest.raises(Exception, match="closed"):
        still.copy(source, TagSpecifications=[tagged("snapshot", key="k")])
    away = still.client("ec2", AWAY)
    asked = {"OwnerIds": ["self"], "Filters": [{"Name": "tag:key", "Values": ["k"]}]}
    assert away.describe_snapshots(**asked)["Snapshots"] == []
    still.advance(30)
    assert len(away.describe_snapshots(**asked)["Snapshots"]) == 1
    call = next(call for call in still.calls() if call["action"] == "CopySnapshot")
    assert (call["region"], call["ids"]) == (AWAY, [source])
