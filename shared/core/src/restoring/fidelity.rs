//! Whether what was restored is what was captured: field by field.

use crate::configuration::{
    InstanceConfiguration, InterfaceConfiguration, PrivateAddress, Tags, VolumeConfiguration,
};
use crate::tags::is_reserved;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A field that is not as it was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field, such as `volumes./dev/sdf.iops`.
    pub field: String,
    /// What was captured.
    pub captured: String,
    /// What it is, or will be.
    pub restored: String,
    /// Why, for one that is known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Difference {
    /// A difference that is known before.
    pub fn announced(
        field: impl Into<String>,
        captured: impl Into<String>,
        restored: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            captured: captured.into(),
            restored: restored.into(),
            why: Some(why.into()),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: captured {}, restored {}",
            self.field, self.captured, self.restored
        )?;
        match &self.why {
            None => Ok(()),
            Some(why) => write!(f, " ({why})"),
        }
    }
}

/// What every new instance has of its own: it says nothing about fidelity. Devices and interfaces are compared apart.
const OWN: &[&str] = &[
    "image_id",
    "launched_at",
    "state",
    "public_ip_address",
    "private_ip_address",
    "subnet_id",
    "source_dest_check",
    "security_groups",
    "hypervisor",
    "current_boot_mode",
    "virtualization_type",
    "root_device_type",
    "lifecycle",
    "tags",
    "volumes",
    "interfaces",
];
const OWN_OF_VOLUME: &[&str] = &[
    "volume_id",
    "source_snapshot_id",
    "availability_zone",
    "tags",
    "device",
    "multi_attach_enabled",
    "ebs_card_index",
];
const OWN_OF_INTERFACE: &[&str] = &[
    "network_interface_id",
    "mac_address",
    "tags",
    "private_addresses",
    "ipv6_addresses",
    "ipv4_prefixes",
    "ipv6_prefixes",
];

/// Compares what was to be with what is. Nothing that a new instance has by its nature counts: ids, times, the hardware
/// below it, an address that AWS lent it. A wanted address that is empty is one that EC2 was to choose.
#[must_use]
pub fn compare(wanted: &InstanceConfiguration, found: &InstanceConfiguration) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (settled_wanted, settled_found) = (settled(wanted), settled(found));
    // Credits of which nothing is said are what the type has by itself.
    let open = wanted.cpu_credits.is_none().then_some("cpu_credits");
    let left_out: Vec<&str> = OWN.iter().copied().chain(open).collect();
    compare_fields("", &settled_wanted, &settled_found, &left_out, &mut differences);
    compare_tags("tags", &wanted.tags, &found.tags, &mut differences);
    compare_volumes(&wanted.volumes, &found.volumes, &mut differences);
    compare_interfaces(&wanted.interfaces, &found.interfaces, &mut differences);
    differences
}

/// With monitoring as it will be in a moment: EC2 shows it on its way there.
fn settled(configuration: &InstanceConfiguration) -> InstanceConfiguration {
    let monitoring = configuration.monitoring.as_deref().map(|state| match state {
        "pending" => "enabled",
        "disabling" => "disabled",
        other => other,
    });
    InstanceConfiguration {
        monitoring: monitoring.map(str::to_owned),
        ..configuration.clone()
    }
}

/// Compares volumes by their devices.
pub fn compare_volumes(
    wanted: &[VolumeConfiguration],
    found: &[VolumeConfiguration],
    differences: &mut Vec<Difference>,
) {
    for volume in wanted {
        let root = format!("volumes.{}", volume.device);
        match found.iter().find(|found| found.device == volume.device) {
            None => differences.push(difference(&root, "a volume", "nothing")),
            Some(found) => {
                // What is left to the type is whatever the type has.
                let open = [("iops", volume.iops), ("throughput", volume.throughput)];
                let open = open
                    .iter()
                    .filter(|(_, value)| value.is_none())
                    .map(|(name, _)| *name);
                let left_out: Vec<&str> = OWN_OF_VOLUME.iter().copied().chain(open).collect();
                compare_fields(&root, volume, found, &left_out, differences);
                compare_tags(&format!("{root}.tags"), &volume.tags, &found.tags, differences);
            }
        }
    }
    for volume in found {
        if !wanted.iter().any(|wanted| wanted.device == volume.device) {
            let root = format!("volumes.{}", volume.device);
            differences.push(difference(&root, "nothing", volume.volume_id.as_str()));
        }
    }
}

