"""A role of one account becomes a role of another, and is judged there."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from conftest import Account, Credentials, allow, document

EXTERNAL_ID = "between-us"
EVERYWHERE = ["us-east-1", "eu-central-1", "ap-southeast-2"]


def vault_role(account: Account, vault: Account, *statements: dict) -> str:
    """Make a role in the vault that a role of the source account may assume with the external id."""
    trust = {"Effect": "Allow", "Principal": {"AWS": account.root}, "Action": "sts:AssumeRole"}
    condition = {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    return vault.role("copies", *statements, trust={**trust, "Condition": condition})


def enter(account: Account, vault: Account, *statements: dict) -> Credentials:
    """Become the vault's role as a role of the source account."""
    role = vault_role(account, vault, *statements)
    ours = account.assume(account.role("copy-region", allow("sts:AssumeRole", role)))
    return account.assume(role, ours, ExternalId=EXTERNAL_ID)


def refused(call, **arguments: object) -> str:
    """Give the code of a refusal."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_a_role_enters_another_account_only_with_the_external_id(account: Account, vault: Account) -> None:
    role = vault_role(account, vault)
    sts = account.client("sts", account.assume(account.role("copy-region", allow("sts:AssumeRole", role))))
    as_vault = {"RoleArn": role, "RoleSessionName": "copy"}
    assert sts.assume_role(**as_vault, ExternalId=EXTERNAL_ID)["AssumedRoleUser"]["Arn"].split(":")[4] == vault.id
    assert refused(sts.assume_role, **as_vault, ExternalId="another") == "AccessDenied"
    assert refused(sts.assume_role, **as_vault) == "AccessDenied"


def test_a_role_enters_another_account_only_if_its_own_policy_names_the_role(account: Account, vault: Account) -> None:
    role = vault_role(account, vault)
    other = account.assume(account.role("other", allow("sts:AssumeRole", role.replace("copies", "others"))))
    as_vault = {"RoleArn": role, "RoleSessionName": "copy", "ExternalId": EXTERNAL_ID}
    assert refused(account.client("sts", other).assume_role, **as_vault) == "AccessDenied"


def test_a_third_account_does_not_enter_with_the_external_id(account: Account, vault: Account) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::333344445555:root"}, "Action": "sts:AssumeRole"}
    role = vault.role("copies", trust=trust)
    ours = account.assume(account.role("copy-region", allow("sts:AssumeRole")))
    as_vault = {"RoleArn": role, "RoleSessionName": "copy", "ExternalId": EXTERNAL_ID}
    assert refused(account.client("sts", ours).assume_role, **as_vault) == "AccessDenied"


@pytest.mark.parametrize("region", EVERYWHERE)
def test_sts_answers_in_every_region(account: Account, vault: Account, region: str) -> None:
    role = vault_role(account, vault, allow("ec2:DescribeSnapshots"))
    ours = account.assume(account.role("copy-region", allow("sts:AssumeRole", role)), region=region)
    theirs = account.assume(role, ours, region, ExternalId=EXTERNAL_ID)
    assert account.client("sts", theirs, region).get_caller_identity()["Account"] == vault.id


@pytest.mark.parametrize("region", EVERYWHERE)
def test_what_the_session_calls_is_in_the_vault(account: Account, vault: Account, region: str) -> None:
    key, bucket = vault.key(region=region), f"vault-{vault.id}"
    vault.client("s3", region="us-east-1").create_bucket(Bucket=bucket)
    session = enter(
        account,
        vault,
        allow("ec2:DescribeVolumes"),
        allow("kms:DescribeKey", key),
        allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"),
    )
    assert account.client("kms", session, region).describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    account.client("s3", session, region).put_object(Bucket=bucket, Key="manifest", Body=b"{}", IfNoneMatch="*")
    client, bodies = account.client("ec2", session, region), []
    client.meta.events.register("after-call.ec2", lambda http_response, **_: bodies.append(http_response.text))
    client.describe_volumes()
    assert f"<x-sim-account>{vault.id}<" in bodies[0]
    assert f"<x-sim-region>{region}<" in bodies[0]
    assert refused(client.describe_snapshots, OwnerIds=["self"]) == "UnauthorizedOperation"
    assert refused(account.client("kms", session, region).get_key_policy, KeyId=key) == "AccessDeniedException"
    assert refused(account.client("s3", session, region).get_object, Bucket=bucket, Key="manifest") == "AccessDenied"
    assert vault.decisions()[("copies", "kms:DescribeKey", True)] == 1


def test_a_condition_on_the_principal_names_a_role_and_not_its_session(account: Account) -> None:
    vip = f"arn:aws:iam::{account.id}:role/service/vip"
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": account.root}, "Action": "sts:AssumeRole"}
    only = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": vip}},
    }
    sessions = []
    for path, name in (("/service/", "vip"), ("/", "other")):
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document([trust]))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document([allow("s3:*"), only]))
        sessions.append(account.client("s3", account.assume(role)))
    sessions[0].list_buckets()
    assert refused(sessions[1].list_buckets) == "AccessDenied"
