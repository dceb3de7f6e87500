//! How long each thing takes that a client does, over and over. It decides nothing.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    Ls,
    /// A fresh connect, one `stat`, and the end.
    Connect,
    Download,
    /// On a new session and a new data connection.
    Upload,
}

/// A good client that does it.
pub(super) trait Client {
    /// After an error the next one begins on new connections.
    fn perform(&mut self, measure: Measure) -> io::Result<()>;
}

/// What came of doing it.
#[derive(Debug, Default)]
pub(super) struct Samples {
    times: BTreeMap<Measure, Vec<Duration>>,
    failures: BTreeMap<Measure, u64>,
    first_failure: Option<String>,
}

/// What is done in a round.
const ROUND: [(Measure, usize); 4] =
    [(Measure::Ls, 10), (Measure::Connect, 5), (Measure::Download, 1), (Measure::Upload, 1)];
/// Rounds however long they take.
const ROUNDS_MIN: usize = 10;
/// No round begins after so many times the wanted time.
const OVERTIME: u32 = 4;

impl Measure {
    pub(super) const ALL: [Self; 4] = [Self::Ls, Self::Connect, Self::Download, Self::Upload];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ls => "ls",
            Self::Connect => "connect, stat",
            Self::Download => "download 20 MB",
            Self::Upload => "upload 5 MB",
        }
    }
}

impl Samples {
    /// Has both clients do everything in turn, for about so long.
    pub(super) fn take(first: &mut dyn Client, second: &mut dyn Client, time: Duration) -> (Self, Self) {
        let (mut one, mut two) = (Self::default(), Self::default());
        let started = Instant::now();
        for round in 0.. {
            let elapsed = started.elapsed();
            if elapsed >= time * OVERTIME || round >= ROUNDS_MIN && elapsed >= time {
                break;
            }
            one.add_round(first);
            two.add_round(second);
        }
        (one, two)
    }

    fn add_round(&mut self, client: &mut dyn Client) {
        for (measure, times) in ROUND {
            for _ in 0..times {
                let started = Instant::now();
                match client.perform(measure) {
                    Ok(()) => self.times.entry(measure).or_default().push(started.elapsed()),
                    Err(error) => {
                        *self.failures.entry(measure).or_default() += 1;
                        self.first_failure.get_or_insert_with(|| format!("{}: {error}", measure.name()));
                    }
                }
            }
        }
    }

    pub(super) fn count(&self, measure: Measure) -> usize {
        self.times.get(&measure).map_or(0, Vec::len)
    }

    pub(super) fn failures(&self, measure: Measure) -> u64 {
        self.failures.get(&measure).copied().unwrap_or(0)
    }

    pub(super) fn first_failure(&self) -> Option<&str> {
        self.first_failure.as_deref()
    }

    /// The time that this part of all does not exceed; the whole is 1.
    pub(super) fn quantile(&self, measure: Measure, part: f64) -> Option<Duration> {
        let mut times = self.times.get(&measure)?.clone();
        times.sort_unstable();
        let place = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len());
        Some(times[place - 1])
    }
}
