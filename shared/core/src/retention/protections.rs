//! Why a point stays that no rule keeps.

use std::fmt;

/// A set of protections. A point with any of them stays, whatever the rules say.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Protections(u16);

impl Protections {
    /// No protection at all.
    pub const NONE: Self = Self(0);
    /// It holds the last good backup of a resource.
    pub const LAST_GOOD: Self = Self(1);
    /// An AMI, perhaps a disabled one, is made of its snapshots.
    pub const IMAGE_IN_USE: Self = Self(1 << 1);
    /// One of its snapshots is locked.
    pub const LOCK: Self = Self(1 << 2);
    /// A job writes it or reads from it.
    pub const AT_WORK: Self = Self(1 << 3);
    /// The next incremental image is read against it.
    pub const CBT_BASE: Self = Self(1 << 4);
    /// Somebody holds it.
    pub const HOLD: Self = Self(1 << 5);
    /// It is younger than the safety age.
    pub const SAFETY_AGE: Self = Self(1 << 6);
    /// Something that had to be known of it could not be listed to the end.
    pub const INCOMPLETE_LISTING: Self = Self(1 << 7);
    /// It is a replica, and has not lain in its vault for the vault's minimum age.
    pub const MINIMUM_AGE: Self = Self(1 << 8);

    const WORDS: [(Self, &'static str); 9] = [
        (Self::LAST_GOOD, "last good backup of a resource"),
        (Self::IMAGE_IN_USE, "an AMI is made of its snapshots"),
        (Self::LOCK, "a snapshot is locked"),
        (Self::AT_WORK, "a job works on it"),
        (Self::CBT_BASE, "base of the next incremental image"),
        (Self::HOLD, "held"),
        (Self::SAFETY_AGE, "younger than the safety age"),
        (Self::INCOMPLETE_LISTING, "its listing is incomplete"),
        (Self::MINIMUM_AGE, "younger than the vault's minimum age"),
    ];

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Each of them, as a set of one.
    pub fn iter(self) -> impl Iterator<Item = Self> {
        self.known().map(|(protection, _)| protection)
    }

    /// Each of them in words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        self.known().map(|(_, words)| words)
    }

    fn known(self) -> impl Iterator<Item = (Self, &'static str)> {
        Self::WORDS
            .into_iter()
            .filter(move |(protection, _)| self.contains(*protection))
    }
}

impl FromIterator<Protections> for Protections {
    fn from_iter<I: IntoIterator<Item = Self>>(protections: I) -> Self {
        protections.into_iter().fold(Self::NONE, Self::union)
    }
}

impl fmt::Display for Protections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Protections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}
