//! Target P5: the retention decision over a million recovery points. Prints rows of a Markdown table.
//!
//! The points come unsorted, every quarter of an hour over 28 years, and every rule is made to work as much as it can.

#![expect(clippy::print_stdout, reason = "the figures are what the command is for")]

use holdfast_core::retention::{PointFacts, Protections, RetentionInput, Standing, decide_retention};
use holdfast_core::retention_rule::RetentionRule;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::HashSet;
use std::hint::black_box;
use std::time::Instant;

const POINTS: u32 = 1_000_000;
const SETS: u32 = 1_000;
const RESOURCES: u32 = 100;
const RUNS: usize = 5;
const QUARTER: i64 = 900;
/// 2026-11-24T02:00:00Z.
const NEWEST: i64 = 1_795_485_600;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::from_second(NEWEST + 3_600)?;
    let points = points()?;
    let resource_sets: Vec<Vec<u32>> = (0..SETS).map(|set| (set..set + RESOURCES).collect()).collect();
    let rules = [
        RetentionRule::Newest { count: 10_000 },
        RetentionRule::Hourly { count: 10_000 },
        RetentionRule::Daily { count: 10_000 },
        RetentionRule::Monthly { count: 10_000 },
        RetentionRule::YoungerThan {
            age: "P20Y".to_owned(),
        },
    ];
    let input = RetentionInput {
        rules: &rules,
        zone: &TimeZone::get("Europe/Rome")?,
        points: &points,
        resource_sets: &resource_sets,
        expirable: &HashSet::new(),
        safety_age: SignedDuration::from_hours(24),
    };

    // First, while the allocator has nothing left over.
    let before = memory("VmRSS");
    // The peak of what came before is forgotten, where the kernel does that.
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let verdicts = decide_retention(&input, now)?;
    let bytes = before
        .zip(memory("VmHWM"))
        .filter(|_| reset)
        .map(|(before, peak)| peak.saturating_sub(before) / u64::from(POINTS));
    let kept = verdicts.iter().filter(|verdict| verdict.keeps()).count();
    drop(verdicts);

    let decision = median(|| decide_retention(&input, now).map(|verdicts| verdicts.len()))?;
    let moments: Vec<Timestamp> = points.iter().map(|point| point.moment).collect();
    let sorting = median(|| {
        let mut moments = moments.clone();
        moments.sort_unstable();
        Ok::<_, std::convert::Infallible>(moments.len())
    })?;

    let bytes = bytes.map_or("not on this system".to_owned(), |bytes| bytes.to_string());
    println!("P5: {POINTS} points under {} rules, {kept} kept", rules.len());
    println!("| figure | target | measured |");
    println!("|---|---:|---:|");
    println!("| P5: retention over 1,000,000 points, seconds on one core | ≤ 1 | {decision:.2} |");
    println!(
        "| P5: the same ÷ sorting their moments once | | {:.1} |",
        decision / sorting
    );
    println!("| P5: bytes a point beyond the input | ≤ 64 | {bytes} |");
    Ok(())
}

/// A point every quarter of an hour, in an order as records come: none.
fn points() -> Result<Vec<PointFacts>, jiff::Error> {
    // 7919 is prime, so every place comes once.
    (0..u64::from(POINTS))
        .map(|n| u32::try_from(n * 7_919 % u64::from(POINTS)).unwrap_or(0))
        .map(|place| {
            let moment = Timestamp::from_second(NEWEST - QUARTER * i64::from(place))?;
            Ok(PointFacts {
                moment,
                ended_at: Some(moment.checked_add(SignedDuration::from_secs(600))?),
                standing: if place % 10 == 0 {
                    Standing::Partial
                } else {
                    Standing::Completed
                },
                resources: place % SETS,
                found: Protections::NONE,
            })
        })
        .collect()
}

fn median<E>(mut work: impl FnMut() -> Result<usize, E>) -> Result<f64, E> {
    let mut seconds = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let (start, on_core) = (Instant::now(), seconds_on_core());
        black_box(work()?);
        let used = seconds_on_core()
            .zip(on_core)
            .map(|(after, before)| after - before);
        seconds.push(used.unwrap_or_else(|| start.elapsed().as_secs_f64()));
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[RUNS / 2])
}

/// How long this thread has run, where the kernel says so: others that want the core do not count.
fn seconds_on_core() -> Option<f64> {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = counts.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))?;
    kib.trim()
        .strip_suffix(" kB")?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1_024)
}
