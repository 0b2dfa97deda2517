"""A stack of its own for the tests, on free ports, with the stand-in for the simulator."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from holdfast_local import stack
from holdfast_local.settings import REGION, Settings, read_settings

FAKE_SIMULATOR = Path(__file__).parent / "fake_simulator.py"
_accounts = itertools.count(100000000001)


def settings_in(folder: Path, simulator: Path = FAKE_SIMULATOR) -> Settings:
    """Give settings for one more stack, which lives in `folder`."""
    return Settings(state=folder, port=0, simulator_port=0, simulator=simulator, functions=folder / "lambda")


@dataclass(frozen=True)
class Credentials:
    """An access key, and what goes with it."""

    key: str
    secret: str = "test"
    token: str | None = None


@dataclass(frozen=True)
class Account:
    """An account that only one test knows, seen by its root user."""

    stack: stack.Stack
    id: str

    def client(self, service: str, credentials: Credentials | None = None, region: str = REGION) -> Any:
        """Give a client that asks once."""
        who = credentials or Credentials(self.id)
        return boto3.client(
            service,
            endpoint_url=self.stack.endpoint,
            region_name=region,
            aws_access_key_id=who.key,
            aws_secret_access_key=who.secret,
            aws_session_token=who.token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    @property
    def root(self) -> str:
        """The ARN of the account's root, which stands for all of the account in policies."""
        return f"arn:aws:iam::{self.id}:root"

    def role(
        self,
        name: str,
        *statements: dict[str, Any],
        service: str = "lambda.amazonaws.com",
        trust: dict[str, Any] | None = None,
    ) -> str:
        """Make a role and give its ARN. Its service and the account's root may assume it, or whom `trust` says."""
        own = [{"Effect": "Allow", "Principal": p, "Action": "sts:AssumeRole"} for p in self._own_principals(service)]
        iam = self.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust] if trust else own))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="least", PolicyDocument=document(list(statements)))
        return made["Role"]["Arn"]

    def _own_principals(self, service: str) -> list[dict[str, str]]:
        return [{"AWS": self.root}, {"Service": service}]

    def assume(
        self, role_arn: str, credentials: Credentials | None = None, region: str = REGION, **more: Any
    ) -> Credentials:
        """Become a role."""
        sts = self.client("sts", credentials, region)
        made = sts.assume_role(RoleArn=role_arn, RoleSessionName="test", **more)["Credentials"]
        return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    def key(self, *statements: dict[str, Any], region: str = REGION, **more: Any) -> str:
        """Make a KMS key whose policy is these statements, or else leaves it all to IAM; give its ARN."""
        by_iam = {"Effect": "Allow", "Principal": {"AWS": self.root}, "Action": "kms:*", "Resource": "*"}
        policy = document(list(statements) or [by_iam])
        return self.client("kms", region=region).create_key(Policy=policy, **more)["KeyMetadata"]["Arn"]

    def snapshot(self, snapshot_id: str, region: str = REGION, **fields: Any) -> None:
        """Let the stand-in for the simulator have a snapshot of this account."""
        query = f"id={snapshot_id}&account={self.id}&region={region}"
        self.ask("PUT", f"/_sim/snapshots?{query}", fields, base=self.stack.simulator)

    def resource(self, resource_id: str, region: str = REGION, **tags: str) -> None:
        """Let the stand-in for the simulator have some other resource of this account, with tags."""
        query = f"resource={resource_id}&account={self.id}&region={region}"
        self.ask("PUT", f"/_sim/tags?{query}", tags, base=self.stack.simulator)

    def described(self, action: str, inner: str) -> None:
        """Let the stand-in for the simulator answer a describing call of this account."""
        query = f"account={self.id}&action={action}"
        answer = f"<{action}Response>{inner}</{action}Response>"
        self.ask("PUT", f"/_sim/described?{query}", answer, base=self.stack.simulator)

    def decisions(self) -> dict[tuple[str, str, bool], int]:
        """Give what IAM decided in this account: how often by role, action and outcome."""
        found = self.ask("GET", f"/_holdfast/decisions?account={self.id}")["decisions"]
        return {(d["principal"], d["action"], d["allowed"]): d["count"] for d in found}

    def ask(self, method: str, path: str, body: object = None, base: str | None = None) -> Any:
        """Ask one of our own routes; those of the simulator have another base."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request((base or self.stack.endpoint) + path, data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def allow(action: object, resource: object = "*", **condition: object) -> dict[str, Any]:
    """Give a statement."""
    found = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **found}


def refusal(call: Callable[..., object], **arguments: object) -> str:
    """Give the words in which AWS refuses a call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    codes = ("UnauthorizedOperation", "AccessDeniedException", "AccessDenied")
    assert refused.value.response["Error"]["Code"] in codes
    return refused.value.response["Error"]["Message"]


def document(statements: list[dict[str, Any]]) -> str:
    """Give the policy that consists of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """Run one stack for all tests that do not end it."""
    settings = settings_in(tmp_path_factory.mktemp("stack"))
    yield stack.up(settings, print)
    stack.down(settings)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """Run a stack with the real simulator."""
    settings = settings_in(tmp_path_factory.mktemp("real"), read_settings().simulator)
    yield stack.up(settings, print)
    stack.down(settings)


@pytest.fixture
def account(local: stack.Stack) -> Account:
    """Give an account that no other test uses."""
    return Account(local, str(next(_accounts)))


@pytest.fixture
def vault(local: stack.Stack) -> Account:
    """Give one more account, for what takes two."""
    return Account(local, str(next(_accounts)))


@pytest.fixture
def execution(account: Account) -> Callable[..., dict[str, Any]]:
    """Give a function that runs a JSONata state machine to its end and describes the execution."""

    def run(states: dict[str, Any], role: str = "", **machine: Any) -> dict[str, Any]:
        return await_end(account, start(account, states, role, **machine))

    return run


def start(account: Account, states: dict[str, Any], role: str = "", **machine: Any) -> str:
    """Start a state machine whose first state is the first of `states`."""
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **machine}
    client = account.client("stepfunctions")
    made = client.create_state_machine(
        name=f"m{next(_accounts)}",
        definition=json.dumps(definition),
        roleArn=role or account.role(f"r{next(_accounts)}"),
    )
    return client.start_execution(stateMachineArn=made["stateMachineArn"], input="{}")["executionArn"]


def await_end(account: Account, execution_arn: str) -> dict[str, Any]:
    """Describe an execution once it has ended."""
    client = account.client("stepfunctions")
    return eventually(lambda: (d := client.describe_execution(executionArn=execution_arn))["status"] != "RUNNING" and d)


def eventually(ask: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask until the answer is a true one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
