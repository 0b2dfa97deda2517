//! `CreateKeyPair`, `ImportKeyPair`, `DeleteKeyPair` and `DescribeKeyPairs`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::ids::next_id;
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::key_pair::{KeyPair, fingerprint_of};
use crate::xml::Xml;

use super::Scope;

/// AWS does not page key pairs.
const RULES: DescribeRules = DescribeRules {
    ids: "KeyName",
    ids_in_messages: "keyNames",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |names| key_pair_not_found(&names.join(", ")),
};
const KINDS: &[&str] = &["rsa", "ed25519"];
const FORMATS: &[&str] = &["pem", "ppk"];

pub(super) fn key_pair_not_found(name: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    )
}

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let kind = one_of(params, "KeyType", KINDS)?;
    one_of(params, "KeyFormat", FORMATS)?;
    let pair = new_pair(scope, params, kind)?;
    let mut xml = Xml::new();
    write_made(&pair, &mut xml);
    xml.text(
        "keyMaterial",
        format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
            pair.id
        ),
    );
    scope.region.key_pairs.add(pair);
    Ok(xml)
}

pub(super) fn import(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let material = params.required("PublicKeyMaterial")?;
    let public = BASE64
        .decode(material)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let public = public.ok_or_else(|| {
        Ec2Error::new(
            "InvalidKey.Format",
            "Key is not in valid OpenSSH public key format",
        )
    })?;
    let kind = if public.starts_with("ssh-ed25519") {
        "ed25519"
    } else {
        "rsa"
    };
    let pair = KeyPair {
        fingerprint: fingerprint_of(&public),
        public: Some(public),
        ..new_pair(scope, params, kind)?
    };
    let mut xml = Xml::new();
    write_made(&pair, &mut xml);
    scope.region.key_pairs.add(pair);
    Ok(xml)
}

fn new_pair(scope: &Scope<'_>, params: &Params, kind: &str) -> Result<KeyPair, Ec2Error> {
    let name = params.required("KeyName")?;
    if scope.region.key_pairs.made.contains_key(name) {
        return Err(Ec2Error::new(
            "InvalidKeyPair.Duplicate",
            "The keypair already exists",
        ));
    }
    let id = next_id("key", scope.ids);
    Ok(KeyPair {
        fingerprint: fingerprint_of(&id),
        id,
        name: name.to_owned(),
        kind: kind.to_owned(),
        public: None,
        created_at: Some(scope.now),
        tags: Tags::specified(params, "key-pair", &["key-pair"])?,
    })
}

fn one_of<'a>(params: &'a Params, name: &str, allowed: &[&'static str]) -> Result<&'a str, Ec2Error> {
    let first = allowed.first().copied().unwrap_or_default();
    let value = params.text(name).unwrap_or(first);
    if allowed.contains(&value) {
        Ok(value)
    } else {
        Err(Ec2Error::invalid_value(format!(
            "Value ({value}) for parameter {name} is invalid."
        )))
    }
}

fn write_made(pair: &KeyPair, xml: &mut Xml) {
    xml.text("keyName", &pair.name)
        .text("keyFingerprint", &pair.fingerprint)
        .text("keyPairId", &pair.id);
    pair.tags.write(xml);
}

/// Deletes by name or id. A name that is not there is no error.
pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let pairs = &scope.region.key_pairs;
    let name = match (params.text("KeyName"), params.text("KeyPairId")) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(id)) => {
            let mut made = pairs.made.values();
            made.find(|pair| pair.id == id).map(|pair| pair.name.clone())
        }
        (None, None) => return Err(Ec2Error::missing("KeyName")),
    };
    let id = name.and_then(|name| scope.region.key_pairs.delete(&name));
    let mut xml = Xml::done();
    xml.maybe("keyPairId", id);
    Ok(xml)
}

/// Those that were made, and those that the call names and nobody deleted.
pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let with_public = params.flag("IncludePublicKey")?.unwrap_or_default();
    let pairs = &scope.region.key_pairs;
    let ids = params.list("KeyPairId");
    if let Some(unknown) = ids
        .iter()
        .find(|id| pairs.made.values().all(|pair| pair.id != **id))
    {
        return Err(key_pair_not_found(unknown));
    }
    let names: BTreeSet<String> = pairs
        .made
        .keys()
        .cloned()
        .chain(params.spelled_out("KeyName", "key-name"))
        .collect();
    let all: BTreeMap<String, KeyPair> = names
        .into_iter()
        .filter_map(|name| {
            let pair = pairs.named(&name, &scope.region.name)?;
            Some((name, pair))
        })
        .collect();
    let wanted = |pair: &KeyPair| ids.is_empty() || ids.contains(&pair.id.as_str());
    let found = find(&all, params, &RULES, scope.view(), wanted)?;
    let mut xml = Xml::new();
    xml.list("keySet", found.resources, |xml, pair| {
        write_made(pair, xml);
        xml.text("keyType", &pair.kind)
            .maybe("createTime", pair.created_at.map(iso))
            .maybe("publicKey", pair.public.as_ref().filter(|_| with_public));
    });
    Ok(xml)
}
