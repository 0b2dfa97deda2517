//! How an instance was launched: the part of its configuration that only `RunInstances` and
//! `ModifyInstanceAttribute` set.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::Ec2Error;
use crate::params::{Params, lower_first};
use crate::tags::Tags;
use crate::world::instance_type::InstanceType;
use crate::xml::Xml;

/// The settings of an instance that are neither devices nor interfaces.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) image: String,
    pub(crate) instance_type: String,
    pub(crate) key_name: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) ramdisk: Option<String>,
    /// Base64, as it came.
    pub(crate) user_data: Option<String>,
    pub(crate) profile: Option<Profile>,
    pub(crate) ebs_optimized: bool,
    pub(crate) monitoring: bool,
    pub(crate) protection: Protection,
    pub(crate) shutdown: ShutdownBehaviour,
    pub(crate) client_token: Option<String>,
    pub(crate) cpu_credits: Option<String>,
    pub(crate) placement: Options,
    pub(crate) cpu: Options,
    pub(crate) metadata: Options,
    pub(crate) private_dns: Options,
    pub(crate) maintenance: Options,
    pub(crate) enclave: Options,
    pub(crate) hibernation: Options,
    pub(crate) capacity_reservation: Options,
    pub(crate) network_performance: Options,
    pub(crate) market: Options,
    pub(crate) licenses: Vec<String>,
}

/// What the API refuses to do to an instance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Protection {
    pub(crate) termination: bool,
    pub(crate) stop: bool,
}

/// An IAM instance profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) arn: String,
    pub(crate) id: String,
}

/// What a shutdown from inside does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ShutdownBehaviour {
    #[default]
    Stop,
    Terminate,
}

impl FromStr for ShutdownBehaviour {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "stop" => Ok(Self::Stop),
            "terminate" => Ok(Self::Terminate),
            _ => Err(()),
        }
    }
}

impl fmt::Display for ShutdownBehaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        })
    }
}

/// A structure of settings that the simulator keeps and gives back without acting on it. Fields of
/// structures inside it are named with dots. AWS gives fields back with a small first letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options(BTreeMap<String, String>);

/// A structure's fields, with what AWS fills in.
pub(crate) type Fields = &'static [(&'static str, Option<&'static str>)];

pub(crate) const PLACEMENT: Fields = &[
    ("Affinity", None),
    ("AvailabilityZone", None),
    ("AvailabilityZoneId", None),
    ("GroupId", None),
    ("GroupName", Some("")),
    ("HostId", None),
    ("HostResourceGroupArn", None),
    ("PartitionNumber", None),
    ("SpreadDomain", None),
    ("Tenancy", Some("default")),
];
pub(crate) const CPU: Fields = &[
    ("AmdSevSnp", None),
    ("CoreCount", Some("1")),
    ("NestedVirtualization", None),
    ("ThreadsPerCore", Some("2")),
];
pub(crate) const METADATA: Fields = &[
    ("HttpEndpoint", Some("enabled")),
    ("HttpProtocolIpv6", Some("disabled")),
    ("HttpPutResponseHopLimit", Some("1")),
    ("HttpTokens", Some("optional")),
    ("InstanceMetadataTags", Some("disabled")),
    ("State", Some("applied")),
];
pub(crate) const PRIVATE_DNS: Fields = &[
    ("EnableResourceNameDnsAAAARecord", Some("false")),
    ("EnableResourceNameDnsARecord", Some("false")),
    ("HostnameType", Some("ip-name")),
];
pub(crate) const MAINTENANCE: Fields = &[("AutoRecovery", Some("default")), ("RebootMigration", None)];
pub(crate) const ENCLAVE: Fields = &[("Enabled", Some("false"))];
pub(crate) const HIBERNATION: Fields = &[("Configured", Some("false"))];
pub(crate) const CAPACITY_RESERVATION: Fields = &[
    ("CapacityReservationPreference", Some("open")),
    ("CapacityReservationTarget.CapacityReservationId", None),
    (
        "CapacityReservationTarget.CapacityReservationResourceGroupArn",
        None,
    ),
];
pub(crate) const NETWORK_PERFORMANCE: Fields = &[("BandwidthWeighting", Some("default"))];
pub(crate) const MARKET: Fields = &[
    ("MarketType", None),
    ("SpotOptions.BlockDurationMinutes", None),
    ("SpotOptions.InstanceInterruptionBehavior", None),
    ("SpotOptions.MaxPrice", None),
    ("SpotOptions.SpotInstanceType", None),
    ("SpotOptions.ValidUntil", None),
];

impl Options {
    /// Reads a structure from a call; a field that it does not have is refused.
    pub(crate) fn read(params: &Params, name: &str, fields: Fields) -> Result<Self, Ec2Error> {
        let given = params.inner(name);
        let mut options = BTreeMap::new();
        for (field, default) in fields {
            if let Some(value) = given.text(field).or(*default) {
                options.insert((*field).to_owned(), value.to_owned());
            }
        }
        let known: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        if given.without(&known).is_empty() {
            Ok(Self(options))
        } else {
            Err(Ec2Error::new(
                "UnknownParameter",
                format!("The parameter {name} has an unknown field"),
            ))
        }
    }

    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub(crate) fn set(&mut self, field: &str, value: impl Into<String>) {
        self.0.insert(field.to_owned(), value.into());
    }

