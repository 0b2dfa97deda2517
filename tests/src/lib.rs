//! The end-to-end tests' own tools: the local stack, scenes, the kill harness and the audit of what is left behind.
//!
//! Handlers and the real state machine run in process here, against the local stack over the wire. Every test works
//! in an account of its own, so tests disturb each other in nothing: neither records, nor snapshots, nor the clock.

#![expect(
    clippy::expect_used,
    reason = "the tools of tests fail by panicking, with a message"
)]

pub mod account;
pub mod application;
pub mod audit;
pub mod awkward;
pub mod deployed;
pub mod killer;
pub mod lambda_process;
pub mod restoring;
pub mod retention;
pub mod simulator;
pub mod vault;
pub mod workflow;
