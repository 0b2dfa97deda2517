"""KMS keys where EC2 uses them: what copying and archiving need of them is asked, and an alias becomes its key.

EC2 accepts a copy whatever its keys; one that may not be used makes the copy end in `error` later. Who copies needs
both keys, the copy's and the source's, by identity policy and by key policy, and across accounts by both. The
simulator has no keys: it is told what was found (`x-sim-key-checked`, `x-sim-key-problem`).

The default keys (`aws/ebs`) are the simulator's own and open to everybody in their account. So no question is asked
about a key of the caller's own account that KMS has never had, when a snapshot is encrypted with it; but a key that
the call names has to exist.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.iam_actions import access_denied_response
from ministack.core.responses import get_account_id, get_region, json_response
from ministack.core.router import extract_access_key_id
from ministack.services import iam, kms, s3

from holdfast_local.launcher.world import World

PROBLEM = "Given key ID is not accessible"
_CHECKED, _PROBLEM = "x-sim-key-checked", "x-sim-key-problem"

_Key = dict[str, Any]
# What a copy asks of its own key, and of its source's.
_OF_COPY = ("kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext")
_OF_SOURCE = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom")
# What moving a snapshot to the archive tier asks of its key.
_OF_ARCHIVED = ("kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt")


def install(simulator: str) -> None:
    """Judge keys by their own policy wherever they are, and put the questions in front of EC2."""
    kms.key_policy_for_arn = key_policy
    kms._describe_key = _describing_keys_of_others(kms._describe_key)
    app.SERVICE_HANDLERS["ec2"] = _with_keys(app.SERVICE_HANDLERS["ec2"], World(simulator))


def _describing_keys_of_others(describe: Callable[[dict[str, Any]], tuple]) -> Callable[[dict[str, Any]], tuple]:
    """Let a key of another account be described by its ARN: whether the caller may has been asked by then."""

    def describe_key(data: dict[str, Any]) -> tuple:
        arn = data.get("KeyId", "")
        account, region = get_account_id(), get_region()
        is_other = arn.startswith(f"arn:aws:kms:{region}:") and f":{account}:" not in arn
        key = find_key(arn, account, region) if is_other else None
        return json_response({"KeyMetadata": kms._key_metadata(key)}) if key else describe(data)

    return describe_key


def find_key(named: str, account: str, region: str) -> _Key | None:
    """Give the key that a caller in an account and region means by an id, an alias or the ARN of either."""
    if named.startswith("arn:"):
        fields = named.split(":", 5)
        if len(fields) < 6:
            return None
        region, account, named = fields[3], fields[4], fields[5].removeprefix("key/")
    if named.startswith("alias/"):
        alias = f"arn:aws:kms:{region}:{account}:{named}"
        named = kms._aliases.get_scoped(account, region, alias) or ""
    return kms._keys.get_scoped(account, region, named)


def key_policy(key_arn: str) -> tuple[str, str] | None:
    """Give a key's policy and its owner, also when the key is in another account or region than the caller.

    MiniStack finds the caller's own keys in the caller's region only, and judges others by the caller's policy alone.
    """
    fields = key_arn.split(":")
    key = find_key(key_arn, "", "") if len(fields) > 5 else None
    return (key.get("Policy") or "", fields[4]) if key else None


def is_usable(key: _Key | None) -> bool:
    """Tell whether EC2 can use a key at all."""
    return bool(key) and key.get("KeyState") == "Enabled" and key.get("KeySpec") == "SYMMETRIC_DEFAULT"


def _with_keys(forward: Callable, world: World) -> Callable:
    async def ask_and_forward(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        region, account = app.extract_region(headers, query), get_account_id()
        body = _with_real_keys(body, account, region)
        params = {name: values[0] for name, values in app._routing_params(method, path, headers, body, query).items()}
        headers = {name: value for name, value in headers.items() if name not in (_CHECKED, _PROBLEM)}
        if params.get("Action") == "CopySnapshot" and params.get("DryRun") != "true":
            source = await asyncio.to_thread(_source, world, account, params)
            caller = extract_access_key_id(headers, query)
            headers[_CHECKED] = "true"
            if not _may_copy(caller, source or {}, params, account, region):
                headers[_PROBLEM] = PROBLEM
        if params.get("Action") == "ModifySnapshotTier":
            own = await asyncio.to_thread(world.snapshot, account, region, params.get("SnapshotId", ""))
            key = find_key((own or {}).get("kms_key_id") or "", account, region)
            caller = extract_access_key_id(headers, query)
            denied = [ask(caller, action, key, "ec2") for action, key in _questions(_OF_ARCHIVED, key)]
            if any(denied):
                principal = next(getattr(verdict, "principal_arn", "") for verdict in denied if verdict)
                return access_denied_response("ec2", "kms:CreateGrant", principal, str(uuid.uuid4()), headers=headers)
        return await forward(method, path, headers, body, query)

    return ask_and_forward


def _with_real_keys(body: bytes, account: str, region: str) -> bytes:
    """Name a key by its ARN where a call names it by an alias, which the simulator cannot look up."""
    if b"KmsKeyId" not in body or b"alias" not in body:
        return body
    fields = parse_qsl(body.decode(), keep_blank_values=True)
    return urlencode([(name, _real(name, value, account, region)) for name, value in fields]).encode()


def _real(name: str, value: str, account: str, region: str) -> str:
    is_alias = name.rpartition(".")[2] == "KmsKeyId" and "alias/" in value
    key = find_key(value, account, region) if is_alias else None
    return key["Arn"] if key else value


def _source(world: World, account: str, params: Mapping[str, str]) -> dict[str, Any] | None:
    """Give the snapshot that is to be copied, the caller's own or one that another account shares with the caller."""
    region, snapshot_id = params.get("SourceRegion", ""), params.get("SourceSnapshotId", "")
    if found := world.snapshot(account, region, snapshot_id):
        return found
    for other in _accounts() - {account}:
        found = world.snapshot(other, region, snapshot_id)
        if found and {account, "all"} & set(found.get("shared_with") or []):
            return found
    return None


