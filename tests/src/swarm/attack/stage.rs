//! Runs the attacks one after the other: prepares the folder, starts the server where that is asked for, has a process
//! attack, and has the clients measure.

use super::cli::{Config, CrowdConfig};
use super::cost::{Stolen, Watch};
use super::crowd_process::CrowdProcess;
use super::echo::Echo;
use super::fixtures::{FOLDER, Fixtures};
use super::good::Good;
use super::measure::Samples;
use super::plan::Attack;
use super::table::{Outcome, Pair};
use crate::server::{Options, Server};
use crate::swarm::driver::reachable_address;
use clap::ValueEnum;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where attackers of a server on loopback come from.
const ATTACKERS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

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
        None => reachable_address(&config.host, config.port)?,
    };
    let folder = config.folder.clone().or(server.as_ref().map(|server| server.root().to_owned()));
    let echo = Echo::start(folder.as_deref().map(|folder| folder.join(FOLDER)))?;
    let mut stage =
        Stage { address, folder, server, good: Good::new(address)?, echo, config: config.clone() };
    if let Some(folder) = &stage.folder {
        Fixtures::WHOLE.prepare(folder)?;
    }
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
    let options = Options::default().root(home);
    config.ferryd.iter().fold(options, |options, ferryd| options.program(ferryd)).start()
}

impl Stage {
    fn run(&mut self, attack: Attack) -> io::Result<Outcome> {
        let time = Duration::from_secs(self.config.seconds);
        let before = Samples::take(&mut self.good, &mut self.echo, time);
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
        let is_loopback = self.address.is_ipv4() && self.address.ip().is_loopback();
        let from = self.config.from.or(is_loopback.then_some(ATTACKERS));
        CrowdProcess::start(&CrowdConfig {
            attack,
            control: self.address,
            data: self.good.data_address()?,
            from: from.filter(|_| !self.config.same_address),
            folder: self.folder.as_deref().map(|root| root.join(FOLDER)),
        })
    }
}
