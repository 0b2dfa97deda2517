//! What an account holds: regions with resources in them, a clock, settings, faults, buckets, a log.

pub(crate) mod address;
pub(crate) mod billing;
pub(crate) mod copies;
pub(crate) mod guest;
pub(crate) mod health;
pub(crate) mod image;
pub(crate) mod instance;
pub(crate) mod instance_type;
pub(crate) mod interface;
pub(crate) mod key_pair;
pub(crate) mod launch;
pub(crate) mod network;
pub(crate) mod place;
pub(crate) mod root_replacement;
pub(crate) mod security_group;
pub(crate) mod sharing;
pub(crate) mod snapshot;
pub(crate) mod snapshot_lock;
pub(crate) mod subnet;
pub(crate) mod termination;
pub(crate) mod tier;
pub(crate) mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::actions::Scope;
use crate::actions::outside::Outside;
use crate::call_log::CallLog;
use crate::clock::{Clock, wall_now};
use crate::faults::Faults;
use crate::ids::{AllocationId, ImageId, InstanceId, InterfaceId, SnapshotId, VolumeId};
use crate::kms::{Encryption, Keys};
use crate::params::Params;
use crate::random::IdSource;
use crate::settings::Settings;
use crate::throttle::Buckets;

use self::address::Address;
use self::copies::Copies;
use self::guest::Guests;
use self::health::Impairment;
use self::image::Image;
use self::instance::Instance;
use self::interface::Interface;
use self::key_pair::KeyPairs;
use self::network::Network;
use self::place::Places;
use self::root_replacement::RootReplacements;
use self::snapshot::{Planned, Snapshot};
use self::volume::Volume;

/// The account of calls that name none.
pub(crate) const DEFAULT_ACCOUNT: &str = "000000000000";
/// The region of calls that name none.
pub(crate) const DEFAULT_REGION: &str = "us-east-1";

/// Everything: all accounts, and the source of ids that they share.
#[derive(Debug, Default)]
pub(crate) struct App {
    accounts: Mutex<BTreeMap<String, Arc<Mutex<Account>>>>,
    pub(crate) ids: IdSource,
}

/// One account: a world of its own.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog,
    pub(crate) regions: BTreeMap<String, Region>,
}

/// The resources of an account in one region.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) network: Network,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    /// Those that are on their way to their end.
    pub(crate) ending: BTreeSet<String>,
    pub(crate) volumes: BTreeMap<VolumeId, Volume>,
    pub(crate) snapshots: BTreeMap<SnapshotId, Snapshot>,
    /// Deleted ones, without their content, for tests to look at.
    pub(crate) deleted_snapshots: Vec<Snapshot>,
    pub(crate) copies: Copies,
    /// What a test has in store for the next copy of a snapshot, by the source's id.
    pub(crate) planned_copies: BTreeMap<String, Planned>,
    pub(crate) images: BTreeMap<ImageId, Image>,
    /// Those that were deregistered: their ids cannot be launched any more.
    pub(crate) deregistered_images: BTreeSet<ImageId>,
    /// What a test said about keys.
    pub(crate) keys: Keys,
    pub(crate) encryption: Encryption,
    pub(crate) interfaces: BTreeMap<InterfaceId, Interface>,
    pub(crate) addresses: BTreeMap<AllocationId, Address>,
    pub(crate) key_pairs: KeyPairs,
    pub(crate) places: Places,
    pub(crate) root_replacements: RootReplacements,
    /// What a test has in store for the next instance.
    pub(crate) next_impairment: Option<Impairment>,
    pub(crate) guests: Guests,
    pub(crate) buckets: Buckets,
    pub(crate) client_tokens: BTreeMap<(TokenUse, String), TokenRecord>,
}

/// The actions that know client tokens. Each has tokens of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenUse {
    RunInstances,
    CreateNetworkInterface,
    ReplaceRootVolume,
    CreateVolume,
    StartSnapshot,
}

/// What a client token stands for.
#[derive(Debug, Clone)]
pub(crate) struct TokenRecord {
    pub(crate) params: Params,
    /// The ids of what the first call made.
    pub(crate) made: BTreeSet<String>,
}

impl App {
    /// The account with this id, made on first use.
    pub(crate) fn account(&self, id: &str) -> Arc<Mutex<Account>> {
        let mut accounts = lock(&self.accounts);
        Arc::clone(
            accounts
                .entry(id.to_owned())
                .or_insert_with(|| Arc::new(Mutex::new(Account::new(id)))),
        )
    }

    /// An account that some call has named before.
    pub(crate) fn known_account(&self, id: &str) -> Option<Arc<Mutex<Account>>> {
        lock(&self.accounts).get(id).map(Arc::clone)
    }

    /// All accounts, to be locked one after the other.
    pub(crate) fn all_accounts(&self) -> Vec<Arc<Mutex<Account>>> {
        lock(&self.accounts).values().map(Arc::clone).collect()
    }

    /// Forgets an account, or every account.
    pub(crate) fn reset(&self, id: Option<&str>) {
        let mut accounts = lock(&self.accounts);
        match id {
            Some(id) => {
                accounts.remove(id);
            }
            None => accounts.clear(),
        }
    }
}

impl Account {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            clock: Clock::default(),
            settings: Settings::default(),
            faults: Faults::default(),
            log: CallLog::default(),
            regions: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now(wall_now())
    }

    /// What an action works on in one region, which is made on first use.
    pub(crate) fn scope<'a>(&'a mut self, region: &str, ids: &'a IdSource) -> Scope<'a> {
        let now = self.now();
        let Self {
            id,
            settings,
            regions,
            ..
        } = self;
        let region = regions
            .entry(region.to_owned())
            .or_insert_with(|| Region::new(region, id));
        region.settle_replacements(now);
        region.settle_terminations(now);
        Scope {
            now,
            account: id,
            settings,
            region,
            ids,
            outside: Outside::default(),
        }
    }
}

impl Region {
    pub(crate) fn new(name: &str, account: &str) -> Self {
        Self {
            name: name.to_owned(),
            network: Network::new(name, account),
            instances: BTreeMap::new(),
            ending: BTreeSet::new(),
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            deleted_snapshots: Vec::new(),
            copies: Copies::default(),
            planned_copies: BTreeMap::new(),
            images: BTreeMap::new(),
            deregistered_images: BTreeSet::new(),
            keys: Keys::default(),
            encryption: Encryption::default(),
            interfaces: BTreeMap::new(),
            addresses: BTreeMap::new(),
            key_pairs: KeyPairs::default(),
            places: Places::default(),
            root_replacements: RootReplacements::default(),
            next_impairment: None,
            guests: Guests::default(),
            buckets: Buckets::default(),
            client_tokens: BTreeMap::new(),
        }
    }
}

/// Locks; a panic elsewhere does not take the world with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