fn compare_interfaces(
    wanted: &[InterfaceConfiguration],
    found: &[InterfaceConfiguration],
    differences: &mut Vec<Difference>,
) {
    for interface in wanted {
        let root = format!("interfaces.{}", interface.place());
        let Some(found) = found.iter().find(|found| found.place() == interface.place()) else {
            differences.push(difference(&root, "an interface", "nothing"));
            continue;
        };
        compare_fields(&root, interface, found, OWN_OF_INTERFACE, differences);
        compare_tags(&format!("{root}.tags"), &interface.tags, &found.tags, differences);
        for (name, wanted, found) in [
            ("ipv6_addresses", &interface.ipv6_addresses, &found.ipv6_addresses),
            ("ipv4_prefixes", &interface.ipv4_prefixes, &found.ipv4_prefixes),
            ("ipv6_prefixes", &interface.ipv6_prefixes, &found.ipv6_prefixes),
        ] {
            compare_lists(&format!("{root}.{name}"), wanted, found, differences);
        }
        compare_addresses(&root, interface, found, differences);
    }
    for interface in found {
        if !wanted.iter().any(|wanted| wanted.place() == interface.place()) {
            let root = format!("interfaces.{}", interface.place());
            differences.push(difference(&root, "nothing", &interface.network_interface_id));
        }
    }
}

fn compare_addresses(
    root: &str,
    wanted: &InterfaceConfiguration,
    found: &InterfaceConfiguration,
    differences: &mut Vec<Difference>,
) {
    let (wanted, found) = (primary_first(wanted), primary_first(found));
    let texts = |addresses: &[&PrivateAddress]| -> Vec<String> {
        addresses.iter().map(|private| private.address.clone()).collect()
    };
    let field = format!("{root}.private_addresses");
    let (texts_wanted, texts_found) = (texts(&wanted), texts(&found));
    match (texts_wanted.first(), texts_found.first()) {
        // The same addresses with another one as the primary are not the same.
        (Some(first), Some(other)) if !first.is_empty() && first != other => {
            differences.push(difference(&field, &listed(&texts_wanted), &listed(&texts_found)));
        }
        _ => compare_lists(&field, &texts_wanted, &texts_found, differences),
    }
    compare_elastic_ips(&format!("{root}.elastic_ips"), &wanted, &found, differences);
}

/// The private addresses of an interface, the primary one first.
fn primary_first(interface: &InterfaceConfiguration) -> Vec<&PrivateAddress> {
    let mut addresses: Vec<_> = interface.private_addresses.iter().collect();
    addresses.sort_by_key(|private| !private.primary);
    addresses
}

/// Elastic addresses stand on private ones: on the one that is named, or on the one at the same place where EC2 was to
/// choose.
fn compare_elastic_ips(
    field: &str,
    wanted: &[&PrivateAddress],
    found: &[&PrivateAddress],
    differences: &mut Vec<Difference>,
) {
    let elastic = |addresses: &[&PrivateAddress]| -> BTreeMap<String, (usize, String)> {
        let numbered = addresses.iter().enumerate();
        numbered
            .filter_map(|(place, private)| {
                Some((private.allocation_id.clone()?, (place, private.address.clone())))
            })
            .collect()
    };
    let (wanted, found) = (elastic(wanted), elastic(found));
    let stands = |(allocation, (place, address)): (&String, &(usize, String))| {
        found.get(allocation).is_some_and(|(at, there)| {
            if address.is_empty() {
                (*place == 0) == (*at == 0)
            } else {
                address == there
            }
        })
    };
    if wanted.len() != found.len() || !wanted.iter().all(stands) {
        differences.push(difference(field, &in_words(&wanted), &in_words(&found)));
    }
}

