//! The parameters that each action reads. A call with another one is refused: what the simulator does not know, it
//! must not seem to do.

use crate::error::Ec2Error;
use crate::params::Params;

const EVERYWHERE: &[&str] = &["Action", "DryRun", "Version"];

/// Refuses a call that carries a parameter which its action does not read.
pub(crate) fn check(action: &str, params: &Params) -> Result<(), Ec2Error> {
    let known = of(action);
    let mut names = params.top_names();
    match names.find(|name| !EVERYWHERE.contains(name) && !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => Err(Ec2Error::new(
            "UnknownParameter",
            format!("The parameter {unknown} is not recognized"),
        )),
    }
}

const RUN_INSTANCES: &[&str] = &[
    "BlockDeviceMapping",
    "CapacityReservationSpecification",
    "ClientToken",
    "CpuOptions",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "EnclaveOptions",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "KernelId",
    "KeyName",
    "LicenseSpecification",
    "MaintenanceOptions",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterface",
    "NetworkPerformanceOptions",
    "Placement",
    "PrivateDnsNameOptions",
    "PrivateIpAddress",
    "RamdiskId",
    "SecurityGroupId",
    "SubnetId",
    "TagSpecification",
    "UserData",
];

/// Actions in the order of their names.
const KNOWN: &[(&str, &[&str])] = &[
    ("AllocateAddress", &["Domain", "TagSpecification"]),
    (
        "AssociateAddress",
        &[
            "AllocationId",
            "AllowReassociation",
            "InstanceId",
            "NetworkInterfaceId",
            "PrivateIpAddress",
        ],
    ),
    ("AttachVolume", &["Device", "InstanceId", "VolumeId"]),
    (
        "CopySnapshot",
        &[
            "Description",
            "DestinationRegion",
            "Encrypted",
            "KmsKeyId",
            "PresignedUrl",
            "SourceRegion",
            "SourceSnapshotId",
            "TagSpecification",
        ],
    ),
    (
        "CreateImage",
        &[
            "BlockDeviceMapping",
            "Description",
            "InstanceId",
            "Name",
            "NoReboot",
            "TagSpecification",
        ],
    ),
    ("CreateSnapshot", &["Description", "TagSpecification", "VolumeId"]),
    (
        "CreateSnapshots",
        &[
            "CopyTagsFromSource",
            "Description",
            "InstanceSpecification",
            "TagSpecification",
        ],
    ),
    ("CreateTags", &["ResourceId", "Tag"]),
    (
        "CreateVolume",
        &[
            "AvailabilityZone",
            "AvailabilityZoneId",
            "ClientToken",
            "Encrypted",
            "Iops",
            "KmsKeyId",
            "MultiAttachEnabled",
            "Size",
            "SnapshotId",
            "TagSpecification",
            "Throughput",
            "VolumeType",
        ],
    ),
    ("DeleteSnapshot", &["SnapshotId"]),
    ("DeleteTags", &["ResourceId", "Tag"]),
    ("DeleteVolume", &["VolumeId"]),
    ("DeregisterImage", &["DeleteAssociatedSnapshots", "ImageId"]),
    ("DescribeAddresses", &["AllocationId", "Filter", "PublicIp"]),
    ("DescribeAvailabilityZones", &["ZoneName"]),
    (
        "DescribeImages",
        &[
            "Filter",
            "ImageId",
            "IncludeDeprecated",
            "IncludeDisabled",
            "MaxResults",
            "NextToken",
            "Owner",
        ],
    ),
    ("DescribeInstanceAttribute", &["Attribute", "InstanceId"]),
    (
        "DescribeInstances",
        &["Filter", "InstanceId", "MaxResults", "NextToken"],
    ),
    (
        "DescribeLockedSnapshots",
        &["Filter", "MaxResults", "NextToken", "SnapshotId"],
    ),
    (
        "DescribeNetworkInterfaces",
        &["Filter", "MaxResults", "NetworkInterfaceId", "NextToken"],
    ),
    ("DescribeRegions", &["AllRegions", "Filter", "RegionName"]),
    (
        "DescribeSecurityGroups",
        &["Filter", "GroupId", "MaxResults", "NextToken"],
    ),
    ("DescribeSnapshotAttribute", &["Attribute", "SnapshotId"]),
    (
        "DescribeSnapshotTierStatus",
        &["Filter", "MaxResults", "NextToken"],
    ),
    (
        "DescribeSnapshots",
        &[
            "Filter",
            "MaxResults",
            "NextToken",
            "Owner",
            "RestorableBy",
            "SnapshotId",
        ],
    ),
    (
        "DescribeSubnets",
        &["Filter", "MaxResults", "NextToken", "SubnetId"],
    ),
    ("DescribeTags", &["Filter", "MaxResults", "NextToken"]),
    (
        "DescribeVolumes",
        &["Filter", "MaxResults", "NextToken", "VolumeId"],
    ),
    ("DescribeVpcs", &["Filter", "MaxResults", "NextToken", "VpcId"]),
    ("DetachVolume", &["Device", "InstanceId", "VolumeId"]),
    ("DisableImage", &["ImageId"]),
    ("EnableImage", &["ImageId"]),
    ("GetLaunchTemplateData", &["InstanceId"]),
    (
        "LockSnapshot",
        &[
            "CoolOffPeriod",
            "ExpirationDate",
            "LockDuration",
            "LockMode",
            "SnapshotId",
        ],
    ),
    (
        "ModifyInstanceAttribute",
        &[
            "Attribute",
            "BlockDeviceMapping",
            "DisableApiStop",
            "DisableApiTermination",
            "EbsOptimized",
            "GroupId",
            "InstanceId",
            "InstanceInitiatedShutdownBehavior",
            "InstanceType",
            "SourceDestCheck",
            "UserData",
            "Value",
        ],
    ),
    (
        "ModifySnapshotAttribute",
        &[
            "Attribute",
            "CreateVolumePermission",
            "OperationType",
            "SnapshotId",
            "UserGroup",
            "UserId",
        ],
    ),
    ("ModifySnapshotTier", &["SnapshotId", "StorageTier"]),
    (
        "RegisterImage",
        &[
            "Architecture",
            "BlockDeviceMapping",
            "BootMode",
            "Description",
            "EnaSupport",
            "ImdsSupport",
            "KernelId",
            "Name",
            "RamdiskId",
            "RootDeviceName",
            "SriovNetSupport",
            "TagSpecification",
            "TpmSupport",
            "VirtualizationType",
        ],
    ),
    ("ResetSnapshotAttribute", &["Attribute", "SnapshotId"]),
    (
        "RestoreSnapshotTier",
        &["PermanentRestore", "SnapshotId", "TemporaryRestoreDays"],
    ),
    ("RunInstances", RUN_INSTANCES),
    ("StartInstances", &["InstanceId"]),
    ("StopInstances", &["InstanceId"]),
    ("TerminateInstances", &["InstanceId"]),
    ("UnlockSnapshot", &["SnapshotId"]),
];

fn of(action: &str) -> &'static [&'static str] {
    KNOWN
        .iter()
        .find(|(known, _)| *known == action)
        .map_or(&[], |(_, parameters)| *parameters)
}
