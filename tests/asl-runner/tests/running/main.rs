//! Runs small state machines and holds what happens against the rules of AWS.
//!
//! Where a test counts events, the order is the one that `GetExecutionHistory` shows on AWS.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod catch;
mod choice;
mod data;
mod definition;
mod history;
mod limits;
mod map;
mod parallel;
mod retry;
mod task;
mod wait;
mod world;
