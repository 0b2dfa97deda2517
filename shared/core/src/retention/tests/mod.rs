//! The decision against a brute-force oracle, its properties, and what it promises in tables.

mod against_oracle;
mod buckets;
mod cases;
mod forecasts;
mod oracle;
mod properties;
mod protections;
mod refusals;
mod rules;
mod scene;
