"""The stack that the demo finds: its clients, its outputs, and the simulator behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from holdfast_demo.errors import DemoError
from holdfast_demo.simulator import Simulator, ask

_NEEDED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "HOLDFAST_SIM_URL",
    "HOLDFAST_SECOND_REGION",
    "HOLDFAST_VAULT_REGION",
    "HOLDFAST_VAULT_ACCOUNT",
    "HOLDFAST_EXTERNAL_ID",
)


@dataclass(frozen=True)
class Place:
    """A region of an account."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.region} of account {self.account}"


@dataclass(frozen=True)
class Outputs:
    """What the template's outputs name."""

    state_machine: str
    retention_machine: str
    restore_machine: str
    table: str
    manage_plan: str
    apply_retention: str
    seal_key: str


@dataclass(frozen=True)
class Vault:
    """A place for replicas, as its template's outputs tell of it."""

    place: Place
    key_arn: str
    bucket: str
    restore_machine: str
    restore_function: str
    role_arn: str | None = None
    external_id: str | None = None

    def replica(self) -> dict[str, Any]:
        """Say it as a plan does."""
        replica: dict[str, Any] = {"region": self.place.region, "kms_key_arn": self.key_arn}
        if self.role_arn:
            replica["account"] = {
                "account_id": self.place.account,
                "role_arn": self.role_arn,
                "external_id": self.external_id,
            }
        return replica


class Stack:
    """The deployed local stack."""

    def __init__(self) -> None:
        """Read the environment, and ask the stack what was deployed."""
        missing = [name for name in _NEEDED if not os.environ.get(name)]
        if missing:
            raise DemoError(
                f"Not set: {', '.join(missing)}. Run `make demo`, which starts a stack and deploys into it."
            )
        region = os.environ["AWS_DEFAULT_REGION"]
        self.logs = f"{os.environ.get('HOLDFAST_STATE', '.local')}/logs"
        self._session = boto3.Session(region_name=region)
        self.endpoint = os.environ["AWS_ENDPOINT_URL"]
        self._simulator_url = os.environ["HOLDFAST_SIM_URL"]
        self.home = Place(self.client("sts").get_caller_identity()["Account"], region)
        self.simulator = self.simulator_of(self.home)
        self.outputs = self._outputs(os.environ.get("HOLDFAST_STACK", "holdfast"))
        second = Place(self.home.account, os.environ["HOLDFAST_SECOND_REGION"])
        other = Place(os.environ["HOLDFAST_VAULT_ACCOUNT"], os.environ["HOLDFAST_VAULT_REGION"])
        self.vaults = [self._vault(second), self._vault(other)]

    def client(
        self,
        service: str,
        place: Place | None = None,
        endpoint: str | None = None,
        config: Config | None = None,
    ) -> Any:
        """Give boto3's client of a service, for another place as the root user of its account."""
        config = config or Config(retries={"total_max_attempts": 4, "mode": "standard"}, read_timeout=120)
        session = self._session
        if place is not None and place != self.home:
            key = place.account if place.account != self.home.account else None
            session = boto3.Session(key, key and "any", region_name=place.region)
        return session.client(service, endpoint_url=endpoint or self.endpoint, config=config)

    def table(self) -> Any:
        """Give boto3's view of the catalog table."""
        return self._session.resource("dynamodb", endpoint_url=self.endpoint).Table(self.outputs.table)

    def simulator_of(self, place: Place) -> Simulator:
        """Give the world behind the EC2 of a place."""
        return Simulator(self._simulator_url, place.account, place.region)

    def invoke(self, function: str, request: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function; what it refuses ends the demo."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            said = payload.get("errorMessage", payload) if isinstance(payload, dict) else payload
            raise DemoError(
                f"{function} refused to {request['action']}: {said}. The logs are in {self.logs}."
            )
        return payload

    @contextmanager
    def virtual_waits(self) -> Iterator[None]:
        """Let the state machines' waits move the simulator's clock instead of taking time."""
        url = f"{self.endpoint}/_holdfast/virtual-time"
        ask("POST", url, {"account": self.home.account, "on": True})
        try:
            yield
        finally:
            ask("POST", url, {"account": self.home.account, "on": False})

    def _outputs(self, name: str) -> Outputs:
        found = self._outputs_of(name, self.home)
        return Outputs(
            found["BackupStateMachineArn"],
            found["RetentionStateMachineArn"],
            found["RestoreStateMachineArn"],
            found["TableName"],
            found["ManagePlanFunctionName"],
            found["ApplyRetentionFunctionName"],
            found["SealKeyArn"],
        )

    def _vault(self, place: Place) -> Vault:
        found = self._outputs_of(os.environ.get("HOLDFAST_VAULT_STACK", "holdfast-vault"), place)
        role = found.get("VaultRoleArn") if place.account != self.home.account else None
        secret = os.environ["HOLDFAST_EXTERNAL_ID"] if role else None
        return Vault(
            place,
            found["VaultKeyArn"],
            found["CatalogBucketName"],
            found["RestoreStateMachineArn"],
            found["RestoreInstanceFunctionName"],
            role,
            secret,
        )

    def _outputs_of(self, name: str, place: Place) -> dict[str, str]:
        stacks = self.client("cloudformation", place).describe_stacks(StackName=name)["Stacks"]
        return _Found((o["OutputKey"], o["OutputValue"]) for o in stacks[0].get("Outputs", []))


class _Found(dict[str, str]):
    """A stack's outputs."""

    def __missing__(self, key: str) -> str:
        raise DemoError(f"The deployed stack has no output {key}; it has {', '.join(self)}.")
