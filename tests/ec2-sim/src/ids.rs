//! Ids of resources, as AWS makes them: a prefix and 17 hexadecimal digits.

use std::borrow::Borrow;
use std::fmt;

use crate::random::IdSource;

/// Declares a newtype for the ids with one prefix. They sort as text.
macro_rules! resource_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(String);

        impl $name {
            /// A new one.
            pub(crate) fn next(source: &IdSource) -> Self {
                Self(format!(concat!($prefix, "-0{:016x}"), source.next()))
            }


            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

resource_id!(
    /// An instance.
    InstanceId,
    "i"
);
resource_id!(
    /// What one `RunInstances` call reserved.
    ReservationId,
    "r"
);
resource_id!(
    /// An EBS volume.
    VolumeId,
    "vol"
);
resource_id!(
    /// An EBS snapshot.
    SnapshotId,
    "snap"
);
resource_id!(
    /// An image.
    ImageId,
    "ami"
);
resource_id!(
    /// A network interface.
    InterfaceId,
    "eni"
);
resource_id!(
    /// A network interface's attachment to an instance.
    InterfaceAttachmentId,
    "eni-attach"
);
resource_id!(
    /// An elastic address.
    AllocationId,
    "eipalloc"
);
resource_id!(
    /// An elastic address's association with an interface.
    AssociationId,
    "eipassoc"
);

impl ImageId {
    /// The id that a test gives to an image.
    pub(crate) fn given(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl VolumeId {
    /// What AWS answers as the volume of a snapshot that was made of none.
    pub(crate) fn none() -> Self {
        Self("vol-ffffffff".to_owned())
    }
}

/// A new id of a kind that has no type of its own.
pub(crate) fn next_id(prefix: &str, source: &IdSource) -> String {
    format!("{prefix}-0{:016x}", source.next())
}

/// Whether text has the form of an id with this prefix, such as `i-`.
pub(crate) fn has_form(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn makes_ids_that_look_like_those_of_aws_and_never_repeat() {
        let source = IdSource::default();
        let ids: BTreeSet<SnapshotId> = (0..10_000).map(|_| SnapshotId::next(&source)).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| has_form(id.as_str(), "snap-")));
    }

    #[test]
    fn tells_a_malformed_id() {
        for text in ["i-123", "vol-01234567", "i-0123456789abcdefg", "", "i-"] {
            assert!(!has_form(text, "i-"), "{text}");
        }
        assert!(has_form("i-01234567", "i-"));
    }
}
