"""One simulator for all tests, and the worlds in it: an account each, with clients and the control routes."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
ZONE = "us-east-1a"
AWAY = "eu-west-1"
IMAGE = "ami-0123456789abcdef0"
NOON = "2026-01-01T12:00:00Z"
BINARY = Path(os.environ.get("HOLDFAST_SIM_BINARY") or Path(__file__).parents[3] / "target/debug/ec2-sim")

_session = boto3.Session()


@contextmanager
def running() -> Iterator[str]:
    """Run a simulator on a free port; give its address."""
    command = [BINARY, "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("listening on "), f"{BINARY} did not start: {line!r}"
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()


@contextmanager
def refused(codes: str | tuple[str, ...], *words: str, status: int | tuple[int, ...] = 400) -> Iterator[None]:
    """Expect an error with this code, or one of these, whose message holds every one of the words.

    There are several codes, or statuses, where what AWS documents and what is seen of it differ.
    """
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    error = answer["Error"]
    assert error["Code"] in (codes if isinstance(codes, tuple) else (codes,)), error
    for word in words:
        assert word.lower() in error["Message"].lower(), error
    answered = answer["ResponseMetadata"]["HTTPStatusCode"]
    assert answered in (status if isinstance(status, tuple) else (status,)), answer["ResponseMetadata"]


@dataclass(frozen=True)
class World:
    """An account that only one test knows."""

    url: str
    account: str

    def client(self, service: str, region: str = REGION, attempts: int = 1) -> Any:
        """Give a client that asks once, or as often as told."""
        return _session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=self.account,
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    @cached_property
    def ec2(self) -> Any:
        """EC2 in the usual region."""
        return self.client("ec2")

    @cached_property
    def ebs(self) -> Any:
        """EBS direct in the usual region."""
        return self.client("ebs")

    # The control routes.

    def control(self, method: str, path: str, body: object = None, region: str = REGION, **query: object) -> bytes:
        """Ask one of the simulator's own routes; bytes go as they are, everything else as JSON."""
        asked = urllib.parse.urlencode({"account": self.account, "region": region, **query})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}?{asked}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def post(self, path: str, **body: object) -> Any:
        """Post a JSON object; give the answer."""
        answer = self.control("POST", path, body)
        return json.loads(answer) if answer else None

    def freeze(self, now: str = NOON) -> None:
        """Stop the clock."""
        self.post("clock", mode="frozen", now=now)

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.post("clock/advance", seconds=seconds)

    def settings(self, **settings: object) -> None:
        """Set some of the account's settings."""
        self.post("settings", **settings)

    def scene(self, instances: int = 1, volumes: int = 1, **more: object) -> list[str]:
        """Make instances at once; give their ids."""
        return self.post("scene", instances=instances, volumes_per_instance=volumes, **more)["instance_ids"]

    def write(self, volume_id: str, offset: int, data: bytes) -> None:
        """Write to a volume as its instance would."""
        self.control("PUT", f"volumes/{volume_id}/content", data, offset=offset)

    def read(self, volume_id: str, offset: int, length: int) -> bytes:
        """Read from a volume as its instance would."""
        return self.control("GET", f"volumes/{volume_id}/content", offset=offset, length=length)

    def calls(self, **which: int) -> list[dict[str, Any]]:
        """Read the log of calls."""
        return json.loads(self.control("GET", "calls", **which))["calls"]

    def summary(self) -> dict[str, Any]:
        """Count the calls."""
        return json.loads(self.control("GET", "calls/summary"))

    # What many tests need.

    def volume(self, size: int = 1, **more: object) -> str:
        """Create a volume; give its id."""
        return self.ec2.create_volume(AvailabilityZone=ZONE, Size=size, **more)["VolumeId"]

    def launch(self, **more: object) -> dict[str, Any]:
        """Run one instance; describe it."""
        asked = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **more}
        return self.instance(self.ec2.run_instances(**asked)["Instances"][0]["InstanceId"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        """Describe one instance."""
        found = self.ec2.describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]

    def snapshot(self, volume_id: str, **more: object) -> str:
        """Snapshot a volume and wait, on a frozen clock, until it has completed; give its id."""
        made = self.ec2.create_snapshot(VolumeId=volume_id, **more)["SnapshotId"]
        self.advance(60)
        return made

    def described(self, snapshot_id: str, region: str = REGION) -> dict[str, Any]:
        """Describe one snapshot."""
        return self.client("ec2", region).describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]

    # Copies, and the accounts beside this one.

    def neighbour(self) -> World:
        """Give another account that only this test knows, with a clock that stands still at the same moment."""
        other = World(self.url, str(int(self.account) + 10**10))
        other.freeze()
        return other

    def copy(self, snapshot_id: str, region: str = AWAY, source: str = REGION, **more: object) -> str:
        """Copy a snapshot into one of the account's regions; give the copy's id."""
        asked = {"SourceRegion": source, "SourceSnapshotId": snapshot_id, **more}
        return self.client("ec2", region).copy_snapshot(**asked)["SnapshotId"]

    def share(self, snapshot_id: str, *accounts: str) -> None:
        """Share a snapshot with accounts."""
        self.ec2.modify_snapshot_attribute(
            SnapshotId=snapshot_id,
            Attribute="createVolumePermission",
            OperationType="add",
            UserIds=list(accounts),
        )

    def behind(self, snapshot_id: str, region: str = REGION) -> dict[str, Any]:
        """Tell what the simulator itself knows of a snapshot, deleted or not."""
        every = json.loads(self.control("GET", "snapshots", region=region))
        return next(one for one in every if one["snapshot_id"] == snapshot_id)


def tags(**pairs: str) -> list[dict[str, str]]:
    """Write tags as AWS does."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def tagged(kind: str, **pairs: str) -> dict[str, Any]:
    """Write one tag specification."""
    return {"ResourceType": kind, "Tags": tags(**pairs)}


def read_tags(found: list[dict[str, str]]) -> dict[str, str]:
    """Read tags as a dictionary."""
    return {tag["Key"]: tag["Value"] for tag in found}


def by_device(instance: dict[str, Any]) -> dict[str, str]:
    """Give the volume at each device of an instance."""
    return {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]}


def root_of(instance: dict[str, Any]) -> str:
    """Give the root volume of an instance."""
    return by_device(instance)[instance["RootDeviceName"]]
