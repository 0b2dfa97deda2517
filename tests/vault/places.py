"""One account in one region, as its root sees it and as the simulator knows it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config

# How long anything may take. It is generous: a test must not fail for a slow machine.
PATIENCE = 180.0


@dataclass(frozen=True)
class Credentials:
    """An access key, and what goes with it."""

    key: str
    secret: str = "test"
    token: str | None = None


@dataclass(frozen=True)
class Place:
    """One account in one region."""

    account: str
    region: str

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """Give a client that asks once: root's, or one with other credentials."""
        who = credentials or Credentials(self.account)
        return boto3.client(
            service,
            endpoint_url=os.environ["AWS_ENDPOINT_URL"],
            region_name=self.region,
            aws_access_key_id=who.key,
            aws_secret_access_key=who.secret,
            aws_session_token=who.token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, s3={"addressing_style": "path"}),
        )

    def simulator(self, method: str, route: str, body: object = None, **query: object) -> Any:
        """Ask one of the simulator's own routes about this place. Bytes are sent as they are."""
        asked = urlencode({"account": self.account, "region": self.region, **query})
        return ask(method, f"{os.environ['HOLDFAST_SIM_URL']}/_sim/{route}?{asked}", body)

    def snapshots_of(self, recovery_point: str) -> list[dict[str, Any]]:
        """Give every snapshot that carries the tag of a recovery point and is not deleted."""
        query = {"tag": "holdfast:recovery-point", "value": recovery_point}
        return [found for found in self.simulator("GET", "snapshots", **query) if not found["deleted"]]

    def snapshot(self, snapshot_id: str) -> dict[str, Any]:
        """Give one snapshot, also one that was deleted."""
        (found,) = self.simulator("GET", "snapshots", snapshot_id=snapshot_id)
        return found

    def snapshot_blocks(self, snapshot_id: str) -> dict[int, str]:
        """Read a snapshot through EBS direct, as the account's root: the SHA-256 of each of its blocks."""
        ebs, blocks = self.client("ebs"), {}
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
        while True:
            for block in page["Blocks"]:
                index, token = block["BlockIndex"], block["BlockToken"]
                got = ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
                digest = hashlib.sha256(got["BlockData"].read())
                assert base64.b64encode(digest.digest()).decode() == got["Checksum"]
                blocks[index] = digest.hexdigest()
            if not (token := page.get("NextToken")):
                return blocks
            page = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, NextToken=token)

    def volume_blocks(self, volume_id: str) -> dict[int, str]:
        """Give the SHA-256 of each block of a volume that holds data, as it is now."""
        digest = self.simulator("GET", f"volumes/{volume_id}/digest")
        return {int(index): sha256 for index, sha256 in digest["blocks"]}


def ask(method: str, url: str, body: object = None) -> Any:
    """Ask a route of our own. Bytes are sent as they are, everything else as JSON."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # type: ignore[arg-type]
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()}") from error
    return json.loads(content) if content else None


def decisions(account: str) -> list[dict[str, Any]]:
    """Give what IAM decided about an account's roles so far."""
    route = f"{os.environ['AWS_ENDPOINT_URL']}/_holdfast/decisions?account={account}"
    return ask("GET", route)["decisions"]


def until(what: str, attempt: Callable[[], Any]) -> Any:
    """Try until the answer is a true one, and give it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := attempt():
            return found
        time.sleep(0.25)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")
