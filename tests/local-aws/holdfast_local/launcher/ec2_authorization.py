"""On which resources an EC2 or EBS direct call is judged, and by which tags.

MiniStack looks for the first id among a call's parameters and judges the action on that one resource. AWS judges it on
every resource that the call touches: `CreateSnapshots` on the instance, on its volumes and on the snapshots to come;
and tags in a creating call need `ec2:CreateTags` on top. EBS direct calls are not judged by MiniStack at all. The
tables below follow AWS's service authorization reference for the actions that Holdfast uses; others stay as they were.
"""

from __future__ import annotations

import contextvars
import functools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import extract_access_key_id
from ministack.services import tagging

from holdfast_local.launcher.world import World

# MiniStack's own way to read the tags in a call.
_tag_context = iam_actions.request_tag_context
# Where the context of a call carries what `new_tags` found.
_NEW_TAGS = "holdfast:new-tags"

# Resources that have no account in their name.
_WITHOUT_ACCOUNT = frozenset({"snapshot", "image"})

# The types of resource that an action is judged on, each with the parameters that name them. Where none is named, or
# without a parameter: one that is yet to be made, or that the call does not name.
_JUDGED_ON: dict[str, list[tuple[str, str | None]]] = {
    "AllocateAddress": [("elastic-ip", None)],
    "AssociateAddress": [("elastic-ip", "AllocationId")],
    "AssociateIamInstanceProfile": [("instance", "InstanceId")],
    "AttachNetworkInterface": [("instance", "InstanceId"), ("network-interface", "NetworkInterfaceId")],
    "AttachVolume": [("instance", "InstanceId"), ("volume", "VolumeId")],
    "CopySnapshot": [("snapshot", None)],
    "CreateImage": [("instance", "InstanceId"), ("image", None), ("snapshot", None)],
    "CreateNetworkInterface": [("network-interface", None), ("subnet", "SubnetId")],
    "CreateReplaceRootVolumeTask": [("instance", "InstanceId"), ("replace-root-volume-task", None), ("volume", None)],
    "CreateSnapshot": [("volume", "VolumeId"), ("snapshot", None)],
    "CreateSnapshots": [("instance", "InstanceSpecification.InstanceId"), ("volume", None), ("snapshot", None)],
    "CreateVolume": [("volume", None)],
    "DeleteNetworkInterface": [("network-interface", "NetworkInterfaceId")],
    "DeleteSnapshot": [("snapshot", "SnapshotId")],
    "DeleteVolume": [("volume", "VolumeId")],
    "DeregisterImage": [("image", "ImageId")],
    "DescribeImageAttribute": [("image", "ImageId")],
    "DescribeInstanceAttribute": [("instance", "InstanceId")],
    "DescribeSnapshotAttribute": [("snapshot", "SnapshotId")],
    "DescribeVolumeAttribute": [("volume", "VolumeId")],
    "DetachNetworkInterface": [("instance", None), ("network-interface", None)],
    "DetachVolume": [("volume", "VolumeId")],
    "DisableImage": [("image", "ImageId")],
    "DisassociateAddress": [("elastic-ip", None), ("network-interface", None)],
    "EnableImage": [("image", "ImageId")],
    "GetConsoleOutput": [("instance", "InstanceId")],
    "GetLaunchTemplateData": [("instance", "InstanceId")],
    "LockSnapshot": [("snapshot", "SnapshotId")],
    "ModifyInstanceAttribute": [("instance", "InstanceId")],
    "ModifyInstanceMetadataOptions": [("instance", "InstanceId")],
    "ModifyNetworkInterfaceAttribute": [("network-interface", "NetworkInterfaceId")],
    "ModifySnapshotAttribute": [("snapshot", "SnapshotId")],
    "ModifySnapshotTier": [("snapshot", "SnapshotId")],
    "RebootInstances": [("instance", "InstanceId.N")],
    "RegisterImage": [("image", None)],
    "ReleaseAddress": [("elastic-ip", "AllocationId")],
    "ResetSnapshotAttribute": [("snapshot", "SnapshotId")],
    "RestoreSnapshotTier": [("snapshot", "SnapshotId")],
    "RunInstances": [
        ("instance", None),
        ("image", "ImageId"),
        ("volume", None),
        ("subnet", "(NetworkInterface.N.)?SubnetId"),
        ("security-group", "(NetworkInterface.N.)?SecurityGroupId.N"),
    ],
    "StartInstances": [("instance", "InstanceId.N")],
    "StopInstances": [("instance", "InstanceId.N")],
    "TerminateInstances": [("instance", "InstanceId.N")],
    "UnlockSnapshot": [("snapshot", "SnapshotId")],
}

