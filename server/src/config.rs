//! The command line, and what follows from it.

use clap::{Parser, ValueEnum};
use ferry_common::limits::{CONTROL_PORT, DATA_PORT, PARTIAL_MAX_AGE, PARTIAL_MAX_BYTES};
use std::net::IpAddr;
use std::path::PathBuf;

/// Hosts a folder to everyone on the network.
///
/// Clients connect with `ferry HOST`, list the folder, and download and upload files. Two ports are used:
/// one for commands, one for the files themselves. Uploads appear under their name only when they are
/// whole and on the disk.
#[derive(Debug, Parser)]
#[command(name = "ferryd", version, after_help = EXAMPLES)]
pub(crate) struct Config {
    /// The folder to serve
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Address to listen on; may be repeated [default: all interfaces, IPv4 and IPv6]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,

    /// Port for commands; 0 takes any free one and tells which
    #[arg(long, value_name = "PORT", default_value_t = CONTROL_PORT)]
    pub(crate) port: u16,

    /// Port for file data; 0 takes any free one and tells which
    #[arg(long, value_name = "PORT", default_value_t = DATA_PORT)]
    pub(crate) data_port: u16,

    /// Refuse uploads and change nothing in the folder
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Refuse uploads and renames to names that exist
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// What `ok` promises of an upload: full survives a power cut; data flushes the file, but its name may
    /// be lost with the power; none survives a killed server only
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Durability::Full)]
    pub(crate) durability: Durability,

    /// How long an upload that broke off is kept for its client to go on with
    #[arg(long, value_name = "SECONDS", default_value_t = PARTIAL_MAX_AGE.as_secs())]
    pub(crate) partial_age: u64,

    /// How many bytes of such uploads are kept; the oldest go first
    #[arg(long, value_name = "BYTES", default_value_t = PARTIAL_MAX_BYTES)]
    pub(crate) partial_bytes: u64,

    /// Free space that uploads leave on a disk [default: a hundredth of it, at most 1 GiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) keep_free: Option<u64>,

    /// Most sessions at once [default: what the limit on open files allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_sessions: Option<u64>,

    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: log::LevelFilter,

    /// Append the log to this file instead of writing it to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

/// What `ok` promises of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// The data is flushed, then the file renamed, then its directory flushed.
    Full,
    /// The data is flushed before the file is renamed.
    Data,
    /// Nothing is flushed.
    None,
}

const EXAMPLES: &str = "\
Examples:
  ferryd                          serve the current folder on ports 2222 and 3333
  ferryd --read-only ~/Music      serve a folder to download from only
  ferryd --listen 127.0.0.1 --port 0 --data-port 0 /tmp
                                  serve this machine only, on any free ports

Exit status: 0 after SIGINT or SIGTERM, 1 if the server cannot start or go on, 2 for wrong usage.
Transfers under way have 10 seconds to finish after the first signal; a second one ends at once.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_known_ports_and_this_folder() {
        let config = Config::parse_from(["ferryd"]);
        assert_eq!((config.port, config.data_port), (2222, 3333));
        assert_eq!(config.directory, PathBuf::from("."));
    }
}
