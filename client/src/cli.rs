//! The command line: what may be given, what the help says about it, and what is said of wrong arguments. Never acts on it.

use crate::exit_code::{EXIT_STATUS_HELP, ExitCode};
use crate::limits::{RETRY_FOR_DEFAULT_S, RETRY_FOR_MAX_S};
use crate::prompt::input::{self, PromptCommand};
use crate::terminal::screen;
use crate::transfer::TransferOptions;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use clap_mangen::Man;
use ferry_common::limits::{CONTROL_PORT, PROTOCOL_VERSION};
use ferry_common::wire::{printable, words};
use std::env;
use std::ffi::OsString;
use std::sync::LazyLock;
use std::time::Duration;

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (protocol version {PROTOCOL_VERSION})", env!("CARGO_PKG_VERSION")));

const FIRST_EXAMPLES: &str = "\
Examples:
  ferry nas.local                       a prompt; help there lists the commands
  ferry nas.local -c 'download a.txt'   one command, then exit";

static AFTER_HELP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "Commands:\n{}\n\n\
         Examples:\n  \
         ferry                                 a prompt, with the server here\n  \
         ferry nas.local                       a prompt, with a server elsewhere\n  \
         ferry nas.local -c 'download a.txt'   one command, then exit\n  \
         ferry nas.local < commands.txt        the commands of a file, one a line\n\n\
         Without -c, commands are read from standard input: at a prompt with history and\n\
         Tab completion where it is a terminal, else one a line. Results go to standard\n\
         output, messages and progress to standard error.\n\n\
         A transfer that was interrupted, even by kill -9, is gone on with by the same\n\
         command, where both ends agree on what has moved already.\n\n{EXIT_STATUS_HELP}",
        input::help()
    )
});

/// List, download and upload the files that a Ferry server shares
#[derive(Debug, Parser)]
#[command(name = "ferry", version = VERSION.as_str(), max_term_width = 80,
          after_help = FIRST_EXAMPLES, after_long_help = AFTER_HELP.as_str())]
pub(crate) struct Cli {
    /// Name or address of the server
    #[arg(default_value = "localhost")]
    pub(crate) host: String,

    /// Its port for commands
    ///
    /// The port for file data is learnt from the server.
    #[arg(default_value_t = CONTROL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Run this command instead of asking for commands
    ///
    /// May be repeated; stops at the first failure.
    #[arg(short, long = "command", value_name = "CMD", value_parser = parse_command)]
    pub(crate) commands: Vec<PromptCommand>,

    /// How long to try again when the connection is lost
    ///
    /// That is, when it is lost during a transfer; 0 gives up at once.
    #[arg(long, value_name = "SECONDS", default_value_t = RETRY_FOR_DEFAULT_S,
          value_parser = clap::value_parser!(u64).range(..=RETRY_FOR_MAX_S))]
    pub(crate) retry_for: u64,

    /// Do not compare the digests of the two ends
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Never replace a file, neither here nor there
    #[arg(long)]
    pub(crate) no_overwrite: bool,

    /// Do not keep modification times
    ///
    /// A transferred file has the time of its transfer then.
    #[arg(long)]
    pub(crate) no_times: bool,

    /// Print completions for a shell, and exit
    ///
    /// That is bash, elvish, fish, powershell or zsh.
    #[arg(long, value_name = "SHELL", exclusive = true, hide_possible_values = true)]
    completions: Option<Shell>,

    /// Print the manual page, and exit
    #[arg(long, exclusive = true)]
    man: bool,
}

impl Cli {
    /// What is to be printed in place of connecting: completions or the manual page.
    pub(crate) fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        match (self.completions, self.man) {
            (Some(shell), _) => clap_complete::generate(shell, &mut Self::command(), "ferry", &mut text),
            // Writing into memory does not fail.
            (None, true) => drop(Man::new(Self::command()).render(&mut text)),
            (None, false) => return None,
        }
        Some(text)
    }

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

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    /// A line that is broken here, and again where it is too long for a terminal, cannot be read.
    #[test]
    fn no_line_of_the_help_is_broken_twice() {
        for line in AFTER_HELP.lines().chain(FIRST_EXAMPLES.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
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
