//! The command line: what may be given, what the help says about it, and what is said of wrong arguments. Never acts on it.

use crate::exit_code::{EXIT_STATUS_HELP, ExitCode};
use crate::limits::{RETRY_FOR_DEFAULT_S, RETRY_FOR_MAX_S};
use crate::prompt::input::{self, PromptCommand};
use crate::terminal::screen;
use crate::transfer::TransferOptions;
use clap::Parser;
use ferry_common::limits::{CONTROL_PORT, PROTOCOL_VERSION};
use ferry_common::wire::{printable, words};
use std::env;
use std::ffi::OsString;
use std::sync::LazyLock;
use std::time::Duration;

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (protocol version {PROTOCOL_VERSION})", env!("CARGO_PKG_VERSION")));

static AFTER_HELP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "Commands:\n{}\n\n\
         Examples:\n  \
         ferry                                 a prompt, with the server on this host\n  \
         ferry nas.local                       a prompt, with the server on another host\n  \
         ferry nas.local -c 'download a.txt'   one command, then exit\n  \
         ferry nas.local < commands.txt        the commands of a file, one a line\n\n\
         Without -c, commands are read from standard input: at a prompt with history and Tab\n\
         completion where it is a terminal, else one a line. Results go to standard output, messages\n\
         and progress to standard error.\n\n\
         A transfer that was interrupted, even by kill -9, is gone on with by the same command, where\n\
         both ends agree on what has moved already.\n\n{EXIT_STATUS_HELP}",
        input::help()
    )
});

/// List, download and upload the files that a Ferry server shares.
#[derive(Debug, Parser)]
#[command(name = "ferry", version = VERSION.as_str(), after_help = AFTER_HELP.as_str(), max_term_width = 100)]
pub(crate) struct Cli {
    /// Name or address of the server
    #[arg(default_value = "localhost")]
    pub(crate) host: String,

    /// Its control port; the port for file data is learnt from the server
    #[arg(default_value_t = CONTROL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Run this command instead of asking for commands; may be repeated, stops at the first failure
    #[arg(short, long = "command", value_name = "CMD", value_parser = parse_command)]
    pub(crate) commands: Vec<PromptCommand>,

    /// When the connection is lost during a transfer, try to go on for so long; 0 gives up at once
    #[arg(long, value_name = "SECONDS", default_value_t = RETRY_FOR_DEFAULT_S,
          value_parser = clap::value_parser!(u64).range(..=RETRY_FOR_MAX_S))]
    pub(crate) retry_for: u64,

    /// Do not compare the digests of the two ends after a transfer
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Never replace an existing file, neither here nor on the server
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// Let a transferred file have the time of its transfer; without this it keeps its modification time
    #[arg(long)]
    pub(crate) no_times: bool,
}

impl Cli {
    pub(crate) fn transfer_options(&self) -> TransferOptions {
        TransferOptions {
            verify: !self.no_verify,
            overwrite: !self.no_overwrite,
            keep_times: !self.no_times,
            retry_for: Duration::from_secs(self.retry_for),
        }
    }
}

/// Prints the help that was asked for, or what is wrong with the arguments. Those are repeated in it, and may hold
/// characters that a terminal would obey.
pub(crate) fn explain(error: &clap::Error) -> std::process::ExitCode {
    let is_plain = |argument: OsString| argument.to_str().is_some_and(printable::are_lines);
    if env::args_os().all(is_plain) {
        // Where standard error is gone, it cannot be told.
        let _ = error.print();
    } else {
        error.to_string().lines().for_each(|line| screen::message(&words::escape_text(line.as_bytes())));
    }
    if error.use_stderr() { ExitCode::Usage.into() } else { ExitCode::Success.into() }
}

fn parse_command(text: &str) -> Result<PromptCommand, String> {
    match input::parse(text.as_bytes()) {
        Ok(Some(command)) => Ok(command),
        Ok(None) => Err("the command is empty".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn has_the_documented_defaults() {
        let cli = Cli::parse_from(["ferry"]);
        assert_eq!((cli.host.as_str(), cli.port, cli.commands.len()), ("localhost", 2222, 0));
        let options = cli.transfer_options();
        assert!(options.verify && options.overwrite && options.keep_times);
        assert_eq!(options.retry_for, Duration::from_secs(60));
        assert!(Cli::try_parse_from(["ferry", "--retry-for", "-1"]).is_err());
        let cli = Cli::parse_from(["ferry", "nas", "2323", "-c", "ls", "--command", "download a"]);
        assert_eq!((cli.host.as_str(), cli.port, cli.commands.len()), ("nas", 2323, 2));
        assert!(Cli::try_parse_from(["ferry", "-c", "fetch a"]).is_err());
        assert!(Cli::try_parse_from(["ferry", "nas", "0"]).is_err());
    }
}
