//! The seal on a snapshot's tags: what makes a forged tag worthless.
//!
//! A key of its own for each recovery point is derived by KMS from the HMAC key that never leaves it
//! (`GenerateMac` over [`seal_key_message`]); the tags of each backup are then authenticated under it here. One KMS
//! call serves a whole batch, and a leaked key speaks for one recovery point only. See `docs/adr`.

use crate::configuration::Tags;
use crate::ids::RecoveryPointId;
use crate::tags;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The sealing key of one recovery point. It is never written down.
#[derive(Clone)]
pub struct SealKey(Vec<u8>);

impl SealKey {
    /// The key that KMS derived for a recovery point.
    #[must_use]
    pub fn new(mac: Vec<u8>) -> Self {
        Self(mac)
    }

    /// The seal over these tags, the seal's own tag left out.
    ///
    /// # Errors
    /// The key has no length that HMAC takes. KMS never answers such a one.
    pub fn seal(&self, tags: &Tags) -> Result<String, hmac::digest::InvalidLength> {
        let mac = self.mac(tags)?.finalize().into_bytes();
        Ok(crate::ids::hex_prefix(&mac, mac.len()))
    }

    /// Whether the tags carry the seal that this key gives them. Compared in constant time.
    #[must_use]
    pub fn verifies(&self, tags: &Tags) -> bool {
        let Some(seal) = tags.get(tags::SEAL).and_then(|seal| from_hex(seal)) else {
            return false;
        };
        self.mac(tags).is_ok_and(|mac| mac.verify_slice(&seal).is_ok())
    }

    fn mac(&self, tags: &Tags) -> Result<Hmac<Sha256>, hmac::digest::InvalidLength> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)?;
        for (key, value) in tags
            .iter()
            .filter(|(key, _)| tags::is_identity(key) && *key != tags::SEAL)
        {
            // Lengths first: no two sets of tags give the same bytes.
            for text in [key, value] {
                mac.update(&(text.len() as u64).to_be_bytes());
                mac.update(text.as_bytes());
            }
        }
        Ok(mac)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// What KMS is asked to authenticate to derive a recovery point's sealing key.
#[must_use]
pub fn seal_key_message(recovery_point: &RecoveryPointId) -> String {
    format!("holdfast/seal/v1/{recovery_point}")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SealKey {
        SealKey::new(vec![7; 32])
    }

    fn sealed(mut tags: Tags) -> Tags {
        let seal = key().seal(&tags).unwrap();
        tags.insert(tags::SEAL.to_owned(), seal);
        tags
    }

    fn identity() -> Tags {
        [(tags::PLAN, "nightly"), (tags::RESOURCE, "i-0123456789abcdef0")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_seal_verifies_and_user_tags_do_not_matter() {
        let mut tags = sealed(identity());
        assert!(key().verifies(&tags));
        tags.insert("Name".to_owned(), "anything".to_owned());
        assert!(key().verifies(&tags));
        assert!(!SealKey::new(vec![8; 32]).verifies(&tags));
        assert!(!key().verifies(&identity()));
    }

    proptest! {
        #[test]
        fn any_change_to_an_identity_tag_breaks_the_seal(value in "[a-z0-9-]{0,12}", added in "[a-z]{1,8}") {
            let tags = sealed(identity());
            prop_assume!(value != "nightly");
            let mut changed = tags.clone();
            changed.insert(tags::PLAN.to_owned(), value);
            prop_assert!(!key().verifies(&changed));
            let mut more = tags.clone();
            more.insert(format!("holdfast:x-{added}"), String::new());
            prop_assert!(!key().verifies(&more));
            let mut fewer = tags;
            fewer.remove(tags::RESOURCE);
            prop_assert!(!key().verifies(&fewer));
        }
    }
}
