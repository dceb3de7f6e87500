//! A run, and then one for each of its calls, with `kill -9` at that call.

use crate::calls::CHANCE_CALLS;
use crate::side_by_side;
use ferry_tests::tracing::injector::{Aim, Call, Point};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// A call that threads happen to make or not is tried this often.
const TRIES: usize = 8;
/// What a run under the knife came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) counts: BTreeMap<Call, usize>,
    pub(crate) has_fired: bool,
}

#[derive(Default)]
struct Tally {
    fired: usize,
    unreached: Vec<Point>,
    fired_calls: BTreeSet<&'static str>,
}

/// Makes one reference run, then one for each call in it.
pub(crate) fn sweep(title: &str, run: impl Fn(Aim) -> Run + Sync) {
    let reference = run(Aim::Watch).counts;
    let points: Vec<Point> = reference
        .iter()
        .flat_map(|(&call, &count)| (1..=count).map(move |occurrence| Point { call, occurrence }))
        .collect();
    assert!(!points.is_empty(), "nothing was traced");
    let tally = Mutex::new(Tally::default());
    side_by_side::each(&points, |&point| {
        let has_fired = (0..TRIES).any(|_| run(Aim::Kill(point)).has_fired);
        let mut tally = tally.lock().unwrap();
        if has_fired {
            tally.fired += 1;
            tally.fired_calls.insert(point.call.name());
        } else {
            tally.unreached.push(point);
        }
    });
    let Tally { fired, unreached, fired_calls } = tally.into_inner().unwrap();
    let tried = points.len();
    println!("{title}: {tried} calls, killed at {fired}, not reached {}", unreached.len());
    for point in &unreached {
        println!("  not reached: {point}");
    }
    for point in &points {
        let name = point.call.name();
        assert!(fired_calls.contains(name) || CHANCE_CALLS.contains(&name), "never killed at {name}");
    }
    let missed = unreached.iter().filter(|point| !CHANCE_CALLS.contains(&point.call.name())).count();
    assert!(missed * 10 <= tried, "too many calls were not reached");
}