    /// These without some fields.
    pub(crate) fn without(&self, fields: &[&str]) -> Self {
        let mut left = self.0.clone();
        left.retain(|field, _| !fields.contains(&field.as_str()));
        Self(left)
    }

    pub(crate) fn is_on(&self, field: &str) -> bool {
        self.get(field) == Some("true")
    }

    /// Writes the structure, or nothing when it holds nothing.
    pub(crate) fn write(&self, name: &str, xml: &mut Xml) {
        if !self.0.is_empty() {
            xml.block(name, |xml| self.write_fields(xml));
        }
    }

    /// Writes the fields without an element around them.
    pub(crate) fn write_fields(&self, xml: &mut Xml) {
        let mut inner: BTreeMap<&str, Self> = BTreeMap::new();
        for (field, value) in &self.0 {
            match field.split_once('.') {
                Some((structure, field)) => inner.entry(structure).or_default().set(field, value),
                None => {
                    xml.text(&lower_first(field), value);
                }
            }
        }
        for (structure, options) in inner {
            options.write(&lower_first(structure), xml);
        }
    }
}

impl Launch {
    /// Reads what a `RunInstances` call says about all of its instances.
    pub(crate) fn read(params: &Params, account: &str, zone: &str) -> Result<Self, Ec2Error> {
        let instance_type = params.text("InstanceType").unwrap_or("m1.small").to_owned();
        let mut placement = Options::read(params, "Placement", PLACEMENT)?;
        placement.set("AvailabilityZone", zone);
        let cpu_credits = params
            .owned("CreditSpecification.CpuCredits")
            .or_else(|| default_credits(&instance_type));
        Ok(Self {
            image: params.required("ImageId")?.to_owned(),
            instance_type: instance_type.clone(),
            key_name: params.owned("KeyName"),
            kernel: params.owned("KernelId"),
            ramdisk: params.owned("RamdiskId"),
            user_data: params.owned("UserData").filter(|data| !data.is_empty()),
            profile: read_profile(params, account),
            ebs_optimized: params.flag("EbsOptimized")?.unwrap_or_default(),
            monitoring: params.flag("Monitoring.Enabled")?.unwrap_or_default(),
            protection: Protection {
                termination: params.flag("DisableApiTermination")?.unwrap_or_default(),
                stop: params.flag("DisableApiStop")?.unwrap_or_default(),
            },
            shutdown: params
                .parsed("InstanceInitiatedShutdownBehavior")?
                .unwrap_or_default(),
            client_token: params.owned("ClientToken"),
            cpu_credits,
            placement,
            cpu: read_cpu(params, &instance_type)?,
            metadata: Options::read(params, "MetadataOptions", METADATA)?,
            private_dns: Options::read(params, "PrivateDnsNameOptions", PRIVATE_DNS)?,
            maintenance: Options::read(params, "MaintenanceOptions", MAINTENANCE)?,
            enclave: Options::read(params, "EnclaveOptions", ENCLAVE)?,
            hibernation: Options::read(params, "HibernationOptions", HIBERNATION)?,
            capacity_reservation: Options::read(
                params,
                "CapacityReservationSpecification",
                CAPACITY_RESERVATION,
            )?,
            network_performance: Options::read(params, "NetworkPerformanceOptions", NETWORK_PERFORMANCE)?,
            market: Options::read(params, "InstanceMarketOptions", MARKET)?,
            licenses: params
                .structs("LicenseSpecification")
                .iter()
                .filter_map(|license| license.owned("LicenseConfigurationArn"))
                .collect(),
        })
    }

    pub(crate) fn is_spot(&self) -> bool {
        self.market.get("MarketType") == Some("spot")
    }

    /// Whether it is a spot instance that AWS ends instead of stopping.
    pub(crate) fn is_one_time_spot(&self) -> bool {
        self.is_spot() && self.market.get("SpotOptions.SpotInstanceType") != Some("persistent")
    }

    /// Graviton types have a `g` after the generation's number.
    pub(crate) fn architecture(&self) -> &'static str {
        let family = self.instance_type.split('.').next().unwrap_or_default();
        let after_letters = family.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        if after_letters.contains('g') {
            "arm64"
        } else {
            "x86_64"
        }
    }
}

/// What a call says of an instance's cores and threads, and else what its type has.
fn read_cpu(params: &Params, instance_type: &str) -> Result<Options, Ec2Error> {
    let given = params.inner("CpuOptions");
    let mut cpu = Options::read(params, "CpuOptions", CPU)?;
    if given.is_empty() {
        set_usual_cpu(&mut cpu, instance_type);
    }
    Ok(cpu)
}

/// The cores and threads of a type that nobody changed.
pub(crate) fn set_usual_cpu(cpu: &mut Options, instance_type: &str) {
    if let Some(known) = InstanceType::named(instance_type) {
        cpu.set("CoreCount", known.cores().to_string());
        cpu.set("ThreadsPerCore", known.threads_per_core.to_string());
    }
}

