//! What a call needs to know that its own account does not hold: snapshots and keys of other accounts, and what the
//! front found out about keys.
//!
//! It is looked up before the call's own account is locked: nothing here ever holds two accounts at once.

use jiff::Timestamp;

use crate::ids::SnapshotId;
use crate::kms::{self, Encryption};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::snapshot::{Fate, Snapshot, State};
use crate::world::tier::Tier;
use crate::world::{Account, App, lock};

use super::copy_snapshot::key_of_copy;

/// What AWS says of a copy whose key cannot be used, whatever the reason.
const KEY_PROBLEM: &str = "Given key ID is not accessible";

/// What is brought to an action, and what it leaves behind for other accounts.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// What a `CopySnapshot` call copies, when the caller may copy it.
    pub(crate) source: Option<CopySource>,
    /// Snapshots of others that a `DescribeSnapshots` call may see, with states as they are now.
    pub(crate) shared: Vec<Snapshot>,
    /// Snapshots that the action deleted: their copies in progress fail, wherever they are.
    pub(crate) gone: Vec<SnapshotId>,
}

/// The source of a copy as it was when the call came in.
#[derive(Debug)]
pub(crate) struct CopySource {
    pub(crate) snapshot: Snapshot,
    /// By the clock of the account that owns it.
    pub(crate) state: State,
    pub(crate) tier: Tier,
    /// The ARN of the copy's key; none when it will not be encrypted.
    pub(crate) key: Option<String>,
    /// Why the copy fails although the call does not.
    pub(crate) key_problem: Option<String>,
}

/// What the front of the local stack knows of a call's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum KeyVerdict {
    /// It did not look: the simulator's own keys decide.
    #[default]
    Unknown,
    Usable,
    Problem(String),
}

/// Who calls, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) keys: &'a KeyVerdict,
}

impl Outside {
    /// Looks up what a call needs.
    pub(crate) fn look(app: &App, place: Place<'_>, action: &str, params: &Params) -> Self {
        match action {
            "CopySnapshot" => Self {
                source: find_source(app, place, params),
                ..Self::default()
            },
            "DescribeSnapshots" => Self {
                shared: find_shared(app, place, params),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

fn find_source(app: &App, place: Place<'_>, params: &Params) -> Option<CopySource> {
    let (region, id) = (params.text("SourceRegion")?, params.text("SourceSnapshotId")?);
    let (snapshot, state, tier) = app.all_accounts().iter().find_map(|account| {
        let account = lock(account);
        let now = account.now();
        let found = account.regions.get(region)?.snapshots.get(id)?;
        may_use(&account, found, place.account)
            .then(|| (found.clone(), found.state(now), found.tiering.tier(now)))
    })?;
    let encryption = encryption_of(app, place);
    let key = key_of_copy(place, params, &encryption, snapshot.key.is_some());
    let key_problem = match place.keys {
        KeyVerdict::Problem(problem) => Some(problem.clone()),
        KeyVerdict::Usable => None,
        KeyVerdict::Unknown => {
            let source = snapshot.key.as_deref().map(|key| (key, region));
            let copy = key.as_deref().map(|key| (key, place.region));
            source
                .into_iter()
                .chain(copy)
                .any(|(key, region)| !is_usable(app, key, region, place.account))
                .then(|| KEY_PROBLEM.to_owned())
        }
    };
    Some(CopySource {
        snapshot,
        state,
        tier,
        key,
        key_problem,
    })
}

/// How what comes to a place is encrypted there.
fn encryption_of(app: &App, place: Place<'_>) -> Encryption {
    let Some(account) = app.known_account(place.account) else {
        return Encryption::default();
    };
    let account = lock(&account);
    let region = account.regions.get(place.region);
    region.map(|region| region.encryption.clone()).unwrap_or_default()
}

fn may_use(owner: &Account, snapshot: &Snapshot, caller: &str) -> bool {
    owner.id == caller || snapshot.sharing.allows(caller)
}

/// Whether an account can use a key for a snapshot in a region: keys do not work across regions.
fn is_usable(app: &App, arn: &str, region: &str, account: &str) -> bool {
    let Some((home, owner)) = kms::home(arn) else {
        return false;
    };
    if home != region {
        return false;
    }
    let Some(known) = app.known_account(owner) else {
        return owner == account;
    };
    let known = lock(&known);
    known.regions.get(region).map_or(owner == account, |region| {
        region.keys.is_usable(arn, owner, account)
    })
}

/// Those that the call names by id, owner or permission. Without such words a call is about the account's own.
fn find_shared(app: &App, place: Place<'_>, params: &Params) -> Vec<Snapshot> {
    let ids = params.list("SnapshotId");
    let owners = params.list("Owner");
    let names_owners = owners
        .iter()
        .any(|owner| *owner != "self" && *owner != place.account);
    if ids.is_empty() && !names_owners && !params.has_prefix("RestorableBy.") {
        return Vec::new();
    }
    let here = app
        .known_account(place.account)
        .map(|account| lock(&account).now());
    let mut shared = Vec::new();
    for account in app.all_accounts() {
        let account = lock(&account);
        if account.id == place.account {
            continue;
        }
        let now = account.now();
        let Some(region) = account.regions.get(place.region) else {
            continue;
        };
        let found = region.snapshots.values().filter(|snapshot| {
            snapshot.sharing.allows(place.account)
                && snapshot.is_visible(now)
                && (ids.is_empty() || ids.contains(&snapshot.id.as_str()))
        });
        shared.extend(found.map(|snapshot| as_seen(snapshot, now, here.unwrap_or(now))));
    }
    shared
}

/// A snapshot as another account sees it: without its tags, and in its state of now whatever the other's clock says.
fn as_seen(snapshot: &Snapshot, now: Timestamp, here: Timestamp) -> Snapshot {
    let fate = match snapshot.state(now) {
        State::Completed => Fate::Completes(snapshot.completed_at(now).unwrap_or(here).min(here)),
        State::Pending { .. } => Fate::Held,
        State::Error { message } => Fate::Fails { at: here, message },
    };
    Snapshot {
        fate,
        tags: Tags::default(),
        visible_at: Timestamp::MIN,
        ..snapshot.clone()
    }
}

impl App {
    /// Lets the copies in progress fail whose source is deleted.
    pub(crate) fn fail_copies_of(&self, gone: &[SnapshotId]) {
        if gone.is_empty() {
            return;
        }
        for account in self.all_accounts() {
            let mut account = lock(&account);
            let now = account.now();
            for region in account.regions.values_mut() {
                let pending = region.copies.pending(&region.snapshots, now).to_vec();
                for id in pending {
                    let Some(copy) = region.snapshots.get_mut(&id) else {
                        continue;
                    };
                    if let Some(source) = copy.copy.as_ref().map(|record| &record.source)
                        && gone.contains(source)
                    {
                        copy.fate = Fate::Fails {
                            at: now,
                            message: format!("The source snapshot {source} was deleted."),
                        };
                    }
                }
            }
        }
    }
}
