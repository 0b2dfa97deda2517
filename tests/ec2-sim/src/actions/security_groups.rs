//! `CreateSecurityGroup`, `DeleteSecurityGroup` and `DescribeSecurityGroups`.

use crate::error::Ec2Error;
use crate::ids::next_id;
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::security_group::SecurityGroup;
use crate::xml::Xml;

use super::Scope;

const RULES: DescribeRules = DescribeRules {
    ids: "GroupId",
    ids_in_messages: "groupIds",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |ids| group_not_found(&ids.join(", ")),
};
const DEFAULT: &str = "default";
const NAME_LIMIT: usize = 255;

pub(super) fn group_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let name = params.required("GroupName")?;
    let description = params.required("GroupDescription")?;
    if let Some(vpc) = params.text("VpcId") {
        scope.check_vpc(vpc)?;
    }
    if name == DEFAULT {
        return Err(Ec2Error::invalid_value(format!(
            "Cannot use reserved security group name: {name}"
        )));
    }
    if name.starts_with("sg-") || name.len() > NAME_LIMIT {
        return Err(Ec2Error::invalid_value(format!(
            "Value ({name}) for parameter GroupName is invalid."
        )));
    }
    let network = &scope.region.network;
    if network.groups.iter().any(|group| group.name == name) {
        return Err(Ec2Error::new(
            "InvalidGroup.Duplicate",
            format!(
                "The security group '{name}' already exists for VPC '{}'",
                network.vpc.id
            ),
        ));
    }
    let group = SecurityGroup {
        id: next_id("sg", scope.ids),
        name: name.to_owned(),
        description: description.to_owned(),
        tags: Tags::specified(params, "security-group", &["security-group"])?,
    };
    let mut xml = Xml::done();
    xml.text("groupId", &group.id);
    group.tags.write(&mut xml);
    scope.region.network.groups.push(group);
    Ok(xml)
}

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let groups = &scope.region.network.groups;
    let (named, found) = match (params.text("GroupId"), params.text("GroupName")) {
        (Some(id), _) => (id, groups.iter().find(|group| group.id == id)),
        (None, Some(name)) => (name, groups.iter().find(|group| group.name == name)),
        (None, None) => return Err(Ec2Error::missing("GroupId")),
    };
    let group = found.ok_or_else(|| group_not_found(named))?;
    if group.name == DEFAULT {
        return Err(Ec2Error::new(
            "CannotDelete",
            format!(
                "the specified group: \"{}\" name: \"{DEFAULT}\" cannot be deleted by a user",
                group.id
            ),
        ));
    }
    let id = group.id.clone();
    let mut interfaces = scope.region.interfaces.values();
    if interfaces.any(|interface| interface.groups.contains(&id)) {
        return Err(Ec2Error::new(
            "DependencyViolation",
            format!("resource {id} has a dependent object"),
        ));
    }
    scope.region.network.groups.retain(|group| group.id != id);
    let mut xml = Xml::done();
    xml.text("groupId", id);
    Ok(xml)
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let network = &scope.region.network;
    let names = params.list("GroupName");
    let is_unknown = |name: &&&str| network.groups.iter().all(|group| group.name != **name);
    if let Some(unknown) = names.iter().find(is_unknown) {
        return Err(group_not_found(unknown));
    }
    let groups = network.groups.iter();
    let all = groups.map(|group| (group.id.as_str(), group)).collect();
    let wanted = |group: &&SecurityGroup| names.is_empty() || names.contains(&group.name.as_str());
    let found = find(&all, params, &RULES, scope.view(), wanted)?;
    let mut xml = Xml::new();
    xml.list("securityGroupInfo", found.resources, |xml, group| {
        xml.text("groupId", &group.id)
            .text("groupName", &group.name)
            .text("groupDescription", &group.description)
            .text("ownerId", scope.account)
            .text("vpcId", &network.vpc.id);
        group.tags.write(xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}
