"""On which resources an EC2 or EBS direct call is judged, and by which tags.

MiniStack looks for the first id among a call's parameters and judges the action on that one resource. AWS judges it on
every resource that the call touches: `CreateSnapshots` on the instance, on its volumes and on the snapshots to come;
and tags in a creating call need `ec2:CreateTags` on top. EBS direct calls are not judged by MiniStack at all. The table
below follows AWS's service authorization reference for the actions that Holdfast uses; others stay as they were.
"""

from __future__ import annotations

import contextvars
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import extract_access_key_id
from ministack.services import tagging

from holdfast_local.launcher.snapshots import Snapshots

# Resources that have no account in their name.
_WITHOUT_ACCOUNT = frozenset({"snapshot", "image"})

# The types of resource that an action is judged on, each with the parameter that names it. Without a parameter: one
# that is yet to be made, or that the call does not name.
_JUDGED_ON: dict[str, list[tuple[str, str | None]]] = {
    "CopySnapshot": [("snapshot", None)],
    "CreateImage": [("instance", "InstanceId"), ("image", None), ("snapshot", None)],
    "CreateSnapshot": [("volume", "VolumeId"), ("snapshot", None)],
    "CreateSnapshots": [("instance", "InstanceSpecification.InstanceId"), ("volume", None), ("snapshot", None)],
    "CreateVolume": [("volume", None)],
    "DeleteSnapshot": [("snapshot", "SnapshotId")],
    "DeregisterImage": [("image", "ImageId")],
    "DescribeImageAttribute": [("image", "ImageId")],
    "DescribeInstanceAttribute": [("instance", "InstanceId")],
    "DescribeSnapshotAttribute": [("snapshot", "SnapshotId")],
    "DescribeVolumeAttribute": [("volume", "VolumeId")],
    "DisableImage": [("image", "ImageId")],
    "EnableImage": [("image", "ImageId")],
    "GetLaunchTemplateData": [("instance", "InstanceId")],
    "LockSnapshot": [("snapshot", "SnapshotId")],
    "ModifySnapshotAttribute": [("snapshot", "SnapshotId")],
    "ModifySnapshotTier": [("snapshot", "SnapshotId")],
    "RegisterImage": [("image", None)],
    "ResetSnapshotAttribute": [("snapshot", "SnapshotId")],
    "RestoreSnapshotTier": [("snapshot", "SnapshotId")],
    "UnlockSnapshot": [("snapshot", "SnapshotId")],
}

# The snapshots that an action reads, by the parameters that name them; none of them has to be named.
_READS = {
    "CopySnapshot": re.compile(r"SourceSnapshotId"),
    "CreateVolume": re.compile(r"SnapshotId"),
    "RegisterImage": re.compile(r"BlockDeviceMapping\.\d+\.Ebs\.SnapshotId"),
}

# With whom a call shares a snapshot, in either of the two forms.
_PERMISSION = re.compile(r"(?:CreateVolumePermission\.(Add|Remove)\.\d+\.)?(UserId|Group|UserGroup)(?:\.\d+)?")

# The actions that `permissions` is about.
_WITH_PERMISSIONS = frozenset({"ec2:LockSnapshot", "ec2:ModifySnapshotAttribute"})

# What an action asks of EC2 on the caller's behalf: the caller needs these too.
_ON_BEHALF = {
    "GetLaunchTemplateData": [
        "DescribeInstanceAttribute",
        "DescribeInstanceCreditSpecifications",
        "DescribeSpotInstanceRequests",
        "DescribeVolumes",
    ]
}

# The beginning of an id tells the type.
_TYPES = {
    "i": "instance",
    "vol": "volume",
    "snap": "snapshot",
    "ami": "image",
    "eni": "network-interface",
    "eipalloc": "elastic-ip",
    "subnet": "subnet",
    "sg": "security-group",
    "vpc": "vpc",
}


