//! Storage tiers of snapshots: the tier follows from the last tiering operation and the clock.

use jiff::{SignedDuration, Timestamp};

use crate::clock::after;

/// Where a snapshot's blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Standard,
    /// Not readable, not to be copied or shared until it is restored.
    Archive,
}

impl Tier {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Archive => "archive",
        }
    }
}

/// What moves a snapshot between tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Archive,
    /// Back for so many days after it arrived.
    RestoreFor {
        days: u32,
    },
    RestoreForGood,
}

/// One move.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) kind: Move,
    pub(crate) started_at: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// A snapshot's moves, as far as they still matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tiering {
    last: Option<Operation>,
    /// When the last archival ends or ended.
    archived_at: Option<Timestamp>,
}

impl Tiering {
    /// Begins a move.
    pub(crate) fn start(&mut self, kind: Move, now: Timestamp, takes: SignedDuration) {
        let ends_at = after(now, takes);
        if kind == Move::Archive {
            self.archived_at = Some(ends_at);
        }
        self.last = Some(Operation {
            kind,
            started_at: now,
            ends_at,
        });
    }

    pub(crate) fn last(&self) -> Option<&Operation> {
        self.last.as_ref()
    }

    /// A snapshot that is being archived can be used until that is done; one that is being restored cannot before.
    pub(crate) fn tier(&self, now: Timestamp) -> Tier {
        let Some(last) = &self.last else {
            return Tier::Standard;
        };
        let is_readable = match last.kind {
            Move::Archive => now < last.ends_at,
            Move::RestoreForGood => now >= last.ends_at,
            Move::RestoreFor { .. } => now >= last.ends_at && !last.has_expired(now),
        };
        if is_readable {
            Tier::Standard
        } else {
            Tier::Archive
        }
    }

    pub(crate) fn is_moving(&self, now: Timestamp) -> bool {
        self.last.as_ref().is_some_and(|last| now < last.ends_at)
    }

    pub(crate) fn archived_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.archived_at.filter(|at| now >= *at)
    }

    /// When a snapshot that is back for some days goes to the archive again.
    pub(crate) fn restore_expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        let last = self.last.as_ref()?;
        last.expires_at()
            .filter(|expiry| now >= last.ends_at && now < *expiry)
    }
}

impl Operation {
    fn expires_at(&self) -> Option<Timestamp> {
        match self.kind {
            Move::RestoreFor { days } => Some(after(self.ends_at, in_days(days))),
            Move::Archive | Move::RestoreForGood => None,
        }
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|expiry| now >= expiry)
    }

    /// AWS's word for how far it is. Nothing here fails.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        let is_done = now >= self.ends_at;
        match self.kind {
            Move::Archive if is_done => "archival-completed",
            Move::Archive => "archival-in-progress",
            Move::RestoreFor { .. } if self.has_expired(now) => "archival-completed",
            Move::RestoreFor { .. } if is_done => "temporary-restore-completed",
            Move::RestoreFor { .. } => "temporary-restore-in-progress",
            Move::RestoreForGood if is_done => "permanent-restore-completed",
            Move::RestoreForGood => "permanent-restore-in-progress",
        }
    }
}

/// Days of 24 hours, as AWS counts them for snapshots.
pub(crate) fn in_days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_snapshot_is_readable_until_it_is_archived_and_again_once_it_is_back() {
        let mut tiering = Tiering::default();
        assert_eq!(tiering.tier(at(0)), Tier::Standard);
        tiering.start(Move::Archive, at(0), SignedDuration::from_secs(30));
        assert_eq!(
            (tiering.tier(at(29)), tiering.tier(at(30))),
            (Tier::Standard, Tier::Archive)
        );
        tiering.start(
            Move::RestoreFor { days: 1 },
            at(100),
            SignedDuration::from_secs(30),
        );
        assert_eq!(
            (tiering.tier(at(129)), tiering.tier(at(130))),
            (Tier::Archive, Tier::Standard)
        );
        let expiry = at(130 + 86_400);
        assert_eq!(tiering.restore_expires_at(at(130)), Some(expiry));
        assert_eq!(tiering.tier(expiry), Tier::Archive);
        assert_eq!(tiering.last().unwrap().status(expiry), "archival-completed");
        tiering.start(Move::RestoreForGood, expiry, SignedDuration::ZERO);
        assert_eq!(tiering.tier(expiry), Tier::Standard);
    }
}