def _accounts() -> set[str]:
    """Give every account that has anything by which it could own a snapshot and share it."""
    return {scope[0] for store in (iam._roles, s3._buckets, kms._keys) for scope in list(store.to_dict())}


def _may_copy(caller: str, source: Mapping[str, Any], params: Mapping[str, str], account: str, region: str) -> bool:
    """Tell whether the caller may use both keys. Every question is asked, so that all of them are written down."""
    named, source_arn = params.get("KmsKeyId", ""), source.get("kms_key_id") or ""
    good, asked = True, []
    own_key = find_key(named, account, region)
    if named and not named.endswith("alias/aws/ebs"):
        good = is_usable(own_key) and own_key["Arn"].split(":")[3] == region
        asked += _questions(_OF_COPY, own_key)
        asked += _questions(("kms:ReEncryptTo",), own_key if source_arn else None)
    source_key = find_key(source_arn, account, region)
    is_default = not source_key and f":{account}:" in source_arn
    if source_arn and not is_default:
        good = good and is_usable(source_key)
        asked += _questions(_OF_SOURCE, source_key)
    denials = [ask(caller, action, key, "ec2") for action, key in asked]
    return good and not any(denials)


def _questions(actions: tuple[str, ...], key: _Key | None) -> Iterator[tuple[str, _Key]]:
    return ((action, key) for action in actions if key)


def ask(caller: str, action: str, key: _Key, service: str) -> Any:
    """Ask IAM what a service asks on the caller's behalf, in the key's region; None means that the caller may."""
    region = key["Arn"].split(":")[3]
    context = {"kms:ViaService": f"{service}.{region}.amazonaws.com", "kms:CallerAccount": get_account_id()}
    if action == "kms:CreateGrant":
        context["kms:GrantIsForAWSResource"] = "true"
    return iam_evaluator.enforce(caller, action, "kms", region, key["Arn"], context)
