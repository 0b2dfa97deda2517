"""What a launch says about an instance, and how it can be read back."""

from __future__ import annotations

import base64

import pytest

from .simulator import IMAGE, ZONE, World, by_device, refused, tagged

SCRIPT = "#!/bin/sh\necho 'ü' > /tmp/héllo & true\n"


@pytest.mark.parametrize(
    ("asked", "field", "expected"),
    [
        ({"KeyName": "operators"}, "KeyName", "operators"),
        ({"EbsOptimized": True}, "EbsOptimized", True),
        ({"Monitoring": {"Enabled": True}}, "Monitoring", {"State": "enabled"}),
        (
            {"Placement": {"AvailabilityZone": "us-east-1b", "Tenancy": "dedicated"}},
            "Placement",
            {"AvailabilityZone": "us-east-1b", "Tenancy": "dedicated"},
        ),
        ({"Placement": {"GroupName": "close"}}, "Placement", {"GroupName": "close"}),
        (
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}},
            "MetadataOptions",
            {
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 2,
                "HttpEndpoint": "enabled",
                "InstanceMetadataTags": "disabled",
                "State": "applied",
            },
        ),
        (
            {"MetadataOptions": {"HttpEndpoint": "disabled", "InstanceMetadataTags": "enabled"}},
            "MetadataOptions",
            {"HttpEndpoint": "disabled", "InstanceMetadataTags": "enabled"},
        ),
        ({"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1}}, "CpuOptions", {"CoreCount": 1, "ThreadsPerCore": 1}),
        ({"HibernationOptions": {"Configured": True}}, "HibernationOptions", {"Configured": True}),
        ({"EnclaveOptions": {"Enabled": True}, "InstanceType": "m5.xlarge"}, "EnclaveOptions", {"Enabled": True}),
        ({"MaintenanceOptions": {"AutoRecovery": "disabled"}}, "MaintenanceOptions", {"AutoRecovery": "disabled"}),
        (
            {"PrivateDnsNameOptions": {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": True}},
            "PrivateDnsNameOptions",
            {
                "HostnameType": "resource-name",
                "EnableResourceNameDnsARecord": True,
                "EnableResourceNameDnsAAAARecord": False,
            },
        ),
        (
            {"CapacityReservationSpecification": {"CapacityReservationPreference": "none"}},
            "CapacityReservationSpecification",
            {"CapacityReservationPreference": "none"},
        ),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "InstanceLifecycle", "spot"),
        ({"InstanceType": "m7g.large"}, "Architecture", "arm64"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_gives_back_what_the_launch_said(world: World, asked: dict, field: str, expected: object) -> None:
    found = world.launch(**asked)[field]
    if isinstance(expected, dict):
        found = {key: found.get(key) for key in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"InstanceType": "t2.small", "EbsOptimized": True}, "EBS-optimized"),
        ({"InstanceType": "t3.micro", "EnclaveOptions": {"Enabled": True}}, "enclaves"),
        ({"InstanceType": "m7g.large", "HibernationOptions": {"Configured": True}}, "hibernation"),
        ({"InstanceType": "m5.large", "NetworkPerformanceOptions": {"BandwidthWeighting": "vpc-1"}}, "weighting"),
    ],
)
def test_refuses_what_a_type_does_not_take(world: World, asked: dict, word: str) -> None:
    with refused("InvalidParameterCombination", asked["InstanceType"], word):
        world.launch(**asked)


def test_refuses_a_type_that_cannot_boot_the_image(world: World) -> None:
    planted = {"root_device": "/dev/xvda", "devices": [{"device": "/dev/xvda", "size_gib": 1}]}
    uefi = world.post("images", name="uefi", boot_mode="uefi", **planted)["image_id"]
    either = world.post("images", name="either", boot_mode="uefi-preferred", **planted)["image_id"]
    with refused("InvalidParameterCombination", "boot mode"):
        world.launch(ImageId=uefi, InstanceType="t2.small")
    with refused("InvalidParameterCombination", "NitroTPM"):
        tpm = world.post("images", name="tpm", tpm_support="v2.0", **planted)["image_id"]
        world.launch(ImageId=tpm, InstanceType="t2.small")
    assert world.launch(ImageId=either, InstanceType="t2.small")["CurrentInstanceBootMode"] == "legacy-bios"
    assert world.launch(ImageId=uefi, InstanceType="m5.large")["CurrentInstanceBootMode"] == "uefi"


def test_tells_what_a_type_takes(world: World) -> None:
    found = world.ec2.describe_instance_types(InstanceTypes=["m7i.xlarge", "t2.small", "m7g.large"])["InstanceTypes"]
    told = {
        kind["InstanceType"]: (
            kind["EbsInfo"]["EbsOptimizedSupport"],
            kind["HibernationSupported"],
            kind["NitroEnclavesSupport"],
            kind["NitroTpmSupport"],
            kind["SupportedBootModes"],
            kind["NetworkInfo"]["BandwidthWeightings"],
        )
        for kind in found
    }
    weightings = ["default", "vpc-1", "ebs-1"]
    assert told == {
        "m7i.xlarge": ("default", True, "supported", "supported", ["legacy-bios", "uefi"], weightings),
        "t2.small": ("unsupported", False, "unsupported", "unsupported", ["legacy-bios"], []),
        "m7g.large": ("default", False, "unsupported", "supported", ["uefi"], weightings),
    }


@pytest.mark.parametrize("by", ["Name", "Arn"])
def test_gives_a_profile_back_by_arn(world: World, by: str) -> None:
    arn = f"arn:aws:iam::{world.account}:instance-profile/backup"
    found = world.launch(IamInstanceProfile={by: "backup" if by == "Name" else arn})["IamInstanceProfile"]
    assert found["Arn"] == arn
    assert found["Id"].startswith("AIPA")


def test_makes_the_devices_of_the_mapping(world: World) -> None:
    key = f"arn:aws:kms:us-east-1:{world.account}:key/mrk-1"
    fast = {"VolumeSize": 10, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "DeleteOnTermination": False}
    instance = world.launch(
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": fast},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 4, "VolumeType": "io2", "Iops": 200}},
            {"DeviceName": "/dev/sdh", "Ebs": {"VolumeSize": 1, "Encrypted": True, "KmsKeyId": key}},
        ]
    )
    devices = by_device(instance)
    assert set(devices) == {instance["RootDeviceName"], "/dev/sdf", "/dev/sdg", "/dev/sdh"}
    assert {mapping["Ebs"]["Status"] for mapping in instance["BlockDeviceMappings"]} == {"attached"}
    found = world.ec2.describe_volumes(VolumeIds=list(devices.values()))["Volumes"]
    volumes = {volume["Attachments"][0]["Device"]: volume for volume in found}
    assert {volume["State"] for volume in found} == {"in-use"}
    first = volumes["/dev/sdf"]
    assert (first["Size"], first["VolumeType"], first["Iops"], first["Throughput"]) == (10, "gp3", 4000, 250)
    assert first["Attachments"][0]["DeleteOnTermination"] is False
    assert (volumes["/dev/sdg"]["VolumeType"], volumes["/dev/sdg"]["Iops"]) == ("io2", 200)
    assert (volumes["/dev/sdh"]["Encrypted"], volumes["/dev/sdh"]["KmsKeyId"]) == (True, key)