fn read_profile(params: &Params, account: &str) -> Option<Profile> {
    let arn = params.owned("IamInstanceProfile.Arn").or_else(|| {
        params
            .text("IamInstanceProfile.Name")
            .map(|name| format!("arn:aws:iam::{account}:instance-profile/{name}"))
    })?;
    let number = crate::random::fingerprint(&arn);
    Some(Profile {
        arn,
        id: format!("AIPA{number:016X}"),
    })
}

/// What burstable types do when nobody says.
pub(crate) fn default_credits(instance_type: &str) -> Option<String> {
    let word = match instance_type.split('.').next()? {
        "t2" => "standard",
        "t3" | "t3a" | "t4g" => "unlimited",
        _ => return None,
    };
    Some(word.to_owned())
}

/// One `BlockDeviceMapping` of a call.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSpec {
    pub(crate) device: String,
    pub(crate) no_device: bool,
    /// An instance store device.
    pub(crate) virtual_name: Option<String>,
    pub(crate) ebs: EbsSpec,
}

/// What a call says about a volume. What it leaves out comes from the snapshot or from AWS.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EbsSpec {
    pub(crate) snapshot: Option<String>,
    pub(crate) size_gib: Option<u32>,
    pub(crate) kind: Option<super::volume::VolumeType>,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
    pub(crate) encrypted: Option<bool>,
    pub(crate) key: Option<String>,
    pub(crate) delete_on_termination: Option<bool>,
    pub(crate) multi_attach: bool,
    pub(crate) tags: Tags,
}

impl DeviceSpec {
    pub(crate) fn read_all(params: &Params) -> Result<Vec<Self>, Ec2Error> {
        params
            .structs("BlockDeviceMapping")
            .iter()
            .map(Self::read)
            .collect()
    }

    fn read(params: &Params) -> Result<Self, Ec2Error> {
        Ok(Self {
            device: params.required("DeviceName")?.to_owned(),
            no_device: params.text("NoDevice").is_some(),
            virtual_name: params.owned("VirtualName"),
            ebs: EbsSpec::read(&params.inner("Ebs"), "VolumeSize")?,
        })
    }
}

impl EbsSpec {
    /// This, and where it says nothing what an image says. Performance belongs to the type that it was said with.
    pub(crate) fn or(self, image: &Self) -> Self {
        let same_kind = self.kind.is_none() || self.kind == image.kind;
        let of_kind = |own: Option<u32>, of_image: Option<u32>| own.or(of_image.filter(|_| same_kind));
        Self {
            snapshot: self.snapshot.or_else(|| image.snapshot.clone()),
            size_gib: self.size_gib.or(image.size_gib),
            kind: self.kind.or(image.kind),
            iops: of_kind(self.iops, image.iops),
            throughput: of_kind(self.throughput, image.throughput),
            encrypted: self.encrypted.or(image.encrypted),
            key: self.key.or_else(|| image.key.clone()),
            delete_on_termination: self.delete_on_termination.or(image.delete_on_termination),
            ..self
        }
    }

    pub(crate) fn read(params: &Params, size: &str) -> Result<Self, Ec2Error> {
        let spec = Self {
            snapshot: params.owned("SnapshotId").filter(|id| !id.is_empty()),
            size_gib: params.parsed(size)?,
            kind: params.parsed("VolumeType")?,
            iops: params.parsed("Iops")?,
            throughput: params.parsed("Throughput")?,
            encrypted: params.flag("Encrypted")?,
            key: params.owned("KmsKeyId").filter(|key| !key.is_empty()),
            delete_on_termination: params.flag("DeleteOnTermination")?,
            multi_attach: params.flag("MultiAttachEnabled")?.unwrap_or_default(),
            tags: Tags::default(),
        };
        if spec.key.is_some() && spec.encrypted != Some(true) {
            return Err(Ec2Error::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_options_back_with_what_aws_fills_in() {
        let params = Params::from_form(b"M.HttpTokens=required");
        let options = Options::read(&params, "M", METADATA).unwrap();
        let mut xml = Xml::new();
        options.write("metadataOptions", &mut xml);
        let text = xml.into_response("A", "r");
        assert!(text.contains("<httpTokens>required</httpTokens>"), "{text}");
        assert!(
            text.contains("<httpPutResponseHopLimit>1</httpPutResponseHopLimit>"),
            "{text}"
        );
    }

    #[test]
    fn writes_structures_inside_options() {
        let params = Params::from_form(b"M.MarketType=spot&M.SpotOptions.MaxPrice=0.1");
        let mut xml = Xml::new();
        Options::read(&params, "M", MARKET).unwrap().write("m", &mut xml);
        let text = xml.into_response("A", "r");
        assert!(
            text.contains("<spotOptions><maxPrice>0.1</maxPrice></spotOptions>"),
            "{text}"
        );
    }

    #[test]
    fn refuses_a_field_that_the_structure_does_not_have() {
        let params = Params::from_form(b"M.HttpToken=required");
        assert_eq!(
            Options::read(&params, "M", METADATA).unwrap_err().code,
            "UnknownParameter"
        );
    }
}
