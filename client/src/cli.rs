//! The command line: what may be given, what the help says about it, and what is said of wrong arguments. Never acts on it.

use crate::address::Address;
use crate::config::Config;
use crate::exit_code::{EXIT_STATUS_HELP, ExitCode};
use crate::failure::Failure;
use crate::limits::{RETRY_FOR_DEFAULT_S, RETRY_FOR_MAX_S};
use crate::prompt::context::Context;
use crate::prompt::help;
use crate::prompt::input::{self, PromptCommand};
use crate::terminal::palette::{ColorChoice, Palette};
use crate::terminal::screen;
use crate::transfer::TransferOptions;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use clap_mangen::Man;
use ferry_common::limits::PROTOCOL_VERSION;
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
         ferry nas.local:2323                  the same, where its port is 2323\n  \
         ferry ferry://nas.local/Photos        the same, in a folder of the server\n  \
         ferry nas.local -c 'download a.txt'   one command, then exit\n  \
         ferry nas.local < commands.txt        the commands of a file, one a line\n\n\
         Without -c, commands are read from standard input: at a prompt with history and\n\
         Tab completion where it is a terminal, else one a line. Results go to standard\n\
         output, messages and progress to standard error.\n\n\
         A transfer that was interrupted, even by kill -9, is gone on with by the same\n\
         command, where both ends agree on what has moved already.\n\n{EXIT_STATUS_HELP}",
        help::overview(80)
    )
});

/// List, download and upload the files that a Ferry server shares
#[derive(Debug, Parser)]
#[command(name = "ferry", version = VERSION.as_str(), max_term_width = 80,
          after_help = FIRST_EXAMPLES, after_long_help = AFTER_HELP.as_str())]
pub(crate) struct Cli {
    /// The server: HOST, HOST:PORT, ferry://HOST/DIR, or a name of the configuration [default: localhost]
    #[arg(env = "FERRY_HOST", hide_env = true)]
    host: Option<String>,

    /// Its port for commands [default: 2222]
    ///
    /// The port for file data is learnt from the server.
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

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

    /// Give up a command that is not done after so long
    ///
    /// Whatever it waits for.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=RETRY_FOR_MAX_S))]
    pub(crate) timeout: Option<u64>,

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

    /// Print JSON for programs, a line for each thing
    ///
    /// Of ls and stat that is a line for each file, of transfers one that tells what became of them.
    #[arg(long)]
    pub(crate) json: bool,

    /// Colour names and hints
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: ColorChoice,

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

    /// What commands begin with.
    pub(crate) fn context(&self) -> Context {
        let stdin_is_free = !self.commands.is_empty();
        Context::new(self.transfer_options(), Palette::new(self.color), self.json, stdin_is_free)
    }

    /// Where the server is. A name of the configuration stands for what is said there.
    pub(crate) fn address(&self, config: &Config) -> Result<Address, Failure> {
        let host = self.host.as_deref().unwrap_or("localhost");
        let mut address = match config.hosts.get(host) {
            Some(known) => Address { host: known.address.clone(), port: known.port, folder: None },
            None => Address::parse(host).map_err(Failure::Usage)?,
        };
        if let Some(known) = config.hosts.get(&address.host).filter(|_| address.port.is_none()) {
            // In a URL too.
            address = Address { host: known.address.clone(), port: known.port, ..address };
        }
        if self.port.is_some() && address.port.is_some() && !config.hosts.contains_key(host) {
            return Err(Failure::Usage("The port is given twice".to_owned()));
        }
        address.port = self.port.or(address.port);
        Ok(address)
    }

    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }

    pub(crate) fn transfer_options(&self) -> TransferOptions {
        TransferOptions {
            verify: !self.no_verify,
            overwrite: !self.no_overwrite,
            force: false,
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
    use crate::config::Host;

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
        assert_eq!((cli.host.is_none(), cli.port, cli.commands.len()), (true, None, 0));
        let options = cli.transfer_options();
        assert!(options.verify && options.overwrite && options.keep_times);
        assert_eq!(options.retry_for, Duration::from_secs(60));
        assert!(Cli::try_parse_from(["ferry", "--retry-for", "-1"]).is_err());
        let cli = Cli::parse_from(["ferry", "nas", "2323", "-c", "ls", "--command", "download a"]);
        assert_eq!((cli.host.as_deref(), cli.port, cli.commands.len()), (Some("nas"), Some(2323), 2));
        assert!(Cli::try_parse_from(["ferry", "-c", "fetch a"]).is_err());
        assert!(Cli::try_parse_from(["ferry", "nas", "0"]).is_err());
    }

    #[test]
    fn a_server_may_be_named_in_many_ways() {
        let host = Host { address: "192.168.1.2".to_owned(), port: Some(2323) };
        let config = Config { hosts: [("nas".to_owned(), host)].into() };
        let address = |arguments: &[&str]| {
            let cli = Cli::parse_from([&["ferry"], arguments].concat());
            cli.address(&config).map(|address| (address.host, address.port, address.folder.is_some()))
        };
        for (arguments, host, port, has_folder) in [
            (&[][..], "localhost", None, false),
            (&["desk", "1"], "desk", Some(1), false),
            (&["desk:2"], "desk", Some(2), false),
            (&["nas"], "192.168.1.2", Some(2323), false),
            (&["nas", "4"], "192.168.1.2", Some(4), false),
            (&["ferry://nas/Photos"], "192.168.1.2", Some(2323), true),
            (&["ferry://desk/Photos", "4"], "desk", Some(4), true),
        ] {
            assert_eq!(address(arguments).unwrap(), (host.to_owned(), port, has_folder), "{arguments:?}");
        }
        assert!(address(&["desk:2", "3"]).is_err());
        assert!(address(&["desk:x"]).is_err());
    }
}
