//! Status checks: what EC2 finds when it looks whether an instance and its host are well.

use jiff::{SignedDuration, Timestamp};

use crate::clock::after;
use crate::filter::{Filterable, Values, View};
use crate::tags::Tags;
use crate::world::instance::{Instance, InstanceState};

/// Which checks of an instance fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Impairment {
    pub(crate) system: bool,
    pub(crate) instance: bool,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    NotApplicable,
    Initializing,
    Ok,
    Impaired,
}

impl Health {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Initializing => "initializing",
            Self::Ok => "ok",
            Self::Impaired => "impaired",
        }
    }

    /// What it says of the one thing that is checked; nothing of an instance that is not running.
    pub(crate) fn reachability(self) -> Option<&'static str> {
        match self {
            Self::NotApplicable => None,
            Self::Initializing => Some("initializing"),
            Self::Ok => Some("passed"),
            Self::Impaired => Some("failed"),
        }
    }
}

/// An instance with what its checks found.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) system_health: Health,
    pub(crate) instance_health: Health,
}

impl<'a> Checked<'a> {
    /// Looks at an instance whose checks take some time after each start.
    pub(crate) fn look(instance: &'a Instance, takes: SignedDuration, now: Timestamp) -> Self {
        let started_at = instance.lifecycle.settles_at.max(instance.rebooted_at);
        let health = |is_impaired: bool| {
            if instance.state(now) != InstanceState::Running {
                Health::NotApplicable
            } else if now < after(started_at, takes) {
                Health::Initializing
            } else if is_impaired {
                Health::Impaired
            } else {
                Health::Ok
            }
        };
        Self {
            instance,
            system_health: health(instance.impairment.system),
            instance_health: health(instance.impairment.instance),
        }
    }
}

impl Filterable for Checked<'_> {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "instance-state-code",
        "instance-state-name",
        "instance-status.reachability",
        "instance-status.status",
        "system-status.reachability",
        "system-status.status",
    ];

    fn tags(&self) -> &Tags {
        &self.instance.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "availability-zone" => values.text(&self.instance.zone),
            "instance-state-code" => values.shown(self.instance.state(view.now).code()),
            "instance-state-name" => values.text(self.instance.state(view.now).name()),
            "instance-status.reachability" => values.maybe(self.instance_health.reachability()),
            "instance-status.status" => values.text(self.instance_health.word()),
            "system-status.reachability" => values.maybe(self.system_health.reachability()),
            _ => values.text(self.system_health.word()),
        }
    }
}
