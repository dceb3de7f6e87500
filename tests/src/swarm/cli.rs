//! The flags of `swarm` and what they mean. Opens nothing.

use clap::{Parser, ValueEnum};
use std::time::Duration;

/// Spawns many real clients of Ferry's protocol from one process, verifies every byte that they receive,
/// and reads every upload back.
///
/// The clients connect first and stay connected to the end; then one shared file is uploaded; then every
/// client does the operations of the mix, ROUNDS times. The files that swarm uploads, `swarm-SEED-*.bin`,
/// stay on the server. Exit status: 0 if every operation succeeded, 1 if any failed, 2 for wrong usage.
///
/// The latency of an operation is the time from its command to its last byte and reply, with every wait
/// for the server in it. What a client waits inside swarm before that (for a name to upload under, or for
/// one of the data connections that this process may have open) is not in it.
#[derive(Debug, Clone, Parser)]
#[command(name = "swarm", version)]
pub struct Config {
    /// Host of the server
    #[arg(default_value = "localhost")]
    pub host: String,
    /// Control port of the server
    #[arg(default_value_t = ferry_common::limits::CONTROL_PORT)]
    pub port: u16,
    /// How many clients, all connected at once
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
    /// How often each client does the mix
    #[arg(long, default_value_t = 1)]
    pub rounds: u32,
    /// What each client does in a round, in this order
    #[arg(long, value_delimiter = ',', default_value = "ls,download,upload")]
    pub mix: Vec<Operation>,
    /// Size of the shared file that `download` fetches, and the middle of the sizes of uploads: those are
    /// spread from 0 to twice as much
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024)]
    pub size: u64,
    /// Make every Nth upload 1 MiB larger, so that it must wait for the server's go-ahead (0: none)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub large_every: u64,
    /// Send the command that reads an upload back right behind the upload
    #[arg(long)]
    pub ahead: bool,
    /// How many names the uploads share; it bounds how many run at once
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub names: u32,
    /// Most clients in a transfer at once; fewer if the descriptors do not suffice
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub transfers: u32,
    /// Most connects in progress at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub connects: u32,
    /// Only connect all clients and say hello, print `N sessions idle`, and stay so for this time or until
    /// the end of standard input
    #[arg(long, value_name = "SECONDS")]
    pub hold_idle: Option<u64>,
    /// Makes names and contents differ between runs
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The whole run must be over by then
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

/// One item of `--mix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// List the root; the shared file must be in it
    Ls,
    /// Fetch the shared file
    Download,
    /// Upload a file of one's own, and read it back
    Upload,
}

impl Config {
    pub fn overall_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Config::command().debug_assert();
    }

    #[test]
    fn the_mix_keeps_its_order() {
        let config = Config::parse_from(["swarm", "--mix", "upload,ls", "host", "7"]);
        assert_eq!(config.mix, [Operation::Upload, Operation::Ls]);
        assert_eq!((config.host.as_str(), config.port), ("host", 7));
        assert!(Config::try_parse_from(["swarm", "--mix", "upload,fly"]).is_err());
        assert!(Config::try_parse_from(["swarm", "--clients", "0"]).is_err());
    }
}