fn in_words(elastic: &BTreeMap<String, (usize, String)>) -> String {
    let words = elastic
        .iter()
        .map(|(allocation, (_, address))| match address.as_str() {
            "" => allocation.clone(),
            address => format!("{allocation} on {address}"),
        });
    words.collect::<Vec<_>>().join(", ")
}

/// An empty text in `wanted` stands for any one.
fn compare_lists(field: &str, wanted: &[String], found: &[String], differences: &mut Vec<Difference>) {
    let mut exact: Vec<&String> = wanted.iter().filter(|text| !text.is_empty()).collect();
    let mut there: Vec<&String> = found.iter().collect();
    exact.sort();
    there.sort();
    if wanted.len() != found.len() || !exact.iter().all(|text| there.contains(text)) {
        differences.push(difference(field, &listed(wanted), &listed(found)));
    }
}

/// A list in words: what is left open is chosen by EC2.
fn listed(texts: &[String]) -> String {
    let words = texts.iter().map(|text| {
        if text.is_empty() {
            "one of EC2's choice"
        } else {
            text
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Compares tags, but for those that nobody else sets.
pub(super) fn compare_tags(field: &str, wanted: &Tags, found: &Tags, differences: &mut Vec<Difference>) {
    let own = |tags: &Tags| -> Tags {
        tags.iter()
            .filter(|(key, _)| !is_reserved(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let (wanted, found) = (own(wanted), own(found));
    for (key, value) in &wanted {
        if found.get(key) != Some(value) {
            let restored = found.get(key).map_or("nothing", String::as_str);
            differences.push(difference(&format!("{field}.{key}"), value, restored));
        }
    }
    for (key, value) in found.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        differences.push(difference(&format!("{field}.{key}"), "nothing", value));
    }
}

/// Compares two records through their fields' names, so that a field that is added later is compared too.
fn compare_fields<T: Serialize>(
    root: &str,
    wanted: &T,
    found: &T,
    left_out: &[&str],
    differences: &mut Vec<Difference>,
) {
    let (wanted, found) = (to_value(wanted), to_value(found));
    let (Value::Object(wanted), Value::Object(found)) = (wanted, found) else {
        return;
    };
    for (name, value) in wanted {
        if left_out.contains(&name.as_str()) {
            continue;
        }
        let other = found.get(&name).cloned().unwrap_or(Value::Null);
        let field = if root.is_empty() {
            name
        } else {
            format!("{root}.{name}")
        };
        compare_values(&field, &value, &other, differences);
    }
}

fn compare_values(field: &str, wanted: &Value, found: &Value, differences: &mut Vec<Difference>) {
    if let (Value::Object(wanted), Value::Object(found)) = (wanted, found) {
        for (name, value) in wanted {
            let other = found.get(name).unwrap_or(&Value::Null);
            compare_values(&format!("{field}.{name}"), value, other, differences);
        }
        for (name, other) in found.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            compare_values(&format!("{field}.{name}"), &Value::Null, other, differences);
        }
        return;
    }
    // A list of EC2's has no order of its own.
    if sorted(wanted) != sorted(found) {
        differences.push(difference(field, &words(wanted), &words(found)));
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn to_value<T: Serialize>(record: &T) -> Value {
    serde_json::to_value(record).unwrap_or(Value::Null)
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn difference(field: &str, captured: &str, restored: &str) -> Difference {
    let or_nothing = |text: &str| if text.is_empty() { "nothing" } else { text }.to_owned();
    Difference {
        field: field.to_owned(),
        captured: or_nothing(captured),
        restored: or_nothing(restored),
        why: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::captured;
    use super::*;
    use crate::ids::VolumeId;

    /// Every leaf of the captured configuration, changed on its own.
    fn changes(value: &Value, path: &str, into: &mut Vec<(String, Value)>, root: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    changes(
                        value,
                        &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                        into,
                        root,
                    );
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    changes(value, &format!("{path}/{index}"), into, root);
                }
            }
            leaf => {
                let changed = match leaf {
                    Value::Bool(flag) => Value::Bool(!flag),
                    Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
                    Value::String(text) => format!("{text}0").into(),
                    _ => return,
                };
                let mut all = root.clone();
                *all.pointer_mut(path).unwrap() = changed;
                into.push((path.to_owned(), all));
            }
        }
    }

    #[test]
    fn what_is_the_same_does_not_differ_whatever_its_ids_are() {
        let wanted = captured();
        let mut found = wanted.clone();
        found.image_id = Some("ami-other".to_owned());
        found.volumes[0].volume_id = VolumeId::try_from("vol-0ffffffffffffffff").unwrap();
        found.interfaces[0].network_interface_id = "eni-other".to_owned();
        found.interfaces[0].mac_address = None;
        found
            .tags
            .insert("holdfast:restored-from".to_owned(), "rp/i".to_owned());
        found.product_codes.reverse();
        assert_eq!(compare(&wanted, &found), Vec::new());
    }

    #[test]
    fn any_single_changed_field_is_found_and_named() {
        let wanted = captured();
        let whole = serde_json::to_value(&wanted).unwrap();
        let mut all = Vec::new();
        changes(&whole, "", &mut all, &whole);
        assert!(all.len() > 80, "{} fields", all.len());
        let mut missed = Vec::new();
        for (path, changed) in all {
            let Ok(found) = serde_json::from_value::<InstanceConfiguration>(changed) else {
                continue;
            };
            if compare(&wanted, &found).is_empty() {
                missed.push(path);
            }
        }
        let by_nature = [
            "/image_id",
            "/launched_at",
            "/state",
            "/public_ip_address",
            "/private_ip_address",
            "/subnet_id",
            "/source_dest_check",
            "/security_groups/",
            "/hypervisor",
            "/current_boot_mode",
            "/virtualization_type",
            "/root_device_type",
            "/lifecycle",
            "/volume_id",
            "/source_snapshot_id",
            "/availability_zone",
            "/network_interface_id",
            "/mac_address",
            "/public_ip",
            "/primary",
            "/elastic_ip_tags",
            "/multi_attach_enabled",
            "/ebs_card_index",
        ];
        missed.retain(|path| !by_nature.iter().any(|own| path.contains(own)));
        assert_eq!(missed, Vec::<String>::new());
    }

    #[test]
    fn a_missing_and_an_extra_device_both_show() {
        let wanted = captured();
        let mut found = wanted.clone();
        let mut moved = found.volumes.remove(1);
        "/dev/sdz".clone_into(&mut moved.device);
        found.volumes.push(moved);
        let fields: Vec<String> = compare(&wanted, &found).into_iter().map(|d| d.field).collect();
        assert_eq!(
            fields,
            [
                format!("volumes.{}", wanted.volumes[1].device),
                "volumes./dev/sdz".to_owned()
            ]
        );
    }

    #[test]
    fn an_address_that_ec2_was_to_choose_may_be_any_but_must_be_there() {
        let mut wanted = captured();
        let mut found = captured();
        for address in &mut wanted.interfaces[0].private_addresses {
            address.address.clear();
            address.allocation_id = None;
        }
        for address in &mut found.interfaces[0].private_addresses {
            address.allocation_id = None;
        }
        assert_eq!(compare(&wanted, &found), Vec::new());
        found.interfaces[0].private_addresses.pop();
        assert_eq!(compare(&wanted, &found).len(), 1);
    }
}