def test_a_mapping_of_the_root_device_shapes_the_root_volume(world: World) -> None:
    root = world.launch()["RootDeviceName"]
    ebs = {"VolumeSize": 20, "VolumeType": "gp3", "DeleteOnTermination": False}
    instance = world.launch(BlockDeviceMappings=[{"DeviceName": root, "Ebs": ebs}])
    assert set(by_device(instance)) == {root}
    volume = world.ec2.describe_volumes(VolumeIds=list(by_device(instance).values()))["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"]) == (20, "gp3")
    assert volume["Attachments"][0]["DeleteOnTermination"] is False


def test_a_device_made_of_a_snapshot_holds_its_bytes(still: World) -> None:
    source = still.volume(size=2)
    still.write(source, 1_000_000, b"the data")
    snapshot = still.snapshot(source)
    instance = still.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot}}])
    volume_id = by_device(instance)["/dev/sdf"]
    volume = still.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
    assert (volume["Size"], volume["SnapshotId"]) == (2, snapshot)
    assert still.read(volume_id, 1_000_000, 8) == b"the data"


def test_a_launch_that_is_refused_leaves_nothing(world: World) -> None:
    nowhere = {"DeviceName": "/dev/sdg", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}
    mappings = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}, nowhere]
    with refused(("InvalidSnapshot.NotFound", "InvalidBlockDeviceMapping"), "snap-0123456789abcdef0"):
        world.launch(BlockDeviceMappings=mappings)
    assert world.ec2.describe_instances()["Reservations"] == []
    assert world.ec2.describe_volumes()["Volumes"] == []
    assert world.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_keeps_user_data_byte_for_byte(world: World) -> None:
    instance = world.launch(UserData=SCRIPT)
    asked = {"InstanceId": instance["InstanceId"], "Attribute": "userData"}
    encoded = world.ec2.describe_instance_attribute(**asked)["UserData"]["Value"]
    assert base64.b64decode(encoded).decode() == SCRIPT


