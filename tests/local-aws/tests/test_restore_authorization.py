"""What a restore asks of EC2 is judged on everything that each call touches, by tags too, and roles are passed on."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import xform_name

from conftest import Account, allow, refusal

OURS = "holdfast:restore"


def _arn(resource: str) -> str:
    account = "" if resource.partition("/")[0] in ("snapshot", "image") else "*"
    return f"arn:aws:ec2:us-east-1:{account}:{resource}"


LAUNCH = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}
# Each action, a call of it, and the resources that AWS judges this call on.
CASES = [
    (
        "RunInstances",
        {**LAUNCH, "SubnetId": "subnet-1", "SecurityGroupIds": ["sg-1", "sg-2"], "KeyName": "key"},
        [
            "image/ami-1",
            "instance/*",
            "key-pair/key",
            "network-interface/*",
            "security-group/sg-1",
            "security-group/sg-2",
            "subnet/subnet-1",
            "volume/*",
        ],
    ),
    (
        "RunInstances",
        {
            **LAUNCH,
            "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-1"}],
            "BlockDeviceMappings": [{"DeviceName": f"/dev/sd{n}", "Ebs": {"SnapshotId": f"snap-{n}"}} for n in (1, 2)],
        },
        [
            "image/ami-1",
            "instance/*",
            "network-interface/eni-1",
            "security-group/*",
            "snapshot/snap-1",
            "snapshot/snap-2",
            "subnet/*",
            "volume/*",
        ],
    ),
    (
        "RunInstances",
        {
            **LAUNCH,
            "NetworkInterfaces": [
                {"DeviceIndex": 0, "NetworkInterfaceId": "eni-1"},
                {"DeviceIndex": 1, "SubnetId": "subnet-1", "Groups": ["sg-1"]},
            ],
        },
        [
            "image/ami-1",
            "instance/*",
            "network-interface/eni-1",
            "network-interface/*",
            "security-group/sg-1",
            "subnet/subnet-1",
            "volume/*",
        ],
    ),
    (
        "CreateNetworkInterface",
        {"SubnetId": "subnet-1", "Groups": ["sg-1"]},
        ["network-interface/*", "security-group/sg-1", "subnet/subnet-1"],
    ),
    ("DeleteNetworkInterface", {"NetworkInterfaceId": "eni-1"}, ["network-interface/eni-1"]),
    (
        "AttachNetworkInterface",
        {"NetworkInterfaceId": "eni-1", "InstanceId": "i-1", "DeviceIndex": 1},
        ["instance/i-1", "network-interface/eni-1"],
    ),
    ("DetachNetworkInterface", {"AttachmentId": "eni-attach-1"}, ["instance/*", "network-interface/*"]),
    (
        "ModifyNetworkInterfaceAttribute",
        {"NetworkInterfaceId": "eni-1", "Groups": ["sg-1"]},
        ["network-interface/eni-1", "security-group/sg-1"],
    ),
    (
        "AssociateAddress",
        {"AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-1"},
        ["elastic-ip/eipalloc-1", "network-interface/eni-1"],
    ),
    (
        "AssociateAddress",
        {"AllocationId": "eipalloc-1", "InstanceId": "i-1"},
        ["elastic-ip/eipalloc-1", "instance/i-1"],
    ),
    ("DisassociateAddress", {"AssociationId": "eipassoc-1"}, ["elastic-ip/*", "network-interface/*"]),
    (
        "AttachVolume",
        {"InstanceId": "i-1", "VolumeId": "vol-1", "Device": "/dev/sdf"},
        ["instance/i-1", "volume/vol-1"],
    ),
    ("DetachVolume", {"InstanceId": "i-1", "VolumeId": "vol-1"}, ["instance/i-1", "volume/vol-1"]),
    ("DetachVolume", {"VolumeId": "vol-1"}, ["volume/vol-1"]),
    ("DeleteVolume", {"VolumeId": "vol-1"}, ["volume/vol-1"]),
    (
        "CreateVolume",
        {"AvailabilityZone": "us-east-1a", "SnapshotId": "snap-1"},
        ["snapshot/snap-1", "volume/*"],
    ),
    (
        "CreateReplaceRootVolumeTask",
        {"InstanceId": "i-1", "SnapshotId": "snap-1"},
        ["instance/i-1", "replace-root-volume-task/*", "snapshot/snap-1", "volume/*"],
    ),
    (
        "CreateReplaceRootVolumeTask",
        {"InstanceId": "i-1", "ImageId": "ami-1"},
        ["image/ami-1", "instance/i-1", "replace-root-volume-task/*", "volume/*"],
    ),
    *(
        (f"{verb}Instances", {"InstanceIds": ["i-1", "i-2"]}, ["instance/i-1", "instance/i-2"])
        for verb in ("Start", "Stop", "Reboot", "Terminate")
    ),
    ("ModifyInstanceAttribute", {"InstanceId": "i-1", "Groups": ["sg-1"]}, ["instance/i-1", "security-group/sg-1"]),
    (
        "ModifyInstanceAttribute",
        {
            "InstanceId": "i-1",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeId": "vol-1", "DeleteOnTermination": True}}
            ],
        },
        ["instance/i-1", "volume/vol-1"],
    ),
    ("ModifyInstanceMetadataOptions", {"InstanceId": "i-1", "HttpTokens": "required"}, ["instance/i-1"]),
    (
        "RegisterImage",
        {"Name": "image", "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": "snap-1"}}]},
        ["image/*", "snapshot/snap-1"],
    ),
    ("CreateImage", {"InstanceId": "i-1", "Name": "image"}, ["image/*", "instance/i-1", "snapshot/*"]),
    ("DeregisterImage", {"ImageId": "ami-1"}, ["image/ami-1"]),
]


@pytest.mark.parametrize(("action", "arguments", "resources"), CASES, ids=[f"{c[0]}-{len(c[2])}" for c in CASES])
def test_a_call_needs_each_resource_that_it_touches(
    account: Account, action: str, arguments: dict[str, Any], resources: list[str]
) -> None:
    arns = [_arn(resource) for resource in resources]
    everything = account.client("ec2", account.assume(account.role("all", allow(f"ec2:{action}", arns))))
    getattr(everything, xform_name(action))(**arguments)
    for n, missing in enumerate(arns):
        # `kind/*` in a policy is a pattern for the ids of that kind, too.
        others = [arn for arn in arns if arn not in (missing, missing.rpartition("/")[0] + "/*")]
        others.append(_arn("vpc/*"))
        client = account.client("ec2", account.assume(account.role(f"less-{n}", allow(f"ec2:{action}", others))))
        assert f"ec2:{action}" in refusal(getattr(client, xform_name(action)), **arguments)


@pytest.mark.parametrize(
    "action",
    [
        "DescribeAddresses",
        "DescribeImages",
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeNetworkInterfaces",
        "DescribeReplaceRootVolumeTasks",
        "DescribeVolumes",
    ],
)
def test_describing_knows_no_resources(account: Account, action: str) -> None:
    broad = account.role("broad", allow(f"ec2:{action}"))
    narrow = account.role("narrow", allow(f"ec2:{action}", "arn:aws:ec2:us-east-1:*:*/*"))
    getattr(account.client("ec2", account.assume(broad)), xform_name(action))()
    assert f"ec2:{action}" in refusal(getattr(account.client("ec2", account.assume(narrow)), xform_name(action)))


OF_OURS = {"StringEquals": {f"aws:ResourceTag/{OURS}": "job-1"}}


@pytest.mark.parametrize(
    ("action", "kind", "call"),
    [
        ("TerminateInstances", "instance/i", lambda ec2, i: ec2.terminate_instances(InstanceIds=[i])),
        ("DeleteVolume", "volume/vol", lambda ec2, i: ec2.delete_volume(VolumeId=i)),
        ("DeregisterImage", "image/ami", lambda ec2, i: ec2.deregister_image(ImageId=i)),
        (
            "DeleteNetworkInterface",
            "network-interface/eni",
            lambda ec2, i: ec2.delete_network_interface(NetworkInterfaceId=i),
        ),
        ("ReleaseAddress", "elastic-ip/eipalloc", lambda ec2, i: ec2.release_address(AllocationId=i)),
    ],
)
def test_only_what_a_restore_made_can_be_granted(
    account: Account, vault: Account, action: str, kind: str, call: Any
) -> None:
    kind, prefix = kind.split("/")
    role = account.role("restore", allow(f"ec2:{action}", _arn(f"{kind}/*"), **OF_OURS))
    client = account.client("ec2", account.assume(role))
    account.resource(f"{prefix}-ours", **{OURS: "job-1"})
    account.resource(f"{prefix}-other", **{OURS: "job-2"})
    account.resource(f"{prefix}-plain")
    account.resource(f"{prefix}-west", region="us-west-2", **{OURS: "job-1"})
    vault.resource(f"{prefix}-foreign", **{OURS: "job-1"})
    call(client, f"{prefix}-ours")
    for other in ("other", "plain", "west", "foreign", "unknown"):
        assert f"ec2:{action}" in refusal(call, ec2=client, i=f"{prefix}-{other}")


def test_one_of_several_instances_without_the_tag_refuses_the_call(account: Account) -> None:
    role = account.role("restore", allow("ec2:StopInstances", _arn("instance/*"), **OF_OURS))
    stop = account.client("ec2", account.assume(role)).stop_instances
    for n in (1, 2):
        account.resource(f"i-ours-{n}", **{OURS: "job-1"})
    stop(InstanceIds=["i-ours-1", "i-ours-2"])
    assert "ec2:StopInstances" in refusal(stop, InstanceIds=["i-ours-1", "i-ours-2", "i-foreign"])


def _tagged(*kinds: str, **tags: str) -> list[dict[str, Any]]:
    given = [{"Key": key, "Value": value} for key, value in (tags or {OURS: "job-1"}).items()]
    return [{"ResourceType": kind, "Tags": given} for kind in kinds]


CREATING = [
    ("RunInstances", LAUNCH, ["instance", "volume", "network-interface"]),
    ("CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": 1}, ["volume"]),
    ("CreateNetworkInterface", {"SubnetId": "subnet-1"}, ["network-interface"]),
    ("RegisterImage", {"Name": "image"}, ["image"]),
    ("CreateImage", {"Name": "image", "InstanceId": "i-1"}, ["image", "snapshot"]),
    ("CreateReplaceRootVolumeTask", {"InstanceId": "i-1"}, ["replace-root-volume-task"]),
]


@pytest.mark.parametrize(("action", "arguments", "kinds"), CREATING, ids=[c[0] for c in CREATING])
def test_tags_in_a_creating_call_need_create_tags_for_each_type(
    account: Account, action: str, arguments: dict[str, Any], kinds: list[str]
) -> None:
    while_creating = {"StringEquals": {"ec2:CreateAction": action}}

    def create(role: str, *granted: str, **condition: Any) -> Any:
        to_tag = allow("ec2:CreateTags", [_arn(f"{kind}/*") for kind in granted], **condition)
        made = account.role(role, allow(f"ec2:{action}"), *([to_tag] if granted else []))
        return getattr(account.client("ec2", account.assume(made)), xform_name(action))

    tagged = {**arguments, "TagSpecifications": _tagged(*kinds)}
    create("all", *kinds, **while_creating)(**tagged)
    create("no-tags")(**arguments)
    for missing in kinds:
        call = create(f"without-{missing}", *(kind for kind in kinds if kind != missing), **while_creating)
        assert "ec2:CreateTags" in refusal(call, **tagged)
    while_copying = {"StringEquals": {"ec2:CreateAction": "CopySnapshot"}}
    assert "ec2:CreateTags" in refusal(create("for-copies", *kinds, **while_copying), **tagged)


def test_a_tag_can_be_required_of_each_type_that_a_launch_makes(account: Account) -> None:
    tagged = {"StringEquals": {f"aws:RequestTag/{OURS}": "job-1"}}
    made = ["instance/*", "volume/*", "network-interface/*"]
    role = account.role(
        "restore",
        allow("ec2:RunInstances", [_arn(resource) for resource in made], **tagged),
        allow("ec2:RunInstances", [_arn(resource) for resource in ("image/*", "subnet/*", "security-group/*")]),
        allow("ec2:CreateTags"),
    )
    run = account.client("ec2", account.assume(role)).run_instances
    everything = _tagged("instance", "volume", "network-interface")
    run(**LAUNCH, TagSpecifications=everything)
    for n, missing in enumerate(everything):
        other = {**missing, "Tags": [{"Key": OURS, "Value": "job-2"}]}
        for given in (everything[:n] + everything[n + 1 :], [*everything[:n], other, *everything[n + 1 :]]):
            assert "ec2:RunInstances" in refusal(run, **LAUNCH, TagSpecifications=given)


def test_a_tag_can_be_required_of_what_the_table_does_not_know(account: Account) -> None:
    tagged = {"StringEquals": {f"aws:RequestTag/{OURS}": "job-1"}}
    role = account.role("restore", allow("ec2:CreateInternetGateway", **tagged), allow("ec2:CreateTags"))
    create = account.client("ec2", account.assume(role)).create_internet_gateway
    create(TagSpecifications=_tagged("internet-gateway"))
    assert "ec2:CreateInternetGateway" in refusal(create)


def _launcher(account: Account, *roles: str, **condition: Any) -> Any:
    passed = [f"arn:aws:iam::{account.id}:role/{role}" for role in roles]
    to_pass = [allow("iam:PassRole", passed, **condition)] if passed else []
    role = account.role(f"launcher-{len(roles)}-{len(condition)}", allow("ec2:RunInstances"), *to_pass)
    return account.client("ec2", account.assume(role)).run_instances


def test_a_launch_passes_the_role_of_its_profile(account: Account) -> None:
    account.role("web", service="ec2.amazonaws.com")
    iam = account.client("iam")
    arn = iam.create_instance_profile(InstanceProfileName="profile")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="web")
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    may, may_not = _launcher(account, "web", **to_ec2), _launcher(account)
    for profile in ({"Name": "profile"}, {"Arn": arn}):
        may(**LAUNCH, IamInstanceProfile=profile)
        assert f"iam:PassRole on resource: arn:aws:iam::{account.id}:role/web" in refusal(
            may_not, **LAUNCH, IamInstanceProfile=profile
        )
    may_not(**LAUNCH)
    to_others = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    elsewhere = allow("iam:PassRole", "*", **to_others)
    role = account.role("elsewhere", allow("ec2:RunInstances"), elsewhere)
    run = account.client("ec2", account.assume(role)).run_instances
    assert "iam:PassRole" in refusal(run, **LAUNCH, IamInstanceProfile={"Name": "profile"})


def test_an_instance_profile_is_judged_on_itself(account: Account) -> None:
    iam = account.client("iam")
    for name, path in (("web", "/"), ("db", "/shop/")):
        iam.create_instance_profile(InstanceProfileName=name, Path=path)
    of_shop = f"arn:aws:iam::{account.id}:instance-profile/shop/*"
    role = account.role("reader", allow("iam:GetInstanceProfile", of_shop))
    get = account.client("iam", account.assume(role)).get_instance_profile
    assert get(InstanceProfileName="db")["InstanceProfile"]["Path"] == "/shop/"
    for name in ("web", "nobody"):
        assert "iam:GetInstanceProfile" in refusal(get, InstanceProfileName=name)


def test_a_profile_that_iam_does_not_know_has_the_role_of_its_name(account: Account) -> None:
    run = _launcher(account, "web")
    run(**LAUNCH, IamInstanceProfile={"Name": "web"})
    run(**LAUNCH, IamInstanceProfile={"Arn": f"arn:aws:iam::{account.id}:instance-profile/some/web"})
    assert "iam:PassRole" in refusal(run, **LAUNCH, IamInstanceProfile={"Name": "admin"})
