//! The tags that a restore works by, and the client tokens and names of what it makes.

use crate::configuration::Tags;
use crate::ids::{InstanceId, JobId, hex_prefix};
use crate::tags::{MAX_TAGS, is_reserved};
use sha2::{Digest, Sha256};

/// What a restore made, or is about to remove: `<job>/<resource>`. It is taken off again when the restore has ended
/// well, so that no later run can take a restored instance for a leftover.
pub const RESTORE: &str = "holdfast:restore";
/// What a restored thing came from: `<recovery point>/<resource>`.
pub const RESTORED_FROM: &str = "holdfast:restored-from";
/// A volume that an in-place restore took off: `<job>/<resource>`.
pub const UNDO_OF: &str = "holdfast:undo-of";
/// Until when such a volume is kept.
pub const UNDO_UNTIL: &str = "holdfast:undo-until";

/// The value of [`RESTORE`] and [`UNDO_OF`].
#[must_use]
pub fn restore_value(job: &JobId, resource: &InstanceId) -> String {
    format!("{job}/{resource}")
}

/// The client token under which a restore asks for `what`: the same for every attempt.
#[must_use]
pub fn client_token(job: &JobId, resource: &InstanceId, what: &str) -> String {
    let mut digest = Sha256::new();
    for text in [job.as_str(), resource.as_str(), what] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    // 64 characters are the most that EC2 takes.
    format!("holdfast-{}", hex_prefix(&digest.finalize(), 27))
}

/// The name of a restore's temporary image. A name is taken by one image only, so it stands in for a client token.
#[must_use]
pub fn image_name(job: &JobId, resource: &InstanceId, what: &str) -> String {
    format!("holdfast {what} {job} {resource}")
}

/// The user's own tags of a thing, as far as they can be set again, with the restore's tag: what a creating call gives.
/// EC2 takes 50; what finds no room beside our own tag follows when that is taken off.
#[must_use]
pub fn creation_tags(wanted: &Tags, restore: &str) -> Tags {
    let mut tags: Tags = settable(wanted).take(MAX_TAGS - 1).collect();
    tags.insert(RESTORE.to_owned(), restore.to_owned());
    tags
}

/// The tags that a thing is to carry in the end.
#[must_use]
pub fn final_tags(wanted: &Tags, restored_from: &str) -> Tags {
    let mut tags: Tags = settable(wanted).collect();
    if tags.len() < MAX_TAGS {
        tags.insert(RESTORED_FROM.to_owned(), restored_from.to_owned());
    }
    tags
}

/// The tags that a user may set: neither AWS's own nor ours.
pub(crate) fn settable(tags: &Tags) -> impl Iterator<Item = (String, String)> + '_ {
    tags.iter()
        .filter(|(key, _)| !is_reserved(key))
        .map(|(key, value)| (key.clone(), value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (JobId, InstanceId) {
        (
            JobId::try_from("job-20261126T051000Z-0123456789abcdef").unwrap(),
            InstanceId::try_from("i-0123456789abcdef0").unwrap(),
        )
    }

    #[test]
    fn a_token_is_the_same_for_the_same_thing_and_fits() {
        let (job, resource) = ids();
        let token = client_token(&job, &resource, "launch final");
        assert_eq!(token, client_token(&job, &resource, "launch final"));
        assert_ne!(token, client_token(&job, &resource, "launch candidate"));
        assert!(token.len() <= 64 && token.is_ascii(), "{token}");
    }

    #[test]
    fn a_temporary_images_name_is_one_that_ec2_takes() {
        let (job, resource) = ids();
        let name = image_name(&job, &resource, "donor");
        assert!((3..=128).contains(&name.len()), "{name}");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || " -".contains(c)),
            "{name}"
        );
    }

    #[test]
    fn fifty_tags_of_the_users_own_all_come_back() {
        let mut wanted: Tags = (0..50).map(|n| (format!("key{n:02}"), String::new())).collect();
        wanted.insert("aws:autoscaling:groupName".to_owned(), "web".to_owned());
        let first = creation_tags(&wanted, "job/i");
        assert_eq!(first.len(), MAX_TAGS);
        assert!(first.contains_key(RESTORE));
        let last = final_tags(&wanted, "rp/i");
        assert_eq!(last.len(), MAX_TAGS);
        assert!(!last.contains_key(RESTORED_FROM) && !last.keys().any(|key| key.starts_with("aws:")));
        wanted.remove("key49");
        assert!(final_tags(&wanted, "rp/i").contains_key(RESTORED_FROM));
    }
}
