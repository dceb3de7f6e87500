//! What happened, counted; and how it is printed. Decides nothing but whether all of it is a success.

use super::plan::Kind;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub clients: u32,
    /// Most sessions that were open at once.
    pub peak_sessions: u32,
    /// From the first connect to the last greeting.
    pub connecting: Duration,
    /// From the first operation to the end of the last.
    pub working: Duration,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    latencies_us: BTreeMap<Kind, Vec<u64>>,
    failed: BTreeMap<Kind, u64>,
    failures: BTreeMap<String, Failures>,
}

#[derive(Debug)]
struct Failures {
    count: u64,
    first: String,
}

/// A failure by what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    ConnectFailed,
    ConnectTimedOut,
    DataConnectFailed,
    /// With the code that the server gave.
    Refused(String),
    Mismatch,
    DataLost,
    DataCloseIgnored,
    ControlLost,
    Violation,
    TimedOut,
}

impl Report {
    pub(crate) fn new(clients: u32) -> Self {
        Self { clients, ..Self::default() }
    }

    pub fn is_success(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many operations of a kind succeeded.
    pub fn successes(&self, kind: Kind) -> u64 {
        self.latencies_us.get(&kind).map_or(0, |latencies| latencies.len() as u64)
    }

    pub(crate) fn succeed(&mut self, kind: Kind, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.entry(kind).or_default().push(latency_us);
    }

    /// `kind` is `None` where no operation was running.
    pub(crate) fn fail(&mut self, kind: Option<Kind>, failure: &FailureKind, detail: &str) {
        if let Some(kind) = kind {
            *self.failed.entry(kind).or_default() += 1;
        }
        let entry = self
            .failures
            .entry(failure.to_string())
            .or_insert_with(|| Failures { count: 0, first: detail.to_owned() });
        entry.count += 1;
    }

    fn write_operations(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<12}{:>9}{:>9}{:>11}{:>11}{:>11}{:>11}",
            "operation", "ok", "failed", "p50 ms", "p99 ms", "max ms", "per s"
        )?;
        for kind in Kind::ALL {
            let mut latencies = self.latencies_us.get(&kind).cloned().unwrap_or_default();
            let failed = self.failed.get(&kind).copied().unwrap_or(0);
            if latencies.is_empty() && failed == 0 {
                continue;
            }
            latencies.sort_unstable();
            let [p50, p99, max] =
                [0.5, 0.99, 1.0].map(|part| quantile(&latencies, part).map_or("-".to_owned(), milliseconds));
            let rate = per_second(latencies.len() as f64, self.working);
            writeln!(
                formatter,
                "{:<12}{:>9}{failed:>9}{p50:>11}{p99:>11}{max:>11}{rate:>11.0}",
                kind.word(),
                latencies.len()
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: usize = self.latencies_us.values().map(Vec::len).sum();
        writeln!(
            formatter,
            "sessions    {} of {} at once, connected in {:.2} s",
            self.peak_sessions,
            self.clients,
            self.connecting.as_secs_f64()
        )?;
        self.write_operations(formatter)?;
        writeln!(
            formatter,
            "total       {operations} operations in {:.2} s, {:.0} per s",
            self.working.as_secs_f64(),
            per_second(operations as f64, self.working)
        )?;
        for (name, bytes) in [("received", self.received_bytes), ("sent", self.sent_bytes)] {
            let rate = per_second(bytes as f64, self.working);
            writeln!(formatter, "{name:<12}{bytes} bytes, {rate:.0} bytes/s")?;
        }
        if self.failures.is_empty() {
            return writeln!(formatter, "failures    none");
        }
        for (name, Failures { count, first }) in &self.failures {
            writeln!(formatter, "FAILED      {count} x {name}; first: {first}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailed => formatter.write_str("connect failed"),
            Self::ConnectTimedOut => formatter.write_str("connect timed out"),
            Self::DataConnectFailed => formatter.write_str("data connect failed"),
            Self::Refused(code) => write!(formatter, "refused: {code}"),
            Self::Mismatch => formatter.write_str("mismatch"),
            Self::DataLost => formatter.write_str("data connection lost"),
            Self::DataCloseIgnored => formatter.write_str("end of a data connection ignored"),
            Self::ControlLost => formatter.write_str("control connection lost"),
            Self::Violation => formatter.write_str("protocol violation"),
            Self::TimedOut => formatter.write_str("timed out"),
        }
    }
}

/// The smallest latency that `part` of all do not exceed.
fn quantile(sorted: &[u64], part: f64) -> Option<u64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn milliseconds(latency_us: u64) -> String {
    format!("{:.2}", latency_us as f64 / 1000.0)
}

fn per_second(count: f64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_values() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(50));
        assert_eq!(quantile(&sorted, 0.99), Some(99));
        assert_eq!(quantile(&sorted, 1.0), Some(100));
        assert_eq!(quantile(&[7], 0.5), Some(7));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn any_failure_spoils_the_run_and_is_told_by_kind() {
        let mut report = Report::default();
        report.succeed(Kind::Ls, Duration::from_millis(3));
        assert!(report.is_success());
        report.fail(Some(Kind::Upload), &FailureKind::Refused("busy".to_owned()), "the server is full");
        report.fail(None, &FailureKind::ControlLost, "client 7");
        report.fail(None, &FailureKind::ControlLost, "client 8");
        assert!(!report.is_success());
        let text = report.to_string();
        assert!(text.contains("1 x refused: busy; first: the server is full"), "{text}");
        assert!(text.contains("2 x control connection lost; first: client 7"), "{text}");
    }
}
