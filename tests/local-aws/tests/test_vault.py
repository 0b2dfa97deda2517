"""A template deploys into another account and another region, and everything it makes is there and works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, Credentials, allow, eventually, settings_in
from holdfast_local import stack
from holdfast_local.cli import main
from holdfast_local.deploy import Template, deploy
from holdfast_local.settings import Settings
from test_deploy import STAND_IN

REGION, EXTERNAL_ID = "eu-central-1", "between-us"
TEMPLATE = Template("vault", Path(__file__).parent / "vault.yaml", "holdfast-vault", named_roles=True)


@dataclass(frozen=True)
class Vault:
    """The deployed template, and the account that may copy into it."""

    settings: Settings
    account: Account
    source: Account
    parameters: dict[str, str]
    outputs: dict[str, str]

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """Give a client in the vault's region."""
        return self.account.client(service, credentials, REGION)

    def session(self) -> Credentials:
        """Become the vault's role as a role of the source account."""
        role = self.outputs["CopyRoleArn"]
        trusted = self.source.client("iam").list_roles()["Roles"] or [
            {"Arn": self.source.role("copier", allow("sts:AssumeRole", role))}
        ]
        return self.source.assume(role, self.source.assume(trusted[0]["Arn"]), ExternalId=EXTERNAL_ID)

    def calls(self) -> list[dict[str, Any]]:
        """Give the function's calls so far."""
        path = self.settings.state / "tmp" / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def vault(local: stack.Stack) -> Iterator[Vault]:
    """Deploy the template with a stand-in for its function."""
    settings = settings_in(Path(local.state))
    bootstrap = settings.functions / "apply-retention" / "bootstrap"
    bootstrap.parent.mkdir(parents=True)
    bootstrap.write_text(STAND_IN.replace("FUNCTION", "apply-retention"))
    # A moment that has passed, in the clock of Tokyo: the schedule is due as soon as it is there.
    moment = datetime.now(timezone.utc) + timedelta(hours=9)
    account, source = Account(local, "222233334444"), Account(local, "111122223333")
    parameters = {
        "SourceAccountId": source.id,
        "ExternalId": EXTERNAL_ID,
        "Moment": moment.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    outputs = deploy(settings, local, print, account.id, REGION, TEMPLATE, parameters)
    yield Vault(settings, account, source, parameters, outputs)


def test_the_outputs_are_written_down_with_the_template_the_account_and_the_region(vault: Vault) -> None:
    written = json.loads((vault.settings.state / "outputs-vault-222233334444-eu-central-1.json").read_text())
    assert written == vault.outputs
    assert vault.outputs["KeyArn"].startswith("arn:aws:kms:eu-central-1:222233334444:key/")


def test_a_parameter_that_the_template_does_not_have_is_named(vault: Vault) -> None:
    with pytest.raises(stack.StackError, match="has no parameter ExternalID"):
        deploy(vault.settings, vault.account.stack, print, None, REGION, TEMPLATE, {"ExternalID": "x"})


def test_a_parameter_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["deploy", "--template", "vault", "--parameter", "ExternalId"])
    assert "ExternalId: not NAME=VALUE" in capsys.readouterr().err


def test_the_function_lives_in_the_vaults_account_and_region(vault: Vault) -> None:
    name = vault.outputs["FunctionName"]
    vault.client("lambda").invoke(FunctionName=name, Payload=b'{"by": "hand"}')
    (call,) = [call for call in vault.calls() if call["event"] == {"by": "hand"}]
    variables = call["variables"]
    assert variables["HOLDFAST_BUCKET"] == vault.outputs["BucketName"]
    assert (variables["AWS_REGION"], variables["AWS_DEFAULT_REGION"]) == (REGION, REGION)
    credentials = Credentials(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], variables["AWS_SESSION_TOKEN"]
    )
    assert vault.client("sts", credentials).get_caller_identity()["Account"] == vault.account.id


def test_a_schedule_fires_in_the_vaults_region_and_in_its_own_time_zone(vault: Vault) -> None:
    moment = datetime.fromisoformat(vault.parameters["Moment"]) - timedelta(hours=9)
    expected = {"scheduled_time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
    eventually(lambda: [call for call in vault.calls() if call["event"] == expected])
    decided = {
        (action, allowed) for _, action, allowed in vault.account.decisions() if action == "lambda:InvokeFunction"
    }
    assert decided == {("lambda:InvokeFunction", True), ("lambda:InvokeFunction", False)}
    assert {"refused": True} not in [call["event"] for call in vault.calls()]


def test_the_schedule_of_an_event_is_there(vault: Vault) -> None:
    expressions = {
        vault.client("scheduler").get_schedule(Name=s["Name"])["ScheduleExpression"]
        for s in vault.client("scheduler").list_schedules()["Schedules"]
    }
    assert "rate(1 day)" in expressions


def test_the_key_has_its_policy_and_its_alias(vault: Vault) -> None:
    kms = vault.client("kms", vault.session())
    assert kms.describe_key(KeyId="alias/holdfast-vault")["KeyMetadata"]["Arn"] == vault.outputs["KeyArn"]
    with pytest.raises(ClientError, match="AccessDenied"):
        kms.get_key_policy(KeyId=vault.outputs["KeyArn"])


def test_the_bucket_has_its_settings_and_its_policy(vault: Vault) -> None:
    s3, bucket = vault.client("s3"), {"Bucket": vault.outputs["BucketName"]}
    assert s3.get_bucket_location(**bucket)["LocationConstraint"] == REGION
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())
    ownership = s3.get_bucket_ownership_controls(**bucket)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == vault.outputs["KeyArn"]
    (rule,) = s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    session = vault.client("s3", vault.session())
    session.put_object(**bucket, Key="manifest", Body=b"{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        session.delete_object(**bucket, Key="manifest")


def test_the_logs_are_kept_as_long_as_the_template_says(vault: Vault) -> None:
    (group,) = vault.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/holdfast-vault")["logGroups"]
    assert group["retentionInDays"] == 90


def test_a_second_deployment_does_nothing_unless_a_parameter_changed(vault: Vault) -> None:
    def again(**changed: str) -> list[str]:
        said: list[str] = []
        parameters = {**vault.parameters, **changed}
        deploy(vault.settings, vault.account.stack, said.append, vault.account.id, REGION, TEMPLATE, parameters)
        return said

    assert again() == ["Deployed already, and nothing has changed since."]
    # The last test here: what the others saw is over.
    assert again(ExternalId="another")[0].startswith("Deploying holdfast-vault")
    with pytest.raises(ClientError, match="AccessDenied"):
        vault.session()
