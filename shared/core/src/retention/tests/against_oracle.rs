use super::cases::{case, count, try_cases};
use super::oracle;
use crate::retention::decide_retention;
use proptest::prelude::*;
use std::cell::Cell;

/// Target R6. `HOLDFAST_RETENTION_CASES` says how many cases; `make test-long` tries a million.
#[test]
fn decides_as_the_oracle_does() {
    let (cases, points, deletions) = (Cell::new(0_u64), Cell::new(0), Cell::new(0));
    try_cases(count(), &case(), |case| {
        let verdicts = decide_retention(&case.input(), case.now).unwrap();
        let expected = oracle::expect(&case.input(), case.now);
        prop_assert_eq!(verdicts.len(), expected.len());
        for (index, (verdict, expected)) in verdicts.iter().zip(&expected).enumerate() {
            prop_assert!(
                verdict.keeps() || !expected.keeps(),
                "point {} is to be deleted, but: {:?}",
                index,
                expected
            );
            let rules: Vec<usize> = verdict.rules().collect();
            prop_assert_eq!(&rules, &expected.rules, "rules of point {}", index);
            prop_assert_eq!(
                verdict.protections(),
                expected.protections,
                "protections of point {}",
                index
            );
        }
        let deleted = verdicts.iter().filter(|verdict| !verdict.keeps()).count();
        cases.set(cases.get() + 1);
        points.set(points.get() + verdicts.len());
        deletions.set(deletions.get() + deleted);
        Ok(())
    });
    assert!(
        deletions.get() > points.get() / 20,
        "cases that delete nothing prove nothing"
    );
    println!(
        "R6: retention against the oracle: {} cases, {} points, {} deletions, 0 wrong deletions",
        cases.get(),
        points.get(),
        deletions.get()
    );
}
