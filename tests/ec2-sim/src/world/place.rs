//! What an instance may stand in by name: placement groups, dedicated hosts, capacity reservations; and the zones that do
//! not have its type. Instances only name such places, so one that nobody took away is as good as one that somebody made.

use std::collections::BTreeSet;

use crate::error::Ec2Error;

use super::launch::Launch;

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlaceKind {
    Group,
    Host,
    Reservation,
}

/// The places of a region that are gone.
#[derive(Debug, Default)]
pub(crate) struct Places {
    gone: BTreeSet<(PlaceKind, String)>,
    /// Types by name, each with a zone that does not have it.
    withheld: BTreeSet<(String, String)>,
}

impl PlaceKind {
    /// The place of this kind that a launch names.
    pub(crate) fn named_by(self, launch: &Launch) -> Option<&str> {
        let name = match self {
            Self::Group => launch.placement.get("GroupName"),
            Self::Host => launch.placement.get("HostId"),
            Self::Reservation => launch
                .capacity_reservation
                .get("CapacityReservationTarget.CapacityReservationId"),
        };
        name.filter(|name| !name.is_empty())
    }

    pub(crate) fn refusal(self, name: &str) -> Ec2Error {
        match self {
            Self::Group => Ec2Error::new(
                "InvalidPlacementGroup.Unknown",
                format!("The Placement Group '{name}' is unknown."),
            ),
            Self::Host => Ec2Error::new(
                "InvalidHostID.NotFound",
                format!("The host ID '{name}' does not exist."),
            ),
            Self::Reservation => Ec2Error::new(
                "InvalidCapacityReservationState",
                format!("The Capacity Reservation '{name}' is not active."),
            ),
        }
    }
}

impl Places {
    pub(crate) fn is_there(&self, kind: PlaceKind, name: &str) -> bool {
        !self.gone.contains(&(kind, name.to_owned()))
    }

    /// Takes a place away, or says that it is gone already.
    pub(crate) fn take_away(&mut self, kind: PlaceKind, name: &str) -> Result<(), Ec2Error> {
        if self.gone.insert((kind, name.to_owned())) {
            Ok(())
        } else {
            Err(kind.refusal(name))
        }
    }

    pub(crate) fn withhold(&mut self, kind: &str, zone: &str) {
        self.withheld.insert((kind.to_owned(), zone.to_owned()));
    }

    pub(crate) fn is_offered(&self, kind: &str, zone: &str) -> bool {
        !self.withheld.contains(&(kind.to_owned(), zone.to_owned()))
    }

    /// Refuses a launch into a place that is gone, or in a zone that does not have its type.
    pub(crate) fn check(&self, launch: &Launch, zone: &str) -> Result<(), Ec2Error> {
        for kind in [PlaceKind::Group, PlaceKind::Host, PlaceKind::Reservation] {
            if let Some(name) = kind.named_by(launch).filter(|name| !self.is_there(kind, name)) {
                return Err(kind.refusal(name));
            }
        }
        if self.is_offered(&launch.instance_type, zone) {
            return Ok(());
        }
        Err(Ec2Error::new(
            "Unsupported",
            format!(
                "Your requested instance type ({}) is not supported in your requested Availability Zone ({zone}).",
                launch.instance_type
            ),
        ))
    }
}
