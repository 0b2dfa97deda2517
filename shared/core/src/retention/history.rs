//! The points that count, newest first.

use super::{PointFacts, Standing};
use jiff::Timestamp;
use std::cmp::Ordering;
use std::ops::Range;

/// The points that count, in the one order that rules know: newest first, at the same moment COMPLETED before PARTIAL,
/// then the one that ended last.
pub(super) struct History<'a> {
    points: &'a [PointFacts],
    order: Vec<u32>,
}

/// Points that are equal in moment, standing and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peers {
    pub(super) moment: Timestamp,
    pub(super) standing: Standing,
    /// Their places in the order. So many points as its start says are newer than they.
    pub(super) places: Range<usize>,
}

impl<'a> History<'a> {
    /// Sorts out what counts. At most `u32::MAX` points are looked at.
    pub(super) fn new(points: &'a [PointFacts]) -> Self {
        let counting = (0..).zip(points).filter(|(_, point)| point.counts());
        // The moments go along: nearly always they decide, and looking each point up costs more than comparing.
        let mut moments: Vec<(Timestamp, u32)> =
            counting.map(|(index, point)| (point.moment, index)).collect();
        moments.sort_unstable_by(|(a_moment, a), (b_moment, b)| {
            b_moment
                .cmp(a_moment)
                .then_with(|| newest_first(&points[*a as usize], &points[*b as usize]))
        });
        let order = moments.into_iter().map(|(_, index)| index).collect();
        Self { points, order }
    }

    /// The points at these places, as indices into the input.
    pub(super) fn points_of(&self, peers: &Peers) -> &[u32] {
        self.order.get(peers.places.clone()).unwrap_or_default()
    }

    /// The moments, newest first.
    pub(super) fn moments(&self) -> impl Iterator<Item = Timestamp> {
        self.order.iter().map(|index| self.points[*index as usize].moment)
    }

    /// Walks through the history once.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Peers> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let first = &self.points[*self.order.get(start)? as usize];
            let alike = self.order[start..]
                .iter()
                .take_while(|index| newest_first(first, &self.points[**index as usize]).is_eq())
                .count();
            let places = start..start + alike;
            start = places.end;
            Some(Peers {
                moment: first.moment,
                standing: first.standing,
                places,
            })
        })
    }
}

fn newest_first(a: &PointFacts, b: &PointFacts) -> Ordering {
    (b.moment.cmp(&a.moment))
        .then(a.standing.cmp(&b.standing))
        .then(b.ended_at.cmp(&a.ended_at))
}
