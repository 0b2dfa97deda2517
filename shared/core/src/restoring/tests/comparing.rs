//! Comparisons and waves, with anything that may come.

use super::super::fidelity::compare;
use super::super::order::decide_waves;
use super::super::request::Order;
use super::super::scene::captured;
use super::super::target::candidate_interfaces;
use crate::configuration::{InstanceConfiguration, Tags};
use crate::ids::InstanceId;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a new instance has of its own by nature, wherever it stands in the record.
const OWN: [&str; 19] = [
    "/image_id",
    "/launched_at",
    "/state",
    "/public_ip_address",
    "/private_ip_address",
    "/virtualization_type",
    "/hypervisor",
    "/current_boot_mode",
    "/root_device_type",
    "/lifecycle",
    "/volume_id",
    "/source_snapshot_id",
    "/network_interface_id",
    "/mac_address",
    "/public_ip",
    "/multi_attach_enabled",
    "/ebs_card_index",
    "/elastic_ip_tags",
    "/primary",
];

/// The leaves of a record, and whether each counts.
fn leaves(value: &Value, path: &str, into: &mut Vec<(String, bool)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{path}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{path}/{index}"), into);
            }
        }
        Value::Null => {}
        _ => {
            // Compared with the interfaces, and so not once more.
            let twice = path.starts_with("/subnet_id")
                || path.starts_with("/security_groups")
                || path == "/source_dest_check"
                || path.starts_with("/volumes") && path.ends_with("/availability_zone");
            into.push((
                path.to_owned(),
                !twice && !OWN.iter().any(|own| path.ends_with(own)),
            ));
        }
    }
}

fn change(value: &mut Value) {
    *value = match &*value {
        Value::Bool(flag) => Value::Bool(!*flag),
        Value::Number(number) => (number.as_i64().unwrap() + 7).into(),
        Value::String(text) if text.starts_with("vol-") => "vol-0ffffffffffffffff".into(),
        Value::String(text) if text.ends_with('Z') => "2026-01-01T00:00:00Z".into(),
        Value::String(text) => format!("{text}0").into(),
        other => other.clone(),
    };
}

proptest! {
    #[test]
    fn two_configurations_compare_as_equal_just_when_they_are_up_to_what_is_each_ones_own(
        chosen in vec(any::<prop::sample::Index>(), 0..4),
        shuffles in any::<bool>(),
    ) {
        let wanted = captured();
        let mut whole = serde_json::to_value(&wanted).unwrap();
        let mut all = Vec::new();
        leaves(&whole, "", &mut all);
        let changed: BTreeSet<(String, bool)> = chosen.iter().map(|index| index.get(&all).clone()).collect();
        for (path, _) in &changed {
            change(whole.pointer_mut(path).unwrap());
        }
        let mut found: InstanceConfiguration = serde_json::from_value(whole).unwrap();
        if shuffles {
            // EC2's lists have no order of their own.
            found.volumes.reverse();
            found.interfaces.reverse();
        }
        let counts = changed.iter().any(|(_, counts)| *counts);
        // Which address is the primary one shows only where there are several.
        let primary = changed.iter().any(|(path, _)| path.contains("/interfaces/0/") && path.ends_with("/primary"));
        prop_assume!(!primary);
        prop_assert_eq!(!compare(&wanted, &found).is_empty(), counts, "{:?}", changed);
        prop_assert_eq!(compare(&found, &found), Vec::new());
    }

    #[test]
    fn waves_hold_every_resource_just_once_and_in_their_order(
        ranks in vec(prop_oneof![
            Just(None),
            "[0-9]{1,3}".prop_map(Some),
            "-?[0-9]{1,25}".prop_map(Some),
            "\\PC{0,6}".prop_map(Some),
        ], 0..40),
        which in 0_u8..3,
    ) {
        let resources: Vec<(InstanceId, Tags)> = ranks
            .iter()
            .enumerate()
            .map(|(n, rank)| {
                let id = InstanceId::try_from(format!("i-{n:017x}")).unwrap();
                (id, rank.iter().map(|rank| ("rank".to_owned(), rank.clone())).collect())
            })
            .collect();
        let order = match which {
            0 => Order::Together,
            1 => Order::Listed,
            _ => Order::ByTag("rank".to_owned()),
        };
        let waves = decide_waves(&order, &resources);
        prop_assert!(waves.iter().all(|wave| !wave.is_empty()));
        let mut given: Vec<&InstanceId> = waves.iter().flatten().collect();
        prop_assert_eq!(given.len(), resources.len());
        given.sort();
        given.dedup();
        prop_assert_eq!(given.len(), resources.len());
        if which == 2 {
            let tag = |id: &InstanceId| resources.iter().find(|(other, _)| other == id).unwrap().1.get("rank");
            // What has no such tag comes last, and nothing else with it.
            let untagged: Vec<bool> = waves.iter().map(|wave| wave.iter().all(|id| tag(id).is_none())).collect();
            let mixed = waves.iter().any(|wave| {
                wave.iter().any(|id| tag(id).is_none()) && wave.iter().any(|id| tag(id).is_some())
            });
            prop_assert!(!mixed);
            prop_assert!(untagged.iter().rev().skip(1).all(|none| !none));
        }
    }
}

