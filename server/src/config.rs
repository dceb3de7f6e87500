//! The command line, and what follows from it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use ferry_common::limits::{CONTROL_PORT, DATA_PORT, PARTIAL_MAX_AGE, PARTIAL_MAX_BYTES};
use ferry_session::ShowWho;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Hosts a folder to everyone on the network
///
/// Clients connect with `ferry HOST`, list the folder, and download and upload files. Two ports are used: one for
/// commands, one for the files themselves; FTP clients have a port of their own. Uploads appear under their name only
/// when they are whole and on the disk.
#[derive(Debug, Parser)]
#[command(name = "ferryd", version, max_term_width = 80, after_help = FIRST_EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct Config {
    /// The folder to serve [default: the current one]
    ///
    /// A home folder and the root of the file system are served only if they are named, or after a question.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Address to listen on; may be repeated [default: all]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<IpAddr>,

    /// Port for commands; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = CONTROL_PORT)]
    pub(crate) port: u16,

    /// Port for file data; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = DATA_PORT)]
    pub(crate) data_port: u16,

    /// Port for FTP clients; 0 takes any free one [default: 2121]
    ///
    /// Where the default is taken, FTP is not served.
    #[arg(long, value_name = "PORT")]
    pub(crate) ftp_port: Option<u16>,

    /// Serve no FTP
    #[arg(long, conflicts_with_all = ["ftp_port", "ftp_passive_ports", "ftp_address", "ftp_no_active"])]
    pub(crate) no_ftp: bool,

    /// Ports for the data of FTP clients [default: any free ones]
    ///
    /// For a firewall that lets only some in. Each transfer takes one while it waits for its connection.
    #[arg(long, value_name = "FROM-TO", value_parser = port_range)]
    pub(crate) ftp_passive_ports: Option<PortRange>,

    /// The address that FTP clients are told to connect to for data
    ///
    /// For a server behind a router that translates addresses. By default the one that they have connected to.
    #[arg(long, value_name = "ADDR")]
    pub(crate) ftp_address: Option<Ipv4Addr>,

    /// Never connect to FTP clients
    ///
    /// Clients in active mode ask for that. It is done to their own address only.
    #[arg(long)]
    pub(crate) ftp_no_active: bool,

    /// Refuse uploads and change nothing in the folder
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Refuse uploads and renames to names that exist
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// What `ok` promises of an upload
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Durability::Full)]
    pub(crate) durability: Durability,

    /// How long an upload that broke off is kept
    ///
    /// Its client can go on with it for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = PARTIAL_MAX_AGE.as_secs())]
    pub(crate) partial_age: u64,

    /// How much of such uploads is kept
    ///
    /// The oldest go first.
    #[arg(long, value_name = "BYTES", default_value_t = PARTIAL_MAX_BYTES)]
    pub(crate) partial_bytes: u64,

    /// Free space that uploads leave on a disk
    ///
    /// By default a hundredth of it, at most 1 GiB.
    #[arg(long, value_name = "BYTES")]
    pub(crate) keep_free: Option<u64>,

    /// What everybody may see of the sessions of others: all, counts or none
    ///
    /// All of them with their addresses and files, their counts and rates, or none of that.
    #[arg(long, value_name = "WHAT", value_parser = show_who(), default_value = "counts")]
    pub(crate) show_who: ShowWho,

    /// Most sessions at once
    ///
    /// By default as many as the limit on open files allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_sessions: Option<u64>,

    /// off, error, warn, info, debug or trace
    ///
    /// At info, the log has one line for each finished thing; at debug, each command too.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: log::LevelFilter,

    /// Append the log to this file
    ///
    /// Without this, the log goes to standard error. SIGHUP has the file opened again, as after a rotation.
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// Print completions for a shell, and exit
    ///
    /// That is bash, elvish, fish, powershell or zsh.
    #[arg(long, value_name = "SHELL", exclusive = true, hide_possible_values = true)]
    completions: Option<Shell>,

    /// Print the manual page, and exit
    #[arg(long, exclusive = true)]
    man: bool,
}

impl Config {
    /// What is to be printed in place of serving: completions or the manual page.
    pub(crate) fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        match (self.completions, self.man) {
            (Some(shell), _) => clap_complete::generate(shell, &mut Self::command(), "ferryd", &mut text),
            // Writing into memory does not fail.
            (None, true) => drop(Man::new(Self::command()).render(&mut text)),
            (None, false) => return None,
        }
        Some(text)
    }
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortRange {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

fn port_range(text: &str) -> Result<PortRange, String> {
    let (from, to) = text.split_once('-').ok_or("it is to look like 50000-50100")?;
    let port = |text: &str| text.parse().map_err(|_| format!("{text} is no port"));
    let (from, to) = (port(from)?, port(to)?);
    if from == 0 || from > to {
        return Err("the first port is to be the lower one, and not 0".to_owned());
    }
    Ok(PortRange { from, to })
}

/// What `ok` promises of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// It survives a power cut
    Full,
    /// The data is flushed, but the name may be lost with the power
    Data,
    /// It survives a killed server only
    None,
}

fn show_who() -> impl TypedValueParser<Value = ShowWho> {
    PossibleValuesParser::new(["all", "counts", "none"]).map(|word| match word.as_str() {
        "all" => ShowWho::All,
        "none" => ShowWho::None,
        _ => ShowWho::Counts,
    })
}

const FIRST_EXAMPLES: &str = "\
Examples:
  ferryd ~/Public               share a folder with everyone on the network
  ferryd --read-only ~/Music    let them only download";

const EXAMPLES: &str = "\
Examples:
  ferryd                        serve the current folder on ports 2222 and 3333
  ferryd --read-only ~/Music    serve a folder to download from only
  ferryd --listen 127.0.0.1 --port 0 --data-port 0 /tmp
                                serve this machine only, on any free ports

Exit status: 0 after SIGINT or SIGTERM, 1 if the server cannot start or go on,
2 for wrong usage. Transfers under way have 10 seconds to finish after the first
signal; a second one ends at once, with status 130.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    /// A line that is broken here, and again where it is too long for a terminal, cannot be read.
    #[test]
    fn no_line_of_the_help_is_broken_twice() {
        for line in EXAMPLES.lines().chain(FIRST_EXAMPLES.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_range_of_ports_has_a_first_and_a_last_one() {
        assert_eq!(port_range("50000-50100"), Ok(PortRange { from: 50000, to: 50100 }));
        assert_eq!(port_range("21-21"), Ok(PortRange { from: 21, to: 21 }));
        for wrong in ["", "1", "1-", "-1", "2-1", "0-9", "1-65536", "a-b", "1-2-3"] {
            assert!(port_range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_defaults_are_the_known_ports_and_this_folder() {
        let config = Config::parse_from(["ferryd"]);
        assert_eq!((config.port, config.data_port), (2222, 3333));
        assert_eq!(config.directory, None);
    }
}