def resources(params: Mapping[str, Any], region: str, account: str) -> list[str]:
    """Give the ARNs that an EC2 call is judged on; none when the table does not know the action."""
    action = _first(params, "Action")
    if action in ("CreateTags", "DeleteTags"):
        ids = [_first(params, name) for name in params if name.startswith("ResourceId.")]
        return [_arn(_type_of(i), i, region, account) for i in ids]
    if action in _JUDGED_ON:
        own = [_arn(kind, _first(params, name) or "*", region, account) for kind, name in _JUDGED_ON[action]]
        return own + [_arn("snapshot", i, _first(params, "SourceRegion") or region, account) for i in _read_by(params)]
    # No other describing action knows resources.
    return ["*"] if action.startswith("Describe") else []


def _read_by(params: Mapping[str, Any]) -> list[str]:
    names = _READS.get(_first(params, "Action"))
    return [_first(params, name) for name in sorted(params) if names and names.fullmatch(name)]


def permissions(params: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Give the condition keys that say with whom a snapshot is shared (`ec2:Add/userId`), or how long it is locked."""
    given: dict[str, list[str]] = {}
    if days := _first(params, "LockDuration"):
        given["ec2:SnapshotLockDuration"] = [days]
    for name in sorted(params):
        if found := _PERMISSION.fullmatch(name):
            direction = found[1] or _first(params, "OperationType").capitalize()
            kind = "userId" if found[2] == "UserId" else "group"
            given.setdefault(f"ec2:{direction}/{kind}", []).append(_first(params, name))
    # More than one value only satisfies a policy that says `ForAllValues` or `ForAnyValue`.
    return {key: values[0] if len(values) == 1 else values for key, values in given.items()}


def tag_on_create(params: Mapping[str, Any], region: str, account: str) -> list[str]:
    """Give the ARNs on which a creating call also needs `ec2:CreateTags`."""
    kinds = [
        _first(params, name)
        for name in params
        if name.startswith("TagSpecification.") and name.endswith(".ResourceType")
        if f"{name.removesuffix('ResourceType')}Tag.1.Key" in params
    ]
    return [_arn(kind, "*", region, account) for kind in kinds]


def _first(params: Mapping[str, Any], name: str | None) -> str:
    value = params.get(name) if name else None
    return (value[0] if isinstance(value, list) else value) or ""


def _type_of(resource_id: str) -> str:
    return _TYPES.get(resource_id.partition("-")[0], "*")


def _arn(kind: str, resource_id: str, region: str, account: str) -> str:
    return f"arn:aws:ec2:{region}:{'' if kind in _WITHOUT_ACCOUNT else account}:{kind}/{resource_id}"


def install(simulator: str) -> None:
    """Put the table in front of MiniStack's own; wrap the forwarding with the check of tags."""
    first_resource, all_resources = iam_actions.extract_resource_arn, iam_actions.verified_access_resource_arns

    def primary(service: str, method: str, path: str, headers: dict, body: bytes, params: dict, *where: str) -> str:
        if service == "ec2" and (found := resources(params, *where)):
            return found[0]
        if service == "ebs":
            parts = path.split("/")
            return _arn("snapshot", parts[2] if len(parts) > 2 else "*", *where)
        return first_resource(service, method, path, headers, body, params, *where)

    request_context = iam_actions.request_tag_context

    def context(service: str, action: str, body: bytes, params: dict) -> dict[str, Any]:
        found = request_context(service, action, body, params)
        return {**found, **permissions(params)} if action in _WITH_PERMISSIONS else found

    iam_actions.extract_resource_arn = primary
    iam_actions.request_tag_context = context
    # MiniStack's one list of further resources of an EC2 call; it leaves out the first.
    iam_actions.verified_access_resource_arns = lambda params, *where: (
        resources(params, *where) or all_resources(params, *where)
    )
    # The tags of EC2's creating calls are in members of this name.
    iam_actions._TAG_MEMBERS |= {"TagSpecifications"}
    iam_actions.SERVICE_TO_IAM_NAMESPACE["ebs"] = "ebs"
    iam_actions._BOTOCORE_SERVICE_MAP["ebs"] = ["ebs"]
    app.SERVICE_HANDLERS["ec2"] = _with_further_checks(app.SERVICE_HANDLERS["ec2"])
    tagging.resource_tags = _with_simulator_tags(tagging.resource_tags, Snapshots(simulator))
    _give_no_new_tags_to_what_is_there()
    _ask_for_tags_only_where_they_count()


def _give_no_new_tags_to_what_is_there() -> None:
    """Leave `aws:RequestTag` out where a creating call is judged on a resource that it only reads.

    The tags in the call are for what it makes: on AWS a copy's source has none of them.
    """
    enforce = iam_evaluator.enforce

    def enforce_without_new_tags(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        only_read = service == "ec2" and not iam_action.endswith("eTags") and not resource_arn.endswith("*")
        if only_read:
            unwanted = ("aws:requesttag/", "aws:tagkeys")
            carried = (service_context or {}).items()
            service_context = {key: value for key, value in carried if not key.lower().startswith(unwanted)}
        return enforce(access_key_id, iam_action, service, region, resource_arn, service_context)

    iam_evaluator.enforce = enforce_without_new_tags


def _ask_for_tags_only_where_they_count() -> None:
    """Look a resource's tags up only when a statement about the very action depends on them.

    MiniStack does so when any statement of the caller's does, which would make every call of such a caller two.
    """
    enforce, names_key = iam_evaluator.enforce, iam_evaluator._names_condition_key
    action: contextvars.ContextVar[str] = contextvars.ContextVar("holdfast_action")

    def enforce_knowing_the_action(access_key_id: str, iam_action: str, *more: Any, **keywords: Any) -> Any:
        action.set(iam_action)
        return enforce(access_key_id, iam_action, *more, **keywords)

    def names_key_for_the_action(policies: list, prefix: str) -> bool:
        about_it = [
            [s for s in statements if iam_evaluator._action_matches(action.get(), s.actions, s.not_actions)]
            for statements in policies
        ]
        return names_key(about_it, prefix)

    iam_evaluator.enforce = enforce_knowing_the_action
    iam_evaluator._names_condition_key = names_key_for_the_action


def _further_checks(params: Mapping[str, Any], body: bytes, region: str, account: str) -> list[tuple[str, str, dict]]:
    """Give the actions that a call needs beside its own, each with its resource and its context."""
    name = _first(params, "Action")
    tagging_context = {
        **iam_actions.request_tag_context("ec2", "ec2:CreateTags", body, params),
        "ec2:CreateAction": name,
    }
    tagged = [("ec2:CreateTags", arn, tagging_context) for arn in tag_on_create(params, region, account)]
    asked = [
        (f"ec2:{action}", resources({**params, "Action": action}, region, account)[0], {})
        for action in _ON_BEHALF.get(name, [])
    ]
    return tagged + asked


def _with_further_checks(forward: Callable) -> Callable:
    async def check_and_forward(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        params = app._routing_params(method, path, headers, body, query)
        region, account = app.extract_region(headers, query), get_account_id()
        for action, arn, context in _further_checks(params, body, region, account):
            key = extract_access_key_id(headers, query)
            denied = iam_evaluator.enforce(key, action, "ec2", region, arn, context)
            if denied:
                return iam_actions.access_denied_response(
                    "ec2",
                    action,
                    getattr(denied, "principal_arn", ""),
                    str(uuid.uuid4()),
                    headers=headers,
                    explicit_deny=getattr(denied, "decision", "") == "Deny",
                )
        return await forward(method, path, headers, body, query)

    return check_and_forward


def _with_simulator_tags(elsewhere: Callable, snapshots: Snapshots) -> Callable:
    """Answer `aws:ResourceTag` of the caller's own snapshots from the simulator, which is where they are.

    Another account's tags are not seen, even on a snapshot that it shares. No policy depends on the tags of anything
    else, and what has no known tags is refused.
    """

    def resource_tags(arn: str) -> dict[str, str] | None:
        fields = arn.split(":", 5)
        if len(fields) < 6 or fields[2] != "ec2":
            return elsewhere(arn)
        kind, _, resource_id = fields[5].partition("/")
        if kind != "snapshot" or resource_id in ("", "*"):
            return None
        found = snapshots.find(get_account_id(), fields[3], resource_id)
        return found["tags"] if found else None

    return resource_tags
