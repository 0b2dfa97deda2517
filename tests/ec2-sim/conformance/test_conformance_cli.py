"""The AWS CLI against the simulator: a scene that it sets, backs up and looks at."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .simulator import IMAGE, REGION, ZONE, World, read_tags


@pytest.fixture
def aws(still: World, tmp_path: Path) -> Callable[..., Any]:
    """Give the CLI as a function that returns what it printed; no configuration of the machine reaches it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {
        "AWS_ACCESS_KEY_ID": still.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": still.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments: str, fails: bool = False) -> Any:
        command = [sys.executable, "-m", "awscli", *arguments, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else json.loads(done.stdout or "null")

    return run


def test_sets_a_scene_backs_it_up_and_finds_it_again(still: World, aws: Callable[..., Any]) -> None:
    launched = aws(
        *("ec2", "run-instances", "--image-id", IMAGE, "--count", "2", "--instance-type", "t3.small"),
        *("--placement", f"AvailabilityZone={ZONE}", "--user-data", "#!/bin/sh\necho hello"),
        *("--tag-specifications", "ResourceType=instance,Tags=[{Key=role,Value=web},{Key=stage,Value=prod}]"),
        *("--block-device-mappings", "DeviceName=/dev/sdf,Ebs={VolumeSize=2,VolumeType=gp3,DeleteOnTermination=true}"),
    )
    first, second = (instance["InstanceId"] for instance in launched["Instances"])
    aws("ec2", "wait", "instance-running", "--instance-ids", first, second)

    volume = aws("ec2", "create-volume", "--availability-zone", ZONE, "--size", "1", "--volume-type", "gp3")["VolumeId"]
    aws("ec2", "wait", "volume-available", "--volume-ids", volume)
    aws("ec2", "attach-volume", "--volume-id", volume, "--instance-id", first, "--device", "/dev/sdg")
    aws("ec2", "create-tags", "--resources", volume, "--tags", "Key=Name,Value=a name with spaces")
    still.write(volume, 0, b"data")

    made = aws(
        *("ec2", "create-snapshots", "--instance-specification", f"InstanceId={first},ExcludeBootVolume=true"),
        *("--copy-tags-from-source", "volume", "--description", "nightly backup"),
        *("--tag-specifications", "ResourceType=snapshot,Tags=[{Key=job,Value=1}]"),
    )["Snapshots"]
    assert len(made) == 2
    assert len({snapshot["StartTime"] for snapshot in made}) == 1
    (taken,) = (snapshot for snapshot in made if snapshot["VolumeId"] == volume)
    assert read_tags(taken["Tags"]) == {"Name": "a name with spaces", "job": "1"}
    still.advance(60)
    aws("ec2", "wait", "snapshot-completed", "--snapshot-ids", *(snapshot["SnapshotId"] for snapshot in made))

    found = aws(
        *("ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:job,Values=1"),
        *("Name=status,Values=completed", "--query", "Snapshots[].[SnapshotId,Progress,Description]"),
    )
    assert sorted(found) == sorted([one["SnapshotId"], "100%", "nightly backup"] for one in made)
    found = aws(
        *("ec2", "describe-instances", "--filters", "Name=tag:role,Values=w*,none"),
        *("Name=block-device-mapping.volume-id,Values=" + volume, "--query", "Reservations[].Instances[].InstanceId"),
    )
    assert found == [first]

    blocks = aws("ebs", "list-snapshot-blocks", "--snapshot-id", taken["SnapshotId"])
    assert (blocks["BlockSize"], [block["BlockIndex"] for block in blocks["Blocks"]]) == (524_288, [0])


def test_reads_and_writes_blocks(still: World, aws: Callable[..., Any], tmp_path: Path) -> None:
    data = b"holdfast" * 65_536
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    snapshot = aws("ebs", "start-snapshot", "--volume-size", "1", "--tags", "Key=job,Value=1")["SnapshotId"]
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    put = aws(
        *("ebs", "put-snapshot-block", "--snapshot-id", snapshot, "--block-index", "5", "--data-length", "524288"),
        *("--block-data", str(source), "--checksum", digest, "--checksum-algorithm", "SHA256"),
    )
    assert put["Checksum"] == digest
    aws("ebs", "complete-snapshot", "--snapshot-id", snapshot, "--changed-blocks-count", "1")
    still.advance(60)
    aws("ec2", "wait", "snapshot-completed", "--snapshot-ids", snapshot)
    (block,) = aws("ebs", "list-snapshot-blocks", "--snapshot-id", snapshot)["Blocks"]
    where = ("--snapshot-id", snapshot, "--block-index", "5", "--block-token", block["BlockToken"])
    assert aws("ebs", "get-snapshot-block", *where, str(target))["Checksum"] == digest
    assert target.read_bytes() == data
    compared = ("--first-snapshot-id", snapshot, "--second-snapshot-id", snapshot)
    assert aws("ebs", "list-changed-blocks", *compared)["ChangedBlocks"] == []


def test_pages_by_itself(still: World, aws: Callable[..., Any]) -> None:
    still.post("scene/snapshots", count=12, tags={"job": "1"})
    query = ("--owner-ids", "self", "--query", "Snapshots[].SnapshotId")
    found = aws("ec2", "describe-snapshots", "--page-size", "5", *query)
    assert (len(found), len(set(found))) == (12, 12)
    assert [call["action"] for call in still.calls()] == ["DescribeSnapshots"] * 3
    assert len(aws("ec2", "describe-snapshots", "--max-items", "7", *query)) == 7


def test_tells_errors_as_aws_words_them(aws: Callable[..., Any]) -> None:
    for arguments, words in [
        (
            ("describe-snapshots", "--snapshot-ids", "snap-0123456789abcdef0"),
            "(InvalidSnapshot.NotFound) when calling the DescribeSnapshots operation: "
            "The snapshot 'snap-0123456789abcdef0' does not exist.",
        ),
        (
            ("describe-instances", "--instance-ids", "i-0123456789abcdef0"),
            "(InvalidInstanceID.NotFound) when calling the DescribeInstances operation: "
            "The instance ID 'i-0123456789abcdef0' does not exist",
        ),
        (
            ("create-snapshot", "--volume-id", "vol-0123456789abcdef0", "--dry-run"),
            "when calling the CreateSnapshot operation",
        ),
    ]:
        assert words in aws("ec2", *arguments, fails=True)
