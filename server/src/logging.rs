//! The log. Lines are handed to a thread that writes them; when it cannot keep up, lines are dropped and
//! counted, so that no thread ever waits for a terminal or a disk to take the log. A terminal is given the local time of
//! day, a file or pipe the time in UTC.

mod terminal_lines;

use crate::limits::{LOG_FINISH_TIMEOUT, LOG_QUEUE_LINES};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use jiff::Zoned;
use log::LevelFilter;
use simplelog::{ConfigBuilder, FormatItem, WriteLogger};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use terminal_lines::TerminalLines;

/// UTC, to the millisecond.
const TIME_FORMAT: &[FormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Keeps the log going; [`LogWriter::finish`] writes what is queued.
#[derive(Debug)]
pub(crate) struct LogWriter {
    messages: Sender<Message>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    is_file: bool,
    is_terminal: bool,
}

/// What the writing thread is to do next.
enum Message {
    Write(Vec<u8>),
    Reopen,
    End,
}

/// Where lines go.
enum Output {
    File { path: PathBuf, file: File },
    Stderr,
}

/// Collects the pieces of a line and queues it whole.
struct LineQueue {
    line: Vec<u8>,
    /// Where the log is read at a terminal.
    terminal: Option<TerminalLines>,
    queue: Sender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Starts the log, on a file or on standard error.
pub(crate) fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<LogWriter> {
    let output = match file {
        Some(path) => Output::File { path: path.to_owned(), file: open(path)? },
        None => Output::Stderr,
    };
    let (queue, lines) = crossbeam_channel::bounded(LOG_QUEUE_LINES);
    let (end, ended) = crossbeam_channel::bounded(0);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        write_lines(output, &lines, &counter);
        drop(end);
    })?;
    let is_terminal = file.is_none() && io::stderr().is_terminal();
    let config = ConfigBuilder::new()
        .set_time_format_custom(TIME_FORMAT)
        .set_time_level(if is_terminal { LevelFilter::Off } else { LevelFilter::Error })
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    let terminal = is_terminal.then(TerminalLines::default);
    let line_queue = LineQueue { line: Vec::new(), terminal, queue: queue.clone(), dropped };
    WriteLogger::init(level, config, line_queue).map_err(io::Error::other)?;
    Ok(LogWriter { messages: queue, ended, is_file: file.is_some(), is_terminal })
}

impl LogWriter {
    /// The log is read by a person, as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Has the log file opened again, which may have been renamed (log rotation does that); false where there is no file.
    pub(crate) fn reopen(&self) -> bool {
        // A queue that is full has its lines written to the old file; the next SIGHUP may do better.
        if self.is_file {
            let _ = self.messages.try_send(Message::Reopen);
        }
        self.is_file
    }

    /// Writes what is queued and ends, but waits only so long for whatever takes the log.
    pub(crate) fn finish(self) {
        if self.messages.send_timeout(Message::End, LOG_FINISH_TIMEOUT).is_ok() {
            let _ = self.ended.recv_timeout(LOG_FINISH_TIMEOUT);
        }
    }
}

impl Output {
    /// The file that has the name now. Where it cannot be had, the log goes on in the old one, and says so there.
    fn reopen(&mut self) {
        if let Self::File { path, file } = self {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => {
                    let _ = writeln!(file, "[ERROR] cannot open {} again: {error}", path.display());
                }
            }
        }
    }

    /// A log that cannot be written has nowhere to say so; serving goes on.
    fn write(&mut self, line: &[u8]) {
        let _ = match self {
            Self::File { file, .. } => file.write_all(line),
            Self::Stderr => io::stderr().write_all(line),
        };
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_lines(mut output: Output, messages: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Write(line) => output.write(&line),
            Message::Reopen => output.reopen(),
            Message::End => return,
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            output.write(format!("[WARN] {missing} lines of the log were dropped\n").as_bytes());
        }
    }
}

impl Write for LineQueue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let mut line = std::mem::take(&mut self.line);
            if let Some(terminal) = &mut self.terminal {
                line = terminal.shown(&line, &Zoned::now());
            }
            match self.queue.try_send(Message::Write(line)) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
