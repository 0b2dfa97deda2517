//! Everything of Holdfast that speaks to AWS: clients, reads, writes, the catalog table and the Lambda wiring.
//!
//! Executors here leave nothing to decide. They turn answers of AWS into types of `holdfast-core` and its actions
//! into calls.

pub mod catalog;
pub mod configuration;
pub mod copies;
pub mod deleting;
pub mod environment;
pub mod failure;
pub mod images;
pub mod instances;
pub mod lambda;
pub mod locks;
pub mod report;
pub mod restore_report;
pub mod restoring;
pub mod retention_report;
pub mod schedules;
pub mod seal;
pub mod sessions;
pub mod settle;
pub mod snapshots;
pub mod tiers;
pub mod vault;

mod convert;
