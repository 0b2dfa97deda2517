//! A simulator of the EC2 and EBS behaviour that a backup depends on.
//!
//! It answers the EC2 query protocol at `POST /`, EBS direct under `/snapshots`, and its own control routes under
//! `/_sim`, by which a test sets scenes, moves the clock, plants faults and looks behind the API. Each account is a
//! world of its own with a clock, throttle buckets and a log of calls.

mod actions;
mod call_log;
mod clock;
mod content;
mod control;
mod ebs;
mod error;
mod faults;
mod filter;
mod front;
mod ids;
mod kms;
mod page;
mod params;
mod random;
mod settings;
mod tags;
mod throttle;
mod world;
mod xml;

pub use front::serve;
