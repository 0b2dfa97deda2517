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
    "EnablePrimaryIpv6",
    "EnclaveOptions",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceMarketOptions",
    "InstanceType",
    "Ipv6Address",
    "Ipv6AddressCount",
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
    (
        "AttachNetworkInterface",
        &[
            "DeviceIndex",
            "InstanceId",
            "NetworkCardIndex",
            "NetworkInterfaceId",
        ],
    ),
    ("AttachVolume", &["Device", "InstanceId", "VolumeId"]),
    ("CancelCapacityReservation", &["CapacityReservationId"]),
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
    (
        "CreateKeyPair",
        &["KeyFormat", "KeyName", "KeyType", "TagSpecification"],
    ),
    (
        "CreateNetworkInterface",
        &[
            "ClientToken",
            "ConnectionTrackingSpecification",
            "Description",
            "EnablePrimaryIpv6",
            "InterfaceType",
            "Ipv4Prefix",
            "Ipv4PrefixCount",
            "Ipv6AddressCount",
            "Ipv6Addresses",
            "Ipv6Prefix",
            "Ipv6PrefixCount",
            "PrivateIpAddress",
            "PrivateIpAddresses",
            "SecondaryPrivateIpAddressCount",
            "SecurityGroupId",
            "SubnetId",
            "TagSpecification",
        ],
    ),
    (
        "CreateReplaceRootVolumeTask",
        &[
            "ClientToken",
            "DeleteReplacedRootVolume",
            "ImageId",
            "InstanceId",
            "SnapshotId",
            "TagSpecification",
            "VolumeInitializationRate",
        ],
    ),
    (
        "CreateSecurityGroup",
        &["GroupDescription", "GroupName", "TagSpecification", "VpcId"],
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
    (
        "CreateSubnet",
        &[
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "TagSpecification",
            "VpcId",
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
    ("DeleteKeyPair", &["KeyName", "KeyPairId"]),
    ("DeleteNetworkInterface", &["NetworkInterfaceId"]),
    ("DeletePlacementGroup", &["GroupName"]),
    ("DeleteSecurityGroup", &["GroupId", "GroupName"]),
    ("DeleteSnapshot", &["SnapshotId"]),
    ("DeleteSubnet", &["SubnetId"]),
    ("DeleteTags", &["ResourceId", "Tag"]),
    ("DeleteVolume", &["VolumeId"]),
    ("DeregisterImage", &["DeleteAssociatedSnapshots", "ImageId"]),
    ("DescribeAddresses", &["AllocationId", "Filter", "PublicIp"]),
    ("DescribeAvailabilityZones", &["ZoneName"]),
    ("DescribeCapacityReservations", &["CapacityReservationId"]),
    ("DescribeHosts", &["HostId"]),
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
        "DescribeInstanceStatus",
        &[
            "Filter",
            "IncludeAllInstances",
            "InstanceId",
            "MaxResults",
            "NextToken",
        ],
    ),
    (
        "DescribeInstanceTypeOfferings",
        &["Filter", "LocationType", "MaxResults", "NextToken"],
    ),
    (
        "DescribeInstanceTypes",
        &["Filter", "InstanceType", "MaxResults", "NextToken"],
    ),
    (
        "DescribeInstances",
        &["Filter", "InstanceId", "MaxResults", "NextToken"],
    ),
    (
        "DescribeKeyPairs",
        &["Filter", "IncludePublicKey", "KeyName", "KeyPairId"],
    ),
    (
        "DescribeLockedSnapshots",
        &["Filter", "MaxResults", "NextToken", "SnapshotId"],
    ),
    (
        "DescribeNetworkInterfaces",
        &["Filter", "MaxResults", "NetworkInterfaceId", "NextToken"],
    ),
    ("DescribePlacementGroups", &["Filter", "GroupName"]),
    ("DescribeRegions", &["AllRegions", "Filter", "RegionName"]),
    (
        "DescribeReplaceRootVolumeTasks",
        &["Filter", "MaxResults", "NextToken", "ReplaceRootVolumeTaskId"],
    ),
    (
        "DescribeSecurityGroups",
        &["Filter", "GroupId", "GroupName", "MaxResults", "NextToken"],
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
    ("DetachNetworkInterface", &["AttachmentId", "Force"]),
    ("DetachVolume", &["Device", "InstanceId", "VolumeId"]),
    ("DisableEbsEncryptionByDefault", &[]),
    ("DisableImage", &["ImageId"]),
    ("DisassociateAddress", &["AssociationId"]),
    ("EnableEbsEncryptionByDefault", &[]),
    ("EnableImage", &["ImageId"]),
    ("GetEbsDefaultKmsKeyId", &[]),
    ("GetEbsEncryptionByDefault", &[]),
    ("GetLaunchTemplateData", &["InstanceId"]),
    (
        "ImportKeyPair",
        &["KeyName", "PublicKeyMaterial", "TagSpecification"],
    ),
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
    ("ModifyEbsDefaultKmsKeyId", &["KmsKeyId"]),
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
        "ModifyNetworkInterfaceAttribute",
        &[
            "Attachment",
            "Description",
            "NetworkInterfaceId",
            "SecurityGroupId",
            "SourceDestCheck",
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
    ("ReleaseAddress", &["AllocationId"]),
    ("ReleaseHosts", &["HostId"]),
    ("ResetEbsDefaultKmsKeyId", &[]),
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
