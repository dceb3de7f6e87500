//! Runs the attacks one after the other: prepares the folder, starts the server where that is asked for, has a process
//! attack, and has the clients measure.

use super::cli::Config;
use super::crowd_process::CrowdProcess;
use super::echo::Echo;
use super::good::Good;
use super::measure::Samples;
use super::plan::{Attack, COLD_BYTES, COLD_FILES, LARGE_BYTES, LARGE_FOLDER_ENTRIES, SPARSE_BYTES};
use super::table::{Outcome, Pair, ServerFigures};
use crate::binaries;
use crate::server::Server;
use clap::ValueEnum;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A folder in the served one for all that the attacks need and make.
const FOLDER: &str = "attack";
/// How long the server is left alone after an attack, to let go of what it has.
const REST: Duration = Duration::from_secs(2);
/// How often it is looked at how large the server has become.
const PEAK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs the attacks that are asked for and prints what came of each.
pub fn run(config: &Config) -> io::Result<()> {
    if config.list {
        for attack in Attack::value_variants() {
            let help = attack.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            println!("{:<20}{}", attack.name(), help.unwrap_or_default());
        }
        return Ok(());
    }
    let home = config.within.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::tempdir_in(home)?;
    let server = config.serve.then(|| start(config, home.path()));
    let address = match &server {
        Some(server) => server.control_address(),
        None => {
            (config.host.as_str(), config.port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?
        }
    };
    let folder = config.folder.clone().or(server.as_ref().map(|server| server.root().to_owned()));
    let echo = Echo::start(folder.as_deref().map(|folder| folder.join(FOLDER)))?;
    let mut stage =
        Stage { address, folder, server, good: Good::new(address)?, echo, config: config.clone() };
    stage.prepare()?;
    println!("{}", Outcome::HEADING);
    let attacks = if config.all { Attack::value_variants().to_vec() } else { config.only.clone() };
    for attack in attacks {
        if attack.needs_fixtures() && stage.folder.is_none() {
            println!("{:<20}left out: it needs --serve or --folder", attack.name());
        } else {
            print!("{}", stage.run(attack)?);
            io::stdout().flush()?;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Stage {
    address: SocketAddr,
    folder: Option<PathBuf>,
    server: Option<Server>,
    good: Good,
    echo: Echo,
    config: Config,
}

fn start(config: &Config, home: &Path) -> Server {
    let ferryd = config.ferryd.clone().unwrap_or_else(binaries::ferryd);
    let mut command = Command::new(ferryd);
    command.args(["--listen", "127.0.0.1", "--port", "0", "--data-port", "0"]).arg(home);
    Server::of(command, home)
}

impl Stage {
    fn prepare(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let attack = folder.join(FOLDER);
        fs::create_dir_all(attack.join("big"))?;
        for number in 0..LARGE_FOLDER_ENTRIES {
            File::create(attack.join(format!("big/entry{number}")))?;
        }
        fs::write(attack.join("large"), vec![b'l'; LARGE_BYTES as usize])?;
        let cold = vec![b'c'; COLD_BYTES as usize];
        for number in 0..COLD_FILES {
            fs::write(attack.join(format!("cold{number}")), &cold)?;
        }
        File::create(attack.join("sparse"))?.set_len(SPARSE_BYTES)?;
        // What is dirty stays in memory whatever is done about it.
        rustix::fs::sync();
        Ok(())
    }

    fn run(&mut self, attack: Attack) -> io::Result<Outcome> {
        let time = Duration::from_secs(self.config.seconds);
        let before = Samples::take(&mut self.good, &mut self.echo, time / 2);
        let (watch, stolen) = (self.server.as_ref().map(Watch::begin), Stolen::begin());
        let crowd = self.begin(attack)?;
        crowd.wait_until_there();
        let during = Samples::take(&mut self.good, &mut self.echo, time);
        let told = format!("{}; the host took {:.1} % of the processors", crowd.end()?, stolen.percent());
        let server = watch.zip(self.server.as_ref()).map(|(watch, server)| watch.end(server));
        let pair = |before, during| Pair { before, during };
        let (good, echo) = (pair(before.0, during.0), pair(before.1, during.1));
        Ok(Outcome { name: attack.name(), good, echo, server, crowd: told })
    }

    fn begin(&self, attack: Attack) -> io::Result<CrowdProcess> {
        let from = if self.config.same_address { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.config.from };
        let (control, data) = (self.address, self.good.data_address());
        CrowdProcess::start(attack, control, data, from, self.folder.as_deref().map(|root| root.join(FOLDER)))
    }
}

/// Processor time that the host of a virtual machine has given to others.
#[derive(Debug)]
struct Stolen {
    started: Instant,
    ticks: u64,
}

impl Stolen {
    fn begin() -> Self {
        Self { started: Instant::now(), ticks: Self::ticks() }
    }

    /// Of what the processors could have done.
    fn percent(&self) -> f64 {
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
struct Watch {
    started: Instant,
    resident_bytes: u64,
    logged_bytes: usize,
    times: (Duration, Duration),
    /// Dropped to stop the thread that looks at how large the process has become.
    stop: Sender<()>,
    peak: JoinHandle<u64>,
}

impl Watch {
    fn begin(server: &Server) -> Self {
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

    fn end(self, server: &Server) -> ServerFigures {
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
