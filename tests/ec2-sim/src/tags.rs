//! Tags and their rules: 50 a resource, no key of AWS's own, no key twice, bounded lengths.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Ec2Error;
use crate::params::Params;
use crate::xml::Xml;

/// Tags that a resource may carry. AWS's own (`aws:…`) do not count.
const LIMIT: usize = 50;
const KEY_LIMIT: usize = 128;
const VALUE_LIMIT: usize = 256;

/// The tags of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Tags(BTreeMap<String, String>);

impl Tags {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a tag whatever the rules say, as AWS services do with theirs.
    pub(crate) fn force(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }

    /// These tags and `added` over them.
    pub(crate) fn with(&self, added: &Self) -> Result<Self, Ec2Error> {
        let mut together = self.clone();
        together.force(added);
        together.check_count()?;
        Ok(together)
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(crate) fn keep(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// The tags in `Tag.N.Key` and `Tag.N.Value` of a call, checked.
    pub(crate) fn read(params: &Params) -> Result<Self, Ec2Error> {
        let mut tags = BTreeMap::new();
        for tag in params.structs("Tag") {
            let key = tag.text("Key").unwrap_or_default();
            let value = tag.text("Value").unwrap_or_default();
            check(key, value)?;
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(Ec2Error::invalid_value(format!(
                    "Duplicate tag key '{key}' specified."
                )));
            }
        }
        let tags = Self(tags);
        tags.check_count()?;
        Ok(tags)
    }

    /// What the tag specifications of a call say about one type of resource. `allowed` are the types
    /// that the action can tag.
    pub(crate) fn specified(params: &Params, kind: &str, allowed: &[&str]) -> Result<Self, Ec2Error> {
        let mut seen: Vec<String> = Vec::new();
        let mut found = Self::default();
        for specification in params.structs("TagSpecification") {
            let named = specification.required("ResourceType")?.to_owned();
            if !allowed.contains(&named.as_str()) {
                return Err(Ec2Error::invalid_value(format!(
                    "'{named}' is not a valid taggable resource type for this operation."
                )));
            }
            if seen.contains(&named) {
                return Err(Ec2Error::invalid_value(format!(
                    "The same resource type may not be specified more than once in tag specifications: {named}"
                )));
            }
            let tags = Self::read(&specification)?;
            if named == kind {
                found = tags;
            }
            seen.push(named);
        }
        Ok(found)
    }

    /// The tags that `CopyTagsFromSource` puts on a snapshot: the volume's own with the specified ones
    /// over them. Reserved keys cannot be copied, so a volume that carries one fails the call.
    pub(crate) fn copied_with(&self, specified: &Self) -> Result<Self, Ec2Error> {
        if let Some(key) = self.0.keys().find(|key| is_reserved(key)) {
            return Err(reserved(key));
        }
        self.with(specified)
    }

    pub(crate) fn write(&self, xml: &mut Xml) {
        self.write_as("tagSet", xml);
    }

    pub(crate) fn write_as(&self, name: &str, xml: &mut Xml) {
        if self.0.is_empty() {
            return;
        }
        xml.list(name, self.iter(), |xml, (key, value)| {
            xml.text("key", key).text("value", value);
        });
    }

    fn check_count(&self) -> Result<(), Ec2Error> {
        if self.0.keys().filter(|key| !is_reserved(key)).count() > LIMIT {
            return Err(Ec2Error::new(
                "TagLimitExceeded",
                "The maximum number of Tags for a resource has been reached.",
            ));
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

pub(crate) fn is_reserved(key: &str) -> bool {
    key.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

fn reserved(key: &str) -> Ec2Error {
    Ec2Error::invalid_value(format!(
        "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
    ))
}

fn check(key: &str, value: &str) -> Result<(), Ec2Error> {
    if key.is_empty() {
        return Err(Ec2Error::invalid_value(
            "Value ( '' ) for parameter Tag key is invalid. Tag key cannot be null or empty.",
        ));
    }
    if is_reserved(key) {
        return Err(reserved(key));
    }
    if key.chars().count() > KEY_LIMIT {
        return Err(Ec2Error::invalid_value(format!(
            "Tag key exceeds the maximum length of {KEY_LIMIT} characters"
        )));
    }
    if value.chars().count() > VALUE_LIMIT {
        return Err(Ec2Error::invalid_value(format!(
            "Tag value exceeds the maximum length of {VALUE_LIMIT} characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Tags, Ec2Error> {
        let params: Params = pairs
            .iter()
            .enumerate()
            .flat_map(|(index, (key, value))| {
                [
                    (format!("Tag.{}.Key", index + 1), (*key).to_owned()),
                    (format!("Tag.{}.Value", index + 1), (*value).to_owned()),
                ]
            })
            .collect();
        Tags::read(&params)
    }

    fn many(count: usize, prefix: &str) -> Tags {
        (0..count)
            .map(|number| (format!("{prefix}{number}"), String::new()))
            .collect()
    }

    #[test]
    fn refuses_what_aws_refuses() {
        let long_key = "k".repeat(129);
        let long_value = "v".repeat(257);
        for (pairs, message) in [
            (vec![("aws:owner", "x")], "reserved for internal use"),
            (vec![("AWS:owner", "x")], "reserved for internal use"),
            (vec![("a", "1"), ("a", "2")], "Duplicate tag key 'a' specified."),
            (vec![("", "x")], "cannot be null or empty"),
            (vec![(long_key.as_str(), "x")], "128 characters"),
            (vec![("a", long_value.as_str())], "256 characters"),
        ] {
            let error = read(&pairs).unwrap_err();
            assert_eq!(error.code, "InvalidParameterValue");
            assert!(error.message.contains(message), "{}", error.message);
        }
    }

    #[test]
    fn holds_fifty_and_no_more() {
        let fifty = many(50, "k");
        assert!(Tags::default().with(&fifty).is_ok());
        assert!(fifty.with(&many(50, "k")).is_ok());
        assert_eq!(
            fifty.with(&many(1, "other")).unwrap_err().code,
            "TagLimitExceeded"
        );
    }

    #[test]
    fn does_not_count_the_tags_of_aws() {
        let mut tags = many(50, "k");
        tags.force(&many(3, "aws:"));
        assert!(tags.with(&many(1, "k")).is_ok());
    }

    #[test]
    fn copies_under_what_was_specified() {
        let volume: Tags = [
            ("a".to_owned(), "volume".to_owned()),
            ("b".to_owned(), "volume".to_owned()),
        ]
        .into_iter()
        .collect();
        let given: Tags = [("a".to_owned(), "given".to_owned())].into_iter().collect();
        let both = volume.copied_with(&given).unwrap();
        assert_eq!((both.get("a"), both.get("b")), (Some("given"), Some("volume")));
        assert_eq!(
            many(1, "aws:").copied_with(&given).unwrap_err().code,
            "InvalidParameterValue"
        );
        assert_eq!(
            many(50, "k").copied_with(&given).unwrap_err().code,
            "TagLimitExceeded"
        );
    }
}
