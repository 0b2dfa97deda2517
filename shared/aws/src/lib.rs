//! Everything of Holdfast that speaks to AWS: clients, reads, writes, the catalog table and the Lambda wiring.
//!
//! Executors here leave nothing to decide. They turn answers of AWS into types of `holdfast-core` and its actions
//! into calls.

pub mod catalog;
pub mod configuration;
pub mod environment;
pub mod failure;
pub mod instances;
pub mod lambda;
pub mod report;
pub mod schedules;
pub mod seal;
pub mod snapshots;

mod convert;
