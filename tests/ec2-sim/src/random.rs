//! Numbers that look random: seeded for faults, unique for ids.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a number over all 64 bits; two inputs never give the same output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A seeded stream (SplitMix64): the same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// At least 0, less than 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or_default();
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Where ids come from: no number twice in the life of the process, and other numbers in the next
/// one, so that records which outlive a simulator never name something of another.
#[derive(Debug)]
pub(crate) struct IdSource(AtomicU64);

impl Default for IdSource {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one("ids")))
    }
}

impl IdSource {
    pub(crate) fn next(&self) -> u64 {
        mix(self.0.fetch_add(GOLDEN, Ordering::Relaxed))
    }

    /// A request id: a UUID by its looks.
    pub(crate) fn uuid(&self) -> String {
        uuid(self.next(), self.next())
    }
}

/// The same two numbers always make the same UUID.
pub(crate) fn uuid(high: u64, low: u64) -> String {
    let high = format!("{high:016x}");
    let low = format!("{low:016x}");
    format!(
        "{}-{}-4{}-a{}-{}",
        &high[..8],
        &high[8..12],
        &high[13..16],
        &low[1..4],
        &low[4..]
    )
}

/// A number made of text: the same in every run.
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        mix(hash ^ u64::from(byte)).wrapping_add(GOLDEN)
    })
}
