//! The load generator: many real clients of the protocol in one process and one thread. The binary `swarm`
//! is a `main` around [`run`].

pub mod attack;
pub mod cli;
mod client;
mod driver;
pub mod ftp;
mod lease;
pub mod plan;
pub mod report;
mod running;

use cli::Config;
use report::Report;
use std::io;

/// Runs the swarm to its end and tells what happened.
pub fn run(config: &Config) -> io::Result<Report> {
    let descriptors = raise_descriptor_limit()?;
    driver::Driver::new(config, descriptors)?.run()
}

/// Raises the soft limit of open descriptors to the hard one, and gives it.
pub fn raise_descriptor_limit() -> io::Result<usize> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX))
}
