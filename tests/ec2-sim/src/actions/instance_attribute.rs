//! `DescribeInstanceAttribute` and `ModifyInstanceAttribute`.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::instance::InstanceState;
use crate::world::launch::set_usual_cpu;
use crate::xml::Xml;

use super::Scope;
use super::describe_instances::write_devices;
use super::describe_interfaces::write_groups;
use super::interfaces::check_single;

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let attribute = params.required("Attribute")?;
    let instance = scope.instance(params.required("InstanceId")?)?;
    let launch = &instance.launch;
    let mut xml = Xml::new();
    xml.text("instanceId", &instance.id);
    let mut value = |value: Option<String>| {
        xml.block(attribute, |xml| {
            xml.maybe("value", value);
        });
    };
    match attribute {
        "disableApiStop" => value(Some(launch.protection.stop.to_string())),
        "disableApiTermination" => value(Some(launch.protection.termination.to_string())),
        "ebsOptimized" => value(Some(launch.ebs_optimized.to_string())),
        "enaSupport" => value(instance.hardware.get("EnaSupport").map(str::to_owned)),
        "instanceInitiatedShutdownBehavior" => value(Some(launch.shutdown.to_string())),
        "instanceType" => value(Some(launch.instance_type.clone())),
        "kernel" => value(launch.kernel.clone()),
        "ramdisk" => value(launch.ramdisk.clone()),
        "rootDeviceName" => value(Some(instance.root_device.clone())),
        "sourceDestCheck" => {
            let primary = instance.primary_interface(scope.region);
            value(primary.map(|interface| interface.source_dest_check.to_string()));
        }
        "sriovNetSupport" => value(instance.hardware.get("SriovNetSupport").map(str::to_owned)),
        "userData" => value(launch.user_data.clone()),
        "blockDeviceMapping" => write_devices(instance, scope, &mut xml),
        "enclaveOptions" => launch.enclave.write("enclaveOptions", &mut xml),
        "groupSet" => {
            let groups = instance
                .primary_interface(scope.region)
                .map(|interface| interface.groups.as_slice());
            write_groups(groups.unwrap_or_default(), scope, &mut xml);
        }
        "productCodes" => instance.billing.write_codes(&mut xml),
        unknown => return Err(unknown_attribute(unknown)),
    }
    Ok(xml)
}

/// What a call can change, one at a time.
const ATTRIBUTES: &[&str] = &[
    "BlockDeviceMapping",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "GroupId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "SourceDestCheck",
    "UserData",
];

fn unknown_attribute(attribute: &str) -> Ec2Error {
    Ec2Error::invalid_value(format!(
        "Value ({attribute}) for parameter attribute is invalid. Unknown attribute."
    ))
}

pub(super) fn modify(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("InstanceId")?;
    let is_stopped = scope.instance(id)?.state(scope.now) == InstanceState::Stopped;
    scope.check_groups(params.list("GroupId"))?;
    let devices = read_devices(scope, id, params)?;
    let given = Given(params);
    check_single(ATTRIBUTES.iter().map(|name| (*name, given.names(name, params))))?;
    let changed = given.any_of(&["InstanceType", "UserData", "EbsOptimized"]);
    if let Some(attribute) = changed.filter(|_| !is_stopped) {
        return Err(Ec2Error::new(
            "IncorrectInstanceState",
            format!("The instance '{id}' is not in the 'stopped' state; {attribute} cannot be changed."),
        ));
    }
    let (stop, termination) = (
        given.flag("DisableApiStop")?,
        given.flag("DisableApiTermination")?,
    );
    let (optimized, check) = (given.flag("EbsOptimized")?, given.flag("SourceDestCheck")?);
    let shutdown = match given.text("InstanceInitiatedShutdownBehavior") {
        None => None,
        Some(text) => Some(text.parse().map_err(|()| {
            Ec2Error::invalid_value(format!(
                "Invalid value '{text}' for InstanceInitiatedShutdownBehavior. It must be 'stop' or 'terminate'."
            ))
        })?),
    };
    let groups = params.list("GroupId");
    let interface = if check.is_some() || !groups.is_empty() {
        Some(scope.only_interface(id)?.id.clone())
    } else {
        None
    };
    let instance = scope.instance_mut(id)?;
    let launch = &mut instance.launch;
    launch.protection.stop = stop.unwrap_or(launch.protection.stop);
    launch.protection.termination = termination.unwrap_or(launch.protection.termination);
    launch.ebs_optimized = optimized.unwrap_or(launch.ebs_optimized);
    launch.shutdown = shutdown.unwrap_or(launch.shutdown);
    if let Some(kind) = given.text("InstanceType") {
        kind.clone_into(&mut launch.instance_type);
        set_usual_cpu(&mut launch.cpu, kind);
    }
    if let Some(data) = given.text("UserData") {
        launch.user_data = Some(data.to_owned()).filter(|data| !data.is_empty());
    }
    if let Some(interface) = interface.and_then(|id| scope.region.interfaces.get_mut(&id)) {
        interface.source_dest_check = check.unwrap_or(interface.source_dest_check);
        if !groups.is_empty() {
            interface.groups = groups.into_iter().map(str::to_owned).collect();
        }
    }
    for (volume, flag) in devices {
        if let Some(attachment) = scope.volume_mut(&volume)?.attachment_to_mut(id) {
            attachment.delete_on_termination = flag;
        }
    }
    Ok(Xml::done())
}

/// The volumes whose fate at termination a call changes.
fn read_devices(scope: &Scope<'_>, id: &str, params: &Params) -> Result<Vec<(String, bool)>, Ec2Error> {
    let instance = scope.instance(id)?;
    let mut read = Vec::new();
    for mapping in params.structs("BlockDeviceMapping") {
        let device = mapping.required("DeviceName")?;
        let volume = instance
            .attached(scope.region)
            .find(|(_, attachment)| attachment.device == device);
        let (volume, _) = volume.ok_or_else(|| {
            Ec2Error::new(
                "InvalidInstanceAttributeValue",
                format!("No device is currently mapped at {device}"),
            )
        })?;
        let named = mapping.text("Ebs.VolumeId");
        if named.is_some_and(|named| named != volume.id.as_str()) {
            return Err(Ec2Error::new(
                "InvalidInstanceAttributeValue",
                format!(
                    "The volume {} is not attached at {device}",
                    named.unwrap_or_default()
                ),
            ));
        }
        if let Some(flag) = mapping.flag("Ebs.DeleteOnTermination")? {
            read.push((volume.id.to_string(), flag));
        }
    }
    Ok(read)
}

/// A call names an attribute by a parameter of its own, or by `Attribute` and `Value`.
struct Given<'a>(&'a Params);

impl<'a> Given<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let named = self
            .0
            .text("Attribute")
            .is_some_and(|attribute| attribute.eq_ignore_ascii_case(name));
        self.0
            .text(&format!("{name}.Value"))
            .or_else(|| self.0.text(name))
            .or_else(|| self.0.text("Value").filter(|_| named))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Ec2Error> {
        let named: Params = self
            .text(name)
            .map(|text| (name.to_owned(), text.to_owned()))
            .into_iter()
            .collect();
        named.flag(name)
    }

    /// Whether the call says something of an attribute.
    fn names(&self, name: &str, params: &Params) -> bool {
        self.text(name).is_some() || params.has_prefix(&format!("{name}."))
    }

    fn any_of(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.text(name).is_some())
    }
}
