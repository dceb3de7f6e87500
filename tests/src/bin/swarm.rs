//! `swarm`: many real clients of a Ferry server from one process. See `swarm --help`.

use clap::Parser;
use ferry_tests::swarm::{self, cli::Config};
use std::process::ExitCode;

fn main() -> ExitCode {
    let config = Config::parse();
    match swarm::run(&config) {
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