#[test]
fn another_primary_address_is_a_difference() {
    let wanted = captured();
    let mut found = captured();
    let addresses = &mut found.interfaces[0].private_addresses;
    (addresses[0].primary, addresses[1].primary) = (false, true);
    let fields: Vec<String> = compare(&wanted, &found)
        .into_iter()
        .map(|difference| difference.field)
        .collect();
    assert_eq!(fields, ["interfaces.0.private_addresses"]);
}

#[test]
fn an_elastic_address_on_another_private_address_is_a_difference() {
    let wanted = captured();
    let mut found = captured();
    let addresses = &mut found.interfaces[0].private_addresses;
    addresses[1].allocation_id = addresses[0].allocation_id.take();
    let differences = compare(&wanted, &found);
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].captured, "eipalloc-1 on 10.0.1.10");
    assert_eq!(differences[0].restored, "eipalloc-1 on 10.0.1.11");
    // With addresses that EC2 chooses it is the place in the list that counts.
    let mut open = captured();
    for private in &mut open.interfaces[0].private_addresses {
        private.address.clear();
    }
    assert_eq!(compare(&open, &captured()), Vec::new());
    assert_eq!(compare(&open, &found).len(), 1);
}

#[test]
fn a_candidate_has_no_captured_address_and_no_elastic_one() {
    let captured = captured();
    let interfaces = candidate_interfaces(&captured.interfaces);
    assert_eq!(interfaces.len(), captured.interfaces.len());
    for (candidate, original) in interfaces.iter().zip(&captured.interfaces) {
        assert_eq!(candidate.network_interface_id, "");
        assert_eq!(candidate.delete_on_termination, Some(true));
        assert_eq!(candidate.subnet_id, original.subnet_id);
        assert_eq!(candidate.security_groups, original.security_groups);
        // As many addresses, none of them chosen.
        assert_eq!(
            candidate.private_addresses.len(),
            original.private_addresses.len()
        );
        assert_eq!(candidate.ipv6_addresses.len(), original.ipv6_addresses.len());
        for private in &candidate.private_addresses {
            assert_eq!(
                (private.address.as_str(), private.allocation_id.as_deref()),
                ("", None)
            );
            assert!(private.elastic_ip_tags.is_empty());
        }
        let prefixes = candidate
            .ipv6_addresses
            .iter()
            .chain(&candidate.ipv4_prefixes)
            .chain(&candidate.ipv6_prefixes);
        assert!(prefixes.into_iter().all(String::is_empty));
    }
    let written = serde_json::to_string(&interfaces).unwrap();
    for word in ["eipalloc-", "10.0.", "2001:db8", "eni-"] {
        assert!(!written.contains(word), "{word} in {written}");
    }
}
