"""The stack that the demo finds: its clients, its outputs, and the simulator behind it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config

from holdfast_demo.errors import DemoError

_NEEDED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "HOLDFAST_SIM_URL",
)


@dataclass(frozen=True)
class Outputs:
    """What the template's outputs name."""

    state_machine: str
    table: str
    manage_plan: str


class Stack:
    """The deployed local stack."""

    def __init__(self) -> None:
        """Read the environment, and ask the stack what was deployed."""
        missing = [name for name in _NEEDED if not os.environ.get(name)]
        if missing:
            raise DemoError(
                f"Not set: {', '.join(missing)}. Start a stack with `make local`, then `. .local/env`; "
                "or run `make demo`, which does everything."
            )
        self.region = os.environ["AWS_DEFAULT_REGION"]
        self.logs = f"{os.environ.get('HOLDFAST_STATE', '.local')}/logs"
        self._session = boto3.Session(region_name=self.region)
        self._endpoint = os.environ["AWS_ENDPOINT_URL"]
        self.account: str = self.client("sts").get_caller_identity()["Account"]
        self.simulator = Simulator(os.environ["HOLDFAST_SIM_URL"], self.account, self.region)
        self.outputs = self._outputs(os.environ.get("HOLDFAST_STACK", "holdfast"))

    def client(self, service: str) -> Any:
        """Give boto3's client of a service."""
        config = Config(retries={"total_max_attempts": 4, "mode": "standard"}, read_timeout=120)
        return self._session.client(service, endpoint_url=self._endpoint, config=config)

    def table(self) -> Any:
        """Give boto3's view of the catalog table."""
        return self._session.resource("dynamodb", endpoint_url=self._endpoint).Table(self.outputs.table)

    def _outputs(self, name: str) -> Outputs:
        stacks = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        found = {o["OutputKey"]: o["OutputValue"] for o in stacks[0].get("Outputs", [])}

        def output(part: str) -> str:
            for key, value in found.items():
                if part.lower() in key.lower():
                    return value
            raise DemoError(f"The stack {name} has no output named like {part}; it has {', '.join(found)}.")

        return Outputs(output("StateMachine"), output("Table"), output("ManagePlan"))


class Simulator:
    """One account's world behind the EC2 that AWS clients see."""

    def __init__(self, url: str, account: str, region: str) -> None:
        """Remember whose world it is."""
        self._url = url.rstrip("/")
        self._whose = {"account": account, "region": region}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, route: str, body: object = None, **query: object) -> Any:
        """Ask one of the simulator's own routes. Bytes are sent as they are, everything else as JSON."""
        raw = isinstance(body, bytes)
        data = body if raw or body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if raw else "application/json"
        request = urllib.request.Request(
            f"{self._url}/_sim/{route}?{urlencode({**self._whose, **query})}",
            data,  # type: ignore[arg-type]
            {"Content-Type": kind},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=120) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise DemoError(f"The EC2 simulator refused {method} {route}: {error.code} {said}") from error
        except OSError as error:
            raise DemoError(f"The EC2 simulator does not answer at {self._url}: {error}") from error
        return json.loads(content) if content else None

    def configure(self, **settings: object) -> None:
        """Turn some of its settings."""
        self.ask("POST", "settings", settings)

    def write(self, volume_id: str, offset: int, data: bytes) -> None:
        """Write to a volume, as its instance would."""
        self.ask("PUT", f"volumes/{volume_id}/content", data, offset=offset)

    def blocks(self, volume_id: str) -> dict[int, str]:
        """Give the SHA-256 of each 512 KiB block of a volume that holds data, as it is now."""
        digest = self.ask("GET", f"volumes/{volume_id}/digest")
        return {int(index): sha256 for index, sha256 in digest["blocks"]}
