//! `LockSnapshot`, `UnlockSnapshot` and `DescribeLockedSnapshots`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clock::{after, iso};
use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::snapshot::{Snapshot, State};
use crate::world::snapshot_lock::{Lock, LockMode, LockState, Term};
use crate::world::tier::in_days;
use crate::xml::Xml;

use super::Scope;

const LONGEST_DAYS: u32 = 36_500;
const LONGEST_COOL_OFF_HOURS: u32 = 72;

const RULES: DescribeRules = DescribeRules {
    // Ids are checked before: one that is not locked is left out, not refused.
    ids: "-",
    ids_in_messages: "-",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |_| Ec2Error::invalid_value("DescribeLockedSnapshots finds no ids by itself"),
};

pub(super) fn lock(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let snapshot = scope.snapshot(params.required("SnapshotId")?)?;
    let mode: LockMode = params
        .parsed("LockMode")?
        .ok_or_else(|| Ec2Error::missing("LockMode"))?;
    let cool_off_hours = params.bounded("CoolOffPeriod", &(1..=LONGEST_COOL_OFF_HOURS))?;
    if cool_off_hours.is_some() && mode == LockMode::Governance {
        return Err(Ec2Error::invalid_combination(
            "CoolOffPeriod cannot be specified for the governance lock mode.",
        ));
    }
    let term = read_term(params, scope.now)?;
    if let State::Error { .. } = snapshot.state(scope.now) {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!("The snapshot '{}' is in the 'error' state.", snapshot.id),
        ));
    }
    let new = Lock {
        mode,
        term,
        created_at: scope.now,
        set_at: scope.now,
        cool_off_hours,
    };
    let new = match (&snapshot.lock, snapshot.lock_state(scope.now)) {
        (Some(old), Some(LockState::Compliance)) => {
            check_lengthens(snapshot, old, &new)?;
            Lock {
                created_at: old.created_at,
                ..new
            }
        }
        (Some(old), Some(LockState::Governance | LockState::ComplianceCooloff)) => Lock {
            created_at: old.created_at,
            ..new
        },
        _ => new,
    };
    let now = scope.now;
    let snapshot = scope.snapshot_mut(params.required("SnapshotId")?)?;
    let mut xml = Xml::new();
    write(&new, snapshot, now, &mut xml);
    snapshot.lock = Some(new);
    Ok(xml)
}

fn read_term(params: &Params, now: Timestamp) -> Result<Term, Ec2Error> {
    let days = params.bounded("LockDuration", &(1..=LONGEST_DAYS))?;
    let end: Option<Timestamp> = params.parsed("ExpirationDate")?;
    match (days, end) {
        (Some(days), None) => Ok(Term::Days(days)),
        (None, Some(end)) if end <= now || end > after(now, in_days(LONGEST_DAYS)) => {
            Err(Ec2Error::invalid_value(format!(
                "Value ({}) for parameter expirationDate is invalid. It must be in the future and within \
                 {LONGEST_DAYS} days.",
                iso(end)
            )))
        }
        (None, Some(end)) => Ok(Term::Until(end)),
        (None, None) => Err(Ec2Error::missing("LockDuration")),
        (Some(_), Some(_)) => Err(Ec2Error::invalid_combination(
            "LockDuration and ExpirationDate cannot be specified together.",
        )),
    }
}

/// After the cooling-off period nobody can make a compliance lock weaker.
fn check_lengthens(snapshot: &Snapshot, old: &Lock, new: &Lock) -> Result<(), Ec2Error> {
    let refused = |why: &str| {
        Err(Ec2Error::new(
            "OperationNotPermitted",
            format!("The snapshot {} is locked in compliance mode: {why}", snapshot.id),
        ))
    };
    if new.mode != LockMode::Compliance {
        return refused("the lock mode cannot be changed.");
    }
    if new.cool_off_hours.is_some() {
        return refused("a cooling-off period cannot be specified any more.");
    }
    let is_shorter = match (old.expires_at(&snapshot.fate), new.expires_at(&snapshot.fate)) {
        (Some(old), Some(new)) => new < old,
        // Its completion is not known: only terms of one kind can be told apart.
        _ => match (old.term, new.term) {
            (Term::Days(old), Term::Days(new)) => new < old,
            _ => true,
        },
    };
    if is_shorter {
        return refused("the lock duration can only be increased.");
    }
    Ok(())
}

pub(super) fn unlock(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let now = scope.now;
    let snapshot = scope.snapshot_mut(params.required("SnapshotId")?)?;
    match snapshot.lock_state(now) {
        Some(LockState::Governance | LockState::ComplianceCooloff) => snapshot.lock = None,
        Some(LockState::Compliance) => {
            return Err(Ec2Error::new(
                "OperationNotPermitted",
                format!(
                    "The snapshot {} is locked in compliance mode and cannot be unlocked.",
                    snapshot.id
                ),
            ));
        }
        Some(LockState::Expired) | None => {
            return Err(Ec2Error::new(
                "IncorrectState",
                format!("The snapshot {} is not locked.", snapshot.id),
            ));
        }
    }
    let mut xml = Xml::new();
    xml.text("snapshotId", &snapshot.id);
    Ok(xml)
}

/// A snapshot with its lock.
struct LockRow<'a> {
    snapshot: &'a Snapshot,
    lock: &'a Lock,
}

impl Filterable for LockRow<'_> {
    const FILTERS: &'static [&'static str] = &["lock-state"];

    fn tags(&self) -> &Tags {
        &self.snapshot.tags
    }

    fn each_value(&self, _filter: &str, view: View<'_>, values: &mut Values<'_>) {
        values.text(self.lock.state(&self.snapshot.fate, view.now).word());
    }
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let ids = params.list("SnapshotId");
    for id in &ids {
        scope.snapshot(id)?;
    }
    let rows: BTreeMap<&str, LockRow<'_>> = scope
        .region
        .snapshots
        .values()
        .filter(|snapshot| ids.is_empty() || ids.contains(&snapshot.id.as_str()))
        .filter_map(|snapshot| {
            let lock = snapshot.lock.as_ref()?;
            Some((snapshot.id.as_str(), LockRow { snapshot, lock }))
        })
        .collect();
    let found = find(&rows, params, &RULES, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("snapshotSet", found.resources, |xml, row| {
        xml.text("ownerId", &row.snapshot.owner);
        write(row.lock, row.snapshot, scope.now, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(lock: &Lock, snapshot: &Snapshot, now: Timestamp, xml: &mut Xml) {
    let fate = &snapshot.fate;
    let started_at = lock.starts_at(fate).filter(|start| now >= *start);
    xml.text("snapshotId", &snapshot.id)
        .text("lockState", lock.state(fate, now).word())
        .text("lockDuration", lock.days())
        .maybe("coolOffPeriod", lock.cool_off_hours)
        .maybe("coolOffPeriodExpiresOn", lock.cool_off_ends_at().map(iso))
        .text("lockCreatedOn", iso(lock.created_at))
        .maybe("lockDurationStartTime", started_at.map(iso))
        .maybe("lockExpiresOn", lock.expires_at(fate).map(iso));
}
