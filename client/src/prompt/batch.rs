//! Commands without a prompt: from the command line, or one a line from standard input. The first failure
//! ends the run.

use crate::failure::{Failure, describe};
use crate::prompt::commands::{self, Next};
use crate::prompt::context::{Context, Nobody};
use crate::prompt::input::{self, PromptCommand};
use crate::session::Session;
use crate::terminal::screen;
use ferry_common::limits::LINE_MAX_BYTES;
use std::io::{self, BufRead, Read};

/// Runs the commands in their order.
pub(crate) fn run_commands(
    session: &mut Session,
    context: &mut Context,
    commands: &[PromptCommand],
) -> Result<(), Failure> {
    for command in commands {
        if run_one(session, context, command)? == Next::Exit {
            break;
        }
    }
    Ok(())
}

/// Runs the commands of `input`, each as soon as its line has come.
pub(crate) fn run_lines(
    session: &mut Session,
    context: &mut Context,
    input: &mut impl BufRead,
) -> Result<(), Failure> {
    while let Some(line) = next_line(input)? {
        if let Some(command) = input::parse(&line)?
            && run_one(session, context, &command)? == Next::Exit
        {
            break;
        }
    }
    Ok(())
}

fn run_one(session: &mut Session, context: &mut Context, command: &PromptCommand) -> Result<Next, Failure> {
    if command.in_background {
        return Err(commands::only_at_prompt());
    }
    let running = session.interrupts().begin();
    let next = commands::run(session, context, command, &mut Nobody)?;
    drop(running);
    if session.interrupts().signal().is_some() {
        // Ctrl-C came too late for this command, but not for those behind it.
        return Err(Failure::Interrupted);
    }
    if next == Next::Exit {
        screen::message("Client connection Closed!");
    }
    Ok(next)
}

/// The next line without its ending, of bounded length.
fn next_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let limit = LINE_MAX_BYTES + 2;
    input.by_ref().take(limit as u64).read_until(b'\n', &mut line).map_err(|error: io::Error| {
        Failure::Local(format!("Cannot read commands from standard input: {}", describe(&error)))
    })?;
    if line.is_empty() {
        return Ok(None);
    }
    let ended = line.strip_suffix(b"\n").unwrap_or(&line);
    let ended = ended.strip_suffix(b"\r").unwrap_or(ended);
    if ended.len() > LINE_MAX_BYTES {
        return Err(Failure::Usage(format!("A line of the input is longer than {LINE_MAX_BYTES} bytes")));
    }
    Ok(Some(ended.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_endings() {
        let mut input = &b"ls\r\n\nstat a"[..];
        assert_eq!(next_line(&mut input).unwrap().unwrap(), b"ls");
        assert_eq!(next_line(&mut input).unwrap().unwrap(), b"");
        assert_eq!(next_line(&mut input).unwrap().unwrap(), b"stat a");
        assert!(next_line(&mut input).unwrap().is_none());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut input = io::BufReader::new(io::repeat(b'a'));
        assert!(matches!(next_line(&mut input), Err(Failure::Usage(_))));
    }
}
