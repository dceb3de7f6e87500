//! `swarm`: many real clients of a Ferry server from one process. See `swarm --help`.

use clap::{Parser, Subcommand};
use ferry_tests::swarm::attack::cli::{Config as AttackConfig, CrowdConfig};
use ferry_tests::swarm::ftp::{self, Config as FtpConfig};
use ferry_tests::swarm::{self, attack, cli::Config};
use std::io;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "swarm", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    load: Config,
}

#[derive(Debug, Subcommand)]
enum Other {
    Attack(AttackConfig),
    Ftp(FtpConfig),
    #[command(hide = true)]
    Crowd(CrowdConfig),
}

fn main() -> ExitCode {
    let Arguments { other, load } = Arguments::parse();
    match other {
        None => put_load_on(&load),
        Some(Other::Attack(config)) => tell(attack::run(&config)),
        Some(Other::Ftp(config)) => tell(ftp::run(&config).map(|report| print!("{report}"))),
        Some(Other::Crowd(config)) => {
            tell(swarm::raise_descriptor_limit().and_then(|_| attack::attack(&config)))
        }
    }
}

fn put_load_on(config: &Config) -> ExitCode {
    match swarm::run(config) {
        Ok(report) => {
            print!("{report}");
            if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("swarm: {}:{}: {error}", config.host, config.port);
            ExitCode::FAILURE
        }
    }
}

fn tell(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm: {error}");
            ExitCode::FAILURE
        }
    }
}
