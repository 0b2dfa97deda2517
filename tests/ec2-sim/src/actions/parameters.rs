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

fn of(action: &str) -> &'static [&'static str] {
    match action {
        "AllocateAddress" => &["Domain", "TagSpecification"],
        "AssociateAddress" => &[
            "AllocationId",
            "AllowReassociation",
            "InstanceId",
            "NetworkInterfaceId",
            "PrivateIpAddress",
        ],
        "AttachVolume" | "DetachVolume" => &["Device", "InstanceId", "VolumeId"],
        "CreateSnapshot" => &["Description", "TagSpecification", "VolumeId"],
        "CreateSnapshots" => &[
            "CopyTagsFromSource",
            "Description",
            "InstanceSpecification",
            "TagSpecification",
        ],
        "CreateTags" | "DeleteTags" => &["ResourceId", "Tag"],
        "CreateVolume" => &[
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
        "DeleteSnapshot" => &["SnapshotId"],
        "DeleteVolume" => &["VolumeId"],
        "DescribeAddresses" => &["AllocationId", "Filter", "PublicIp"],
        "DescribeAvailabilityZones" => &["ZoneName"],
        "DescribeInstanceAttribute" => &["Attribute", "InstanceId"],
        "DescribeInstances" => &["Filter", "InstanceId", "MaxResults", "NextToken"],
        "DescribeNetworkInterfaces" => &["Filter", "MaxResults", "NetworkInterfaceId", "NextToken"],
        "DescribeRegions" => &["RegionName"],
        "DescribeSecurityGroups" => &["Filter", "GroupId", "MaxResults", "NextToken"],
        "DescribeSnapshots" => &[
            "Filter",
            "MaxResults",
            "NextToken",
            "Owner",
            "RestorableBy",
            "SnapshotId",
        ],
        "DescribeSubnets" => &["Filter", "MaxResults", "NextToken", "SubnetId"],
        "DescribeTags" => &["Filter", "MaxResults", "NextToken"],
        "DescribeVolumes" => &["Filter", "MaxResults", "NextToken", "VolumeId"],
        "DescribeVpcs" => &["Filter", "MaxResults", "NextToken", "VpcId"],
        "GetLaunchTemplateData" | "StartInstances" | "StopInstances" | "TerminateInstances" => {
            &["InstanceId"]
        }
        "ModifyInstanceAttribute" => &[
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
        "RunInstances" => RUN_INSTANCES,
        _ => &[],
    }
}
