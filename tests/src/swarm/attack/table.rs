//! How the outcome of an attack is printed.

use super::measure::{Measure, Samples};
use std::fmt;
use std::time::Duration;

/// More than this is marked, unless the echo server has lost as much.
const RATIO_MAX: f64 = 2.0;

/// What a client measured before an attack and during it.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) before: Samples,
    pub(super) during: Samples,
}

/// The outcome of one attack.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) good: Pair,
    pub(super) echo: Pair,
    pub(super) server: Option<ServerFigures>,
    /// What the crowd tells of itself.
    pub(super) crowd: String,
}

/// What the attack has cost a server that was started here.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerFigures {
    pub(super) resident_before_bytes: u64,
    pub(super) resident_peak_bytes: u64,
    pub(super) resident_after_bytes: u64,
    pub(super) log_bytes_per_second: u64,
    /// Parts of the time in which the reactor ran, and in which it waited for a processor.
    pub(super) running: f64,
    pub(super) waiting: f64,
}

impl Pair {
    fn ratio(&self, measure: Measure) -> Option<f64> {
        let before = self.before.quantile(measure, 0.99)?;
        let during = self.during.quantile(measure, 0.99)?;
        Some(during.as_secs_f64() / before.as_secs_f64())
    }
}

impl Outcome {
    pub(super) const HEADING: &str = "attack              measure            n   before p50     p99   \
        during p50      p99      max   x p99   echo p50      p99      max   x p99";

    /// Longer than allowed, and not by the machine.
    fn is_marked(&self, measure: Measure) -> bool {
        let echo = self.echo.ratio(measure).unwrap_or(0.0);
        self.good.during.failures(measure) > 0
            || self.good.ratio(measure).is_none_or(|ratio| ratio > RATIO_MAX && ratio > echo)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for measure in Measure::ALL {
            let at = |samples: &Samples, part| milliseconds(samples.quantile(measure, part));
            let ratio =
                |pair: &Pair| pair.ratio(measure).map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
            let Pair { before, during } = &self.good;
            write!(
                formatter,
                "{:<20}{:<15}{:>5}{:>13}{:>8}{:>13}{:>9}{:>9}{:>8}{:>11}{:>9}{:>9}{:>8}",
                self.name,
                measure.name(),
                during.count(measure),
                at(before, 0.5),
                at(before, 0.99),
                at(during, 0.5),
                at(during, 0.99),
                at(during, 1.0),
                ratio(&self.good),
                at(&self.echo.during, 0.5),
                at(&self.echo.during, 0.99),
                at(&self.echo.during, 1.0),
                ratio(&self.echo),
            )?;
            if during.failures(measure) > 0 {
                write!(formatter, "  {} failed", during.failures(measure))?;
            }
            writeln!(formatter, "{}", if self.is_marked(measure) { "  !" } else { "" })?;
        }
        if let Some(failure) = self.good.during.first_failure() {
            writeln!(formatter, "{:<20}first failure: {failure}", "")?;
        }
        if let Some(server) = &self.server {
            let mib = |bytes: u64| bytes >> 20;
            writeln!(
                formatter,
                "{:<20}server: {} MiB before, {} at most, {} after; log {} kB/s; reactor ran {:.0} %, waited for a \
                 processor {:.0} %; {}",
                "",
                mib(server.resident_before_bytes),
                mib(server.resident_peak_bytes),
                mib(server.resident_after_bytes),
                server.log_bytes_per_second / 1000,
                server.running * 100.0,
                server.waiting * 100.0,
                self.crowd
            )?;
        }
        Ok(())
    }
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0))
}
