//! A program in a pseudo-terminal, as a person sits before it: keys in, a screen out.

use crate::process::Process;
use crate::screen::Screen;
use crate::wait::{WAIT_LIMIT, wait_at_most};
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use rustix::process::Signal;
use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes};
use std::io::{ErrorKind, Write};
use std::process::Command;

/// Wide enough that no line of a test wraps.
const COLUMNS: u16 = 200;
const ROWS: u16 = 50;

pub struct Terminal {
    session: OsSession,
    screen: Screen,
    /// All that the program has written.
    output: Vec<u8>,
    ended: bool,
}

/// How a terminal treats what goes through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    input: InputModes,
    output: OutputModes,
    control: ControlModes,
    local: LocalModes,
}

impl Terminal {
    #[track_caller]
    pub fn run(command: Command) -> Self {
        Self::run_sized(command, COLUMNS, ROWS)
    }

    /// In a terminal of so many columns and rows.
    #[track_caller]
    pub fn run_sized(command: Command, columns: u16, rows: u16) -> Self {
        let mut session = OsSession::spawn(command).expect("a program in a pseudo-terminal");
        session.get_process_mut().set_window_size(columns, rows).expect("a terminal has a size");
        Self { session, screen: Screen::default(), output: Vec::new(), ended: false }
    }

    /// Gives the terminal another size, of which the program hears as of a window that a person drags.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.session.get_process_mut().set_window_size(columns, rows).expect("a terminal has a size");
    }

    /// Types keys as they are.
    #[track_caller]
    pub fn type_keys(&mut self, keys: &str) {
        self.session.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.session.flush().expect("the terminal takes keys");
    }

    /// Types bytes that need not be text.
    #[track_caller]
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.session.write_all(bytes).expect("the terminal takes bytes");
        self.session.flush().expect("the terminal takes bytes");
    }

    /// Types a line and Enter.
    #[track_caller]
    pub fn type_line(&mut self, line: &str) {
        self.type_keys(&format!("{line}\r"));
    }

    /// Waits until the cursor stands behind this text.
    #[track_caller]
    pub fn wait_for_cursor_after(&mut self, text: &str) {
        self.wait_until(&format!("cursor after {text:?}"), |screen| screen.before_cursor() == text);
    }

    /// Waits until a line of the screen contains this text.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_until(&format!("{text:?}"), |screen| screen.lines().iter().any(|line| line.contains(text)));
    }

    /// Waits until the screen satisfies a condition.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Screen) -> bool) {
        let met = wait_at_most(WAIT_LIMIT, || {
            self.take_output();
            condition(&self.screen).then_some(())
        });
        assert!(met.is_some(), "no {what} on the screen:\n{}", self.screen.lines().join("\n"));
    }

    /// Waits for the program's end, and gives its exit status.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> i32 {
        let end = self.wait_for_end();
        let WaitStatus::Exited(_, status) = end else { panic!("the program ended by {end:?}") };
        status
    }

    /// Ends the program by a signal that it must not survive.
    #[track_caller]
    pub fn end_by(&mut self, signal: Signal) {
        let pid = self.session.get_process().pid().as_raw();
        Process::new(pid.unsigned_abs()).signal(signal);
        let end = self.wait_for_end();
        let WaitStatus::Signaled(_, cause, _) = end else { panic!("the program ended by {end:?}") };
        assert_eq!(cause as i32, signal.as_raw());
    }

    /// The settings of the terminal, as its next program will find them.
    #[track_caller]
    pub fn settings(&self) -> Settings {
        let terminal = self.session.get_process().get_raw_handle().expect("a terminal has a handle");
        let termios = rustix::termios::tcgetattr(terminal).expect("a terminal has settings");
        Settings {
            input: termios.input_modes,
            output: termios.output_modes,
            control: termios.control_modes,
            local: termios.local_modes,
        }
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> WaitStatus {
        let ended = wait_at_most(WAIT_LIMIT, || {
            self.take_output();
            self.ended.then_some(())
        });
        assert!(ended.is_some(), "the program does not end; the screen:\n{}", self.screen.lines().join("\n"));
        self.session.get_process().wait().expect("a child can be waited for")
    }

    /// All that the program has written so far, byte by byte.
    pub fn output(&mut self) -> &[u8] {
        self.take_output();
        &self.output
    }

    /// What is on the screen.
    pub fn lines(&mut self) -> Vec<String> {
        self.take_output();
        self.screen.lines()
    }

    fn take_output(&mut self) {
        let mut chunk = [0; 8192];
        while !self.ended {
            match self.session.try_read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.screen.feed(&chunk[..count]);
                    self.output.extend_from_slice(&chunk[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A pseudo-terminal without a program reports an error instead of an end.
                Err(_) => self.ended = true,
            }
        }
    }
}
