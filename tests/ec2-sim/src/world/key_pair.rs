//! Key pairs. Instances only name them, so a name that nobody deleted is as good as one that somebody made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::filter::{Filterable, Values, View};
use crate::random::{fingerprint, uuid};
use crate::tags::Tags;

/// A key pair.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) fingerprint: String,
    /// The public half, when somebody imported it.
    pub(crate) public: Option<String>,
    /// None for one that nobody made.
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) tags: Tags,
}

/// The key pairs of a region, by name.
#[derive(Debug, Default)]
pub(crate) struct KeyPairs {
    pub(crate) made: BTreeMap<String, KeyPair>,
    deleted: BTreeSet<String>,
}

impl KeyPairs {
    /// Whether instances can be launched with a name.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        !self.deleted.contains(name)
    }

    /// The key pair with a name, made or taken for granted.
    pub(crate) fn named(&self, name: &str, region: &str) -> Option<KeyPair> {
        match self.made.get(name) {
            Some(made) => Some(made.clone()),
            None => self.is_there(name).then(|| KeyPair::granted(name, region)),
        }
    }

    pub(crate) fn add(&mut self, pair: KeyPair) {
        self.deleted.remove(&pair.name);
        self.made.insert(pair.name.clone(), pair);
    }

    /// Deletes a name, which need not have been made; gives its id if it was.
    pub(crate) fn delete(&mut self, name: &str) -> Option<String> {
        self.deleted.insert(name.to_owned());
        self.made.remove(name).map(|pair| pair.id)
    }
}

impl KeyPair {
    /// A key pair that nobody made but everybody may name.
    fn granted(name: &str, region: &str) -> Self {
        Self {
            id: format!("key-0{:016x}", fingerprint(&format!("{region}/{name}"))),
            name: name.to_owned(),
            kind: "rsa".to_owned(),
            fingerprint: fingerprint_of(name),
            public: None,
            created_at: None,
            tags: Tags::default(),
        }
    }
}

/// What looks like the fingerprint of a key.
pub(crate) fn fingerprint_of(key: &str) -> String {
    let number = uuid(fingerprint(key), fingerprint("key")).replace('-', "");
    let digits: Vec<char> = number.chars().collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    pairs.join(":")
}

impl Filterable for KeyPair {
    const FILTERS: &'static [&'static str] = &["fingerprint", "key-name", "key-pair-id"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        values.text(match filter {
            "fingerprint" => &self.fingerprint,
            "key-name" => &self.name,
            _ => &self.id,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_a_name_until_somebody_deletes_it() {
        let mut pairs = KeyPairs::default();
        let granted = pairs.named("web", "us-east-1").unwrap();
        assert_eq!(granted.fingerprint.len(), 47);
        assert_eq!(pairs.delete("web"), None);
        assert!(!pairs.is_there("web"));
        assert!(pairs.named("web", "us-east-1").is_none());
        pairs.add(granted);
        assert!(pairs.is_there("web"));
    }
}
