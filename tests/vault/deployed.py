"""The deployed stack and its two vaults, as an operator sees them: by their outputs, through AWS's own interfaces."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Attr, Key

from places import Place, ask, until

EXTERNAL_ID = "a-test-of-holdfast"  # as tests/run deploys the vault with it
_numbers = itertools.count()
_QUICK = {
    "snapshot_base_seconds": 1,
    "copy_base_seconds": 1,
    "archive_seconds": 1,
    "per_volume_interval_seconds": 0,
}


class RefusedError(Exception):
    """A function's error."""


@dataclass(frozen=True)
class Vault:
    """A place for replicas, and what was deployed there."""

    place: Place
    source: Place
    outputs: dict[str, str]

    @property
    def bucket(self) -> str:
        """The catalog's bucket."""
        return self.outputs["CatalogBucketName"]

    @property
    def key(self) -> str:
        """The ARN of the copies' key."""
        return self.outputs["VaultKeyArn"]

    @property
    def role(self) -> str:
        """The ARN of the role that the source assumes."""
        return self.outputs["VaultRoleArn"]

    def replica(self, **more: Any) -> dict[str, Any]:
        """Give the replica as a plan states it."""
        found = {"region": self.place.region, "kms_key_arn": self.key, **more}
        if self.place.account != self.source.account:
            account = {"account_id": self.place.account, "role_arn": self.role, "external_id": EXTERNAL_ID}
            found["account"] = account
        return found

    def keys(self, prefix: str) -> list[str]:
        """List the catalog's objects."""
        pages = self.place.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> dict[str, Any]:
        """Read a record of the catalog, as the vault's root."""
        return json.load(self.place.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"])

    def retention(self, **request: Any) -> dict[str, Any]:
        """Ask the vault's own apply-retention."""
        return invoke(self.place, self.outputs["ApplyRetentionFunctionName"], request)

    def run_retention(self) -> None:
        """Run retention over all replicas."""
        run_retention(self.place, self.outputs)


class Deployed:
    """Everything that was deployed."""

    def __init__(self) -> None:
        """Read the outputs that the deployments wrote."""
        self.source = Place("000000000000", "us-east-1")
        self.outputs = _outputs("outputs.json")
        self.near = self._vault(Place(self.source.account, "eu-west-1"))
        self.far = self._vault(Place("222233334444", "eu-central-1"))

    def _vault(self, place: Place) -> Vault:
        return Vault(place, self.source, _outputs(f"outputs-vault-{place.account}-{place.region}.json"))

    @contextmanager
    def made_quick(self) -> Iterator[None]:
        """Let everything be quick and without faults, and waits be short as long as this lasts."""
        for place in (self.source, self.far.place):
            place.simulator("DELETE", "faults")
            place.simulator("POST", "settings", _QUICK)
        shorten_waits(0.05)
        yield
        shorten_waits(1)

    @cached_property
    def functions(self) -> list[str]:
        """The names of the source's functions."""
        pages = self.source.client("lambda").get_paginator("list_functions").paginate()
        return [found["FunctionName"] for page in pages for found in page["Functions"]]

    def function(self, part: str) -> str:
        """Give the name of the function with `part` in its name."""
        (name,) = [name for name in self.functions if name.startswith(f"holdfast-{part}Function")]
        return name

    def manage_plan(self, **request: Any) -> dict[str, Any]:
        """Ask manage-plan."""
        return invoke(self.source, self.outputs["ManagePlanFunctionName"], request)

    def retention(self, **request: Any) -> dict[str, Any]:
        """Ask the source's own apply-retention."""
        return invoke(self.source, self.outputs["ApplyRetentionFunctionName"], request)

    def run_retention(self) -> None:
        """Run retention over all plans."""
        run_retention(self.source, self.outputs)

    def start(self, plan_id: str) -> str:
        """Start a backup; give the execution."""
        return start(self.source, self.outputs["BackupStateMachineArn"], {"plan_id": plan_id})

    def back_up(self, plan_id: str) -> dict[str, Any]:
        """Take a recovery point with its replicas; give what the execution put out."""
        status, said = end_of(self.source, self.start(plan_id))
        assert status == "SUCCEEDED", said
        return json.loads(said)

    @property
    def table(self) -> Any:
        """Give boto3's view of the catalog table, as root."""
        source = self.source
        session = boto3.Session(source.account, "test", region_name=source.region)
        return session.resource("dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).Table(
            self.outputs["TableName"]
        )

    def copy_jobs(self, recovery_point: str) -> dict[str, dict[str, Any]]:
        """Read the copy jobs of a recovery point, by the region they copy to."""
        query = Key("pk").eq(recovery_point) & Key("sk").begins_with("REPLICA#")
        found = self.table.query(KeyConditionExpression=query)["Items"]
        return {item["destination"]["region"]: item for item in found}

    def jobs_of(self, plan_id: str) -> list[dict[str, Any]]:
        """Read the jobs of a plan."""
        return self.table.scan(FilterExpression=Attr("sk").eq("JOB") & Attr("plan_id").eq(plan_id))["Items"]


def _outputs(name: str) -> dict[str, str]:
    return json.loads((Path(os.environ["HOLDFAST_STATE"]) / name).read_text())


def shorten_waits(scale: float) -> None:
    """Shorten every wait of the state machines; what they ask for is asked for more often then."""
    route = f"{os.environ['AWS_ENDPOINT_URL']}/_ministack/config"
    ask("POST", route, {"stepfunctions._SFN_WAIT_SCALE": scale})


def unique(name: str) -> str:
    """Give a name that no other test and no earlier run uses."""
    return f"{name}-{os.getpid()}-{int(time.time())}-{next(_numbers)}"


def invoke(place: Place, function: str, request: dict[str, Any]) -> dict[str, Any]:
    """Invoke a function and give its answer.

    Raises RefusedError when the function fails.
    """
    answer = place.client("lambda").invoke(FunctionName=function, Payload=json.dumps(request))
    said = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise RefusedError(f"{said['errorType']}: {said['errorMessage']}")
    return said


def start(place: Place, machine: str, document: dict[str, Any]) -> str:
    """Start an execution."""
    started = place.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(document))
    return started["executionArn"]


def end_of(place: Place, execution: str) -> tuple[str, str]:
    """Wait for an execution's end; give its status, and its output or its cause."""
    client = place.client("stepfunctions")

    def described() -> dict[str, Any] | None:
        found = client.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found = until(f"the end of {execution}", described)
    return found["status"], found.get("output") or found.get("cause") or ""


def run_retention(place: Place, outputs: dict[str, str]) -> None:
    """Run the state machine of retention to its end."""
    status, said = end_of(place, start(place, outputs["RetentionStateMachineArn"], {}))
    assert status == "SUCCEEDED", said
