//! What an attack costs: the server that was started here, and the machine. It measures no client.

use super::table::ServerFigures;
use crate::server::Server;
use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the server is left alone after an attack, to let go of what it has.
const REST: Duration = Duration::from_secs(2);
/// How often it is looked at how large the server has become.
const PEAK_INTERVAL: Duration = Duration::from_millis(50);

/// Processor time that the host of a virtual machine has given to others.
#[derive(Debug)]
pub(super) struct Stolen {
    started: Instant,
    ticks: u64,
}

impl Stolen {
    pub(super) fn begin() -> Self {
        Self { started: Instant::now(), ticks: Self::ticks() }
    }

    /// Of what the processors could have done.
    pub(super) fn percent(&self) -> f64 {
        let seconds = self.started.elapsed().as_secs_f64();
        let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let stolen = Self::ticks().saturating_sub(self.ticks) as f64;
        stolen / ticks_per_second / seconds / processors * 100.0
    }

    /// See proc_stat(5): the eighth figure.
    fn ticks() -> u64 {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        stat.split_whitespace().nth(8).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    }
}

/// What a server costs from one moment to another.
#[derive(Debug)]
pub(super) struct Watch {
    started: Instant,
    resident_bytes: u64,
    logged_bytes: usize,
    times: (Duration, Duration),
    /// Dropped to stop the thread that looks at how large the process has become.
    stop: Sender<()>,
    peak: JoinHandle<u64>,
}

impl Watch {
    pub(super) fn begin(server: &Server) -> Self {
        let process = server.process();
        let (stop, stopped) = channel();
        let peak = std::thread::spawn(move || {
            let mut most = 0;
            while stopped.recv_timeout(PEAK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                most = process.resident_bytes().max(most);
            }
            most
        });
        Self {
            started: Instant::now(),
            resident_bytes: process.resident_bytes(),
            logged_bytes: logged_bytes(server),
            times: process.run_and_wait_times(),
            stop,
            peak,
        }
    }

    pub(super) fn end(self, server: &Server) -> ServerFigures {
        let process = server.process();
        let elapsed = self.started.elapsed().as_secs_f64();
        let (ran, waited) = process.run_and_wait_times();
        let logged = logged_bytes(server).saturating_sub(self.logged_bytes);
        drop(self.stop);
        let resident_peak_bytes = self.peak.join().unwrap_or(0);
        std::thread::sleep(REST);
        ServerFigures {
            resident_before_bytes: self.resident_bytes,
            resident_peak_bytes,
            resident_after_bytes: process.resident_bytes(),
            log_bytes_per_second: (logged as f64 / elapsed) as u64,
            running: (ran - self.times.0).as_secs_f64() / elapsed,
            waiting: (waited - self.times.1).as_secs_f64() / elapsed,
        }
    }
}

fn logged_bytes(server: &Server) -> usize {
    server.log().iter().map(String::len).sum()
}
