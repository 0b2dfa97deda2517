//! When a point will go, as far as can be told.

use jiff::Timestamp;

/// The end of a reason to keep a point. The later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Forecast(Timestamp);

impl Forecast {
    /// No reason with an end was seen yet.
    pub(super) const NONE: Self = Self(Timestamp::MIN);
    /// There is an end that cannot be told. It counts as later than any that can.
    pub(super) const UNTOLD: Self = Self(Timestamp::MAX);

    /// An end that was reckoned, or could not be.
    pub(super) fn of(end: Option<Timestamp>) -> Self {
        end.map_or(Self::UNTOLD, Self)
    }

    pub(super) fn told(self) -> Option<Timestamp> {
        (self != Self::UNTOLD && self != Self::NONE).then_some(self.0)
    }
}
