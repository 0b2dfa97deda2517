//! Who else may use a snapshot: its create-volume permissions.

use std::collections::BTreeSet;

/// The accounts that a snapshot is shared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    pub(crate) accounts: BTreeSet<String>,
    /// The group `all`: the snapshot is public.
    pub(crate) everyone: bool,
}

impl Sharing {
    pub(crate) fn allows(&self, account: &str) -> bool {
        self.everyone || self.accounts.contains(account)
    }

    /// All that it is shared with, in AWS's words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.accounts
            .iter()
            .map(String::as_str)
            .chain(self.everyone.then_some("all"))
    }
}