# What an action is judged on only where the call names it, in the same form.
_IF_NAMED: dict[str, list[tuple[str, str]]] = {
    "AssociateAddress": [("instance", "InstanceId"), ("network-interface", "NetworkInterfaceId")],
    "CopySnapshot": [("snapshot", "SourceSnapshotId")],
    "CreateNetworkInterface": [("security-group", "SecurityGroupId.N")],
    "CreateReplaceRootVolumeTask": [("snapshot", "SnapshotId"), ("image", "ImageId")],
    "CreateVolume": [("snapshot", "SnapshotId")],
    "DetachVolume": [("instance", "InstanceId")],
    "ModifyInstanceAttribute": [("security-group", "GroupId.N"), ("volume", "BlockDeviceMapping.N.Ebs.VolumeId")],
    "ModifyNetworkInterfaceAttribute": [("security-group", "SecurityGroupId.N")],
    "RegisterImage": [("snapshot", "BlockDeviceMapping.N.Ebs.SnapshotId")],
    "RunInstances": [
        ("network-interface", "NetworkInterface.N.NetworkInterfaceId"),
        ("snapshot", "BlockDeviceMapping.N.Ebs.SnapshotId"),
        ("key-pair", "KeyName"),
        ("launch-template", "LaunchTemplate.LaunchTemplateId"),
        ("placement-group", "Placement.GroupName"),
    ],
}

# With whom a call shares a snapshot, in either of the two forms.
_PERMISSION = re.compile(r"(?:CreateVolumePermission\.(Add|Remove)\.\d+\.)?(UserId|Group|UserGroup)(?:\.\d+)?")

# The actions that `permissions` is about.
_WITH_PERMISSIONS = frozenset({"ec2:LockSnapshot", "ec2:ModifySnapshotAttribute"})

# The actions whose tags are for the very resources that they are judged on.
_TAGGING = frozenset({"ec2:CreateTags", "ec2:DeleteTags"})

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
    "replacevol": "replace-root-volume-task",
    "key": "key-pair",
    "lt": "launch-template",
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
        source_region = _first(params, "SourceRegion") or region
        found = [(kind, i, region) for kind, name in _JUDGED_ON[action] for i in _named(params, name) or ["*"]]
        found += [(kind, i, source_region) for kind, name in _IF_NAMED.get(action, []) for i in _named(params, name)]
        if action == "RunInstances" and _makes_an_interface(params):
            found.append(("network-interface", "*", region))
        return list(dict.fromkeys(_arn(kind, i, where, account) for kind, i, where in found))
    # No other describing action knows resources.
    return ["*"] if action.startswith("Describe") else []


def _named(params: Mapping[str, Any], pattern: str | None) -> list[str]:
    if pattern is None:
        return []
    names = _like(pattern)
    return [value for name in sorted(params) if names.fullmatch(name) and (value := _first(params, name))]


@functools.cache
def _like(pattern: str) -> re.Pattern[str]:
    """Read `NetworkInterface.N.SubnetId` as the names of parameters."""
    return re.compile(re.sub(r"\.N\b", r".\\d+", pattern).replace(".", r"\."))


def _makes_an_interface(params: Mapping[str, Any]) -> bool:
    """Tell whether an instance gets a network interface that is not there yet."""
    asked = {name.split(".")[1] for name in params if name.startswith("NetworkInterface.")}
    return not asked or any(f"NetworkInterface.{n}.NetworkInterfaceId" not in params for n in asked)


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


