//! Reads the parameters of a call: the form of the EC2 query protocol, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::Ec2Error;

/// Names and values of a call, or of one structure inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params {
    values: BTreeMap<String, String>,
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self {
            values: pairs.into_iter().collect(),
        }
    }
}

impl Params {
    /// Reads `name=value&…` as a form encodes it.
    pub(crate) fn from_form(form: &[u8]) -> Self {
        form_urlencoded::parse(form).into_owned().collect()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Ec2Error> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Ec2Error::missing(name))
    }

    /// Any value with a text form: numbers, enums.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Ec2Error> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Ec2Error::invalid_value(format!("Invalid value '{text}' for {}", lower_first(name)))
                })
            })
            .transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Ec2Error> {
        self.text(name)
            .map(|text| match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(Ec2Error::invalid_value(format!(
                    "Invalid value '{text}' for boolean parameter {}",
                    lower_first(name)
                ))),
            })
            .transpose()
    }

    /// A number that must lie in a range.
    pub(crate) fn bounded<T: FromStr + PartialOrd + Display + Copy>(
        &self,
        name: &str,
        range: &RangeInclusive<T>,
    ) -> Result<Option<T>, Ec2Error> {
        let Some(value) = self.parsed::<T>(name)? else {
            return Ok(None);
        };
        let expected = if value < *range.start() {
            format!("greater than {}", range.start())
        } else if value > *range.end() {
            format!("less than {}", range.end())
        } else {
            return Ok(Some(value));
        };
        Err(Ec2Error::invalid_value(format!(
            "Value ( {value} ) for parameter {} is invalid. Expecting a value {expected}.",
            lower_first(name)
        )))
    }

    /// `Name.1`, `Name.2`, … in the order of their numbers.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.numbers(name)
            .into_iter()
            .filter_map(|number| self.text(&format!("{name}.{number}")))
            .collect()
    }

    /// The names that a describe call spells out, in its list or in a filter.
    pub(crate) fn spelled_out(&self, list: &str, filter: &str) -> BTreeSet<String> {
        let filters = self.structs("Filter");
        let by_name = filters.iter().filter(|one| one.text("Name") == Some(filter));
        by_name
            .flat_map(|filter| filter.list("Value"))
            .chain(self.list(list))
            .filter(|name| !name.contains(['*', '?']))
            .map(str::to_owned)
            .collect()
    }

    /// `Name.1.Inner`, `Name.2.Inner`, …: a list of structures.
    pub(crate) fn structs(&self, name: &str) -> Vec<Self> {
        self.numbers(name)
            .into_iter()
            .map(|number| self.inner(&format!("{name}.{number}")))
            .filter(|inner| !inner.is_empty())
            .collect()
    }

    /// `Name.Inner`: one structure, empty when it was not given.
    pub(crate) fn inner(&self, name: &str) -> Self {
        let prefix = format!("{name}.");
        self.under(&prefix)
            .map(|(key, value)| (key[prefix.len()..].to_owned(), value.clone()))
            .collect()
    }

    /// What stands before the first dot of each name.
    pub(crate) fn top_names(&self) -> impl Iterator<Item = &str> {
        self.values
            .keys()
            .map(|name| name.split('.').next().unwrap_or_default())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether any value holds `text`.
    pub(crate) fn mention(&self, text: &str) -> bool {
        self.values.values().any(|value| value.contains(text))
    }

    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.under(prefix).next().is_some()
    }

    /// The values that are ids of resources, each once, for the log of calls.
    pub(crate) fn resource_ids(&self) -> Vec<String> {
        const PREFIXES: [&str; 11] = [
            "i-",
            "vol-",
            "snap-",
            "ami-",
            "eni-",
            "eni-attach-",
            "eipalloc-",
            "eipassoc-",
            "subnet-",
            "sg-",
            "replacevol-",
        ];
        let ids: BTreeSet<&String> = self
            .values
            .values()
            .filter(|value| {
                PREFIXES.iter().any(|prefix| {
                    value.strip_prefix(prefix).is_some_and(|rest| {
                        rest.len() >= 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
                    })
                })
            })
            .collect();
        ids.into_iter().cloned().collect()
    }

    /// All that decides what the call does, without what differs from one send to the next.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        self.values
            .iter()
            .filter(|(key, _)| !names.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a String)> {
        self.values
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn numbers(&self, name: &str) -> BTreeSet<u32> {
        let prefix = format!("{name}.");
        self.under(&prefix)
            .filter_map(|(key, _)| key[prefix.len()..].split('.').next()?.parse().ok())
            .collect()
    }
}

/// AWS names parameters in its messages with a small first letter.
pub(crate) fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map(|first| first.to_ascii_lowercase().to_string() + characters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_in_the_order_of_their_numbers() {
        let params = Params::from_form(b"Id.10=c&Id.2=b&Id.1=a&Idx.1=no");
        assert_eq!(params.list("Id"), ["a", "b", "c"]);
    }

    #[test]
    fn reads_structures_inside_lists() {
        let params = Params::from_form(b"Tag.1.Key=k&Tag.1.Value=v%26w&Tag.2.Key=x");
        let tags = params.structs("Tag");
        assert_eq!(tags.len(), 2);
        assert_eq!(tags[0].text("Value"), Some("v&w"));
        assert_eq!(tags[1].text("Value"), None);
    }

    #[test]
    fn names_the_bound_that_a_number_breaks() {
        let params = Params::from_form(b"MaxResults=3");
        let error = params.bounded("MaxResults", &(5..=1000_u32)).unwrap_err();
        assert_eq!(
            error.message,
            "Value ( 3 ) for parameter maxResults is invalid. Expecting a value greater than 5."
        );
    }

    #[test]
    fn finds_the_ids_in_a_call() {
        let params = Params::from_form(b"A=i-0123456789abcdef0&B=i-nothex&C=vol-01234567&D=text");
        assert_eq!(params.resource_ids(), ["i-0123456789abcdef0", "vol-01234567"]);
    }
}