def test_launch_template_data_tells_all_in_one_call(world: World) -> None:
    instance = world.launch(
        KeyName="operators",
        UserData=SCRIPT,
        DisableApiTermination=True,
        DisableApiStop=True,
        InstanceInitiatedShutdownBehavior="terminate",
        EbsOptimized=True,
        Monitoring={"Enabled": True},
        Placement={"AvailabilityZone": ZONE, "Tenancy": "default"},
        IamInstanceProfile={"Name": "backup"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        CreditSpecification={"CpuCredits": "standard"},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "VolumeType": "gp3", "DeleteOnTermination": False}}
        ],
        TagSpecifications=[tagged("instance", Name="web")],
    )
    data = world.ec2.get_launch_template_data(InstanceId=instance["InstanceId"])["LaunchTemplateData"]
    assert data["ImageId"] == IMAGE
    assert data["InstanceType"] == "t3.micro"
    assert data["KeyName"] == "operators"
    assert base64.b64decode(data["UserData"]).decode() == SCRIPT
    assert (data["DisableApiTermination"], data["DisableApiStop"]) == (True, True)
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["EbsOptimized"] is True
    assert data["Monitoring"] == {"Enabled": True}
    assert data["Placement"]["AvailabilityZone"] == ZONE
    profile = data["IamInstanceProfile"]
    assert (profile.get("Arn") or profile["Name"]).endswith("backup")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert data["CreditSpecification"] == {"CpuCredits": "standard"}
    disks = {mapping["DeviceName"]: mapping["Ebs"] for mapping in data["BlockDeviceMappings"]}
    assert set(disks) == {instance["RootDeviceName"], "/dev/sdf"}
    assert disks["/dev/sdf"]["VolumeSize"] == 3
    assert disks["/dev/sdf"]["VolumeType"] == "gp3"
    assert disks["/dev/sdf"]["DeleteOnTermination"] is False
    card = data["NetworkInterfaces"][0]
    assert (card["DeviceIndex"], card["SubnetId"]) == (0, instance["SubnetId"])
    assert card["Groups"] == [group["GroupId"] for group in instance["SecurityGroups"]]
    assert tagged("instance", Name="web") in data["TagSpecifications"]


def test_launch_template_data_of_nothing_is_refused(world: World) -> None:
    with refused("InvalidInstanceID.NotFound", "i-0123456789abcdef0"):
        world.ec2.get_launch_template_data(InstanceId="i-0123456789abcdef0")