def new_tags(params: Mapping[str, Any], action: str) -> dict[str, dict[str, Any]]:
    """Give the condition keys of the tags that a creating call gives, by the type of resource that gets them."""
    groups: dict[str, dict[str, Any]] = {}
    for name in params:
        number = name.removeprefix("TagSpecification.").partition(".")[0]
        if name == f"TagSpecification.{number}.ResourceType":
            lead = f"TagSpecification.{number}.Tag."
            tags = {n: value for n, value in params.items() if n.startswith(lead)}
            groups.setdefault(_first(params, name), {}).update(tags)
    return {kind: _tag_context("ec2", f"ec2:{action}", b"", tags) for kind, tags in groups.items() if tags}


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

    def context(service: str, action: str, body: bytes, params: dict) -> dict[str, Any]:
        found = _tag_context(service, action, body, params)
        if action in _WITH_PERMISSIONS:
            return {**found, **permissions(params)}
        is_creating = service == "ec2" and action not in _TAGGING
        return {_NEW_TAGS: new_tags(params, action.partition(":")[2])} if is_creating else found

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
    tagging.resource_tags = _with_simulator_tags(tagging.resource_tags, World(simulator))
    _give_new_tags_to_what_is_new()
    _ask_for_tags_only_where_they_count()


def _give_new_tags_to_what_is_new() -> None:
    """Let `aws:RequestTag` be the tags of the type of resource that a creating call is judged on.

    What the call only reads or uses gets none of them: a copy's source has no tag of the copy, and an instance no tag
    of its volumes.
    """
    enforce = iam_evaluator.enforce

    def enforce_with_its_tags(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        context = dict(service_context or {})
        by_kind = context.pop(_NEW_TAGS, {})
        kind, _, resource_id = resource_arn.rpartition(":")[2].partition("/")
        # An action that the table does not know may be judged on everything: its tags are whatever it gives.
        found = by_kind.values() if resource_arn == "*" else [by_kind.get(kind, {})] if resource_id == "*" else []
        for tags in found:
            context.update(tags)
        return enforce(access_key_id, iam_action, service, region, resource_arn, context)

    iam_evaluator.enforce = enforce_with_its_tags


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


def _further_checks(params: Mapping[str, Any], region: str, account: str) -> list[tuple[str, str, dict]]:
    """Give the actions that a call needs beside its own, each with its resource and its context."""
    name = _first(params, "Action")
    while_creating = {"ec2:CreateAction": name}
    tagged = [
        ("ec2:CreateTags", _arn(kind, "*", region, account), {**tags, **while_creating})
        for kind, tags in new_tags(params, name).items()
    ]
    asked = [
        (f"ec2:{action}", resources({**params, "Action": action}, region, account)[0], {})
        for action in _ON_BEHALF.get(name, [])
    ]
    return tagged + asked


def _with_further_checks(forward: Callable) -> Callable:
    async def check_and_forward(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        params = app._routing_params(method, path, headers, body, query)
        region, account = app.extract_region(headers, query), get_account_id()
        for action, arn, context in _further_checks(params, region, account):
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


def _with_simulator_tags(elsewhere: Callable, world: World) -> Callable:
    """Answer `aws:ResourceTag` of EC2's resources from the simulator, which is where they are.

    Another account's tags are not seen, even on a snapshot that it shares; and what has no known tags is refused.
    """

    def resource_tags(arn: str) -> dict[str, str] | None:
        fields = arn.split(":", 5)
        if len(fields) < 6 or fields[2] != "ec2":
            return elsewhere(arn)
        kind, _, resource_id = fields[5].partition("/")
        if resource_id in ("", "*"):
            return None
        if kind == "snapshot":
            found = world.snapshot(get_account_id(), fields[3], resource_id)
            return found["tags"] if found else None
        return world.tags(get_account_id(), fields[3], resource_id) if _type_of(resource_id) == kind else None

    return resource_tags
