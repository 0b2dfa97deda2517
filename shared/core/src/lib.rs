//! The domain of Holdfast and every decision it takes.
//!
//! Nothing in this crate touches AWS, a clock, the environment or chance: `now` is an argument, and a
//! decision is plain data that an executor carries out without choosing anything itself.

pub mod archive;
pub mod backup;
pub mod close;
pub mod configuration;
pub mod copying;
pub mod failure;
pub mod ids;
pub mod job;
pub mod message;
pub mod pacing;
pub mod plan;
pub mod polling;
pub mod recovery_point;
pub mod replica;
pub mod restoring;
pub mod retention;
pub mod retention_rule;
pub mod retiring;
pub mod schedule;
pub mod seal;
pub mod selection;
pub mod tags;
pub mod vault;
pub mod volumes;
pub mod words;
