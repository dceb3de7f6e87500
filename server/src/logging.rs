//! The log. Lines are handed to a thread that writes them; when it cannot keep up, lines are dropped and
//! counted, so that nobody ever waits for a terminal or a disk to take the log.

use crossbeam_channel::{Receiver, Sender, TrySendError};
use ferry_common::action::{Direction, Event};
use ferry_common::limits::LOG_QUEUE_LINES;
use log::LevelFilter;
use simplelog::{ConfigBuilder, FormatItem, WriteLogger};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// UTC, to the millisecond.
const TIME_FORMAT: &[FormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Keeps the log going; [`LogWriter::finish`] writes what is queued.
#[derive(Debug)]
pub(crate) struct LogWriter {
    end: Sender<Vec<u8>>,
    thread: JoinHandle<()>,
}

/// Collects the pieces of a line and queues it whole.
struct LineQueue {
    line: Vec<u8>,
    queue: Sender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// Starts the log, on a file or on standard error.
pub(crate) fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<LogWriter> {
    let output: Box<dyn Write + Send> = match file {
        Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        None => Box::new(io::stderr()),
    };
    let (queue, lines) = crossbeam_channel::bounded(LOG_QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&dropped);
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(output, &lines, &counter))?;
    let config = ConfigBuilder::new()
        .set_time_format_custom(TIME_FORMAT)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    let line_queue = LineQueue { line: Vec::new(), queue: queue.clone(), dropped };
    WriteLogger::init(level, config, line_queue).map_err(io::Error::other)?;
    Ok(LogWriter { end: queue, thread })
}

impl LogWriter {
    /// Writes what is queued and ends.
    pub(crate) fn finish(self) {
        // An empty line is the end; the logger itself lives as long as the process.
        if self.end.send(Vec::new()).is_ok() {
            let _ = self.thread.join();
        }
    }
}

/// Tells of something that happened to `peer`.
pub(crate) fn report(peer: SocketAddr, event: &Event) {
    match event {
        Event::Received { verb } => log::info!("MSG: Received {} command from {peer}", verb.word()),
        Event::Refused { code, path: Some(path), .. } => {
            if *code == ferry_common::error::ErrorCode::NotFound {
                log::info!("File requested not found sending err msg... {path} for {peer}");
            } else {
                log::info!("Refused {path} to {peer}: {} ({})", code.message(), code.word());
            }
        }
        Event::Refused { code, path: None, .. } => {
            log::info!("Refused a line of {peer}: {} ({})", code.message(), code.word());
        }
        Event::Done { verb, path } => log::info!("Done: {} {path} for {peer}", verb.word()),
        Event::Finished { direction: Direction::Download, path, length, elapsed } => {
            log::info!("File {path} upload done... {} to {peer}", figures(*length, *elapsed));
        }
        Event::Finished { direction: Direction::Upload, path, length, elapsed } => {
            log::info!("Upload from client complete... {path} {} from {peer}", figures(*length, *elapsed));
        }
        Event::BrokenOff { direction, path, moved, length, code } => {
            let direction = match direction {
                Direction::Download => "Download",
                Direction::Upload => "Upload",
            };
            log::warn!("{direction} of {path} broken off after {moved} of {length} bytes, {peer}: {code}");
        }
    }
}

/// Bytes, duration and rate.
fn figures(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate_mb_s = if seconds > 0.0 { bytes as f64 / seconds / 1e6 } else { 0.0 };
    format!("{bytes} bytes in {:.1} ms, {rate_mb_s:.1} MB/s", seconds * 1e3)
}

fn write_lines(mut output: Box<dyn Write + Send>, lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    // A log that cannot be written has nowhere to say so; serving goes on.
    while let Ok(line) = lines.recv() {
        if line.is_empty() {
            let _ = output.flush();
            return;
        }
        let _ = output.write_all(&line);
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(output, "[WARN] {missing} lines of the log were dropped");
        }
    }
}

impl Write for LineQueue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            match self.queue.try_send(std::mem::take(&mut self.line)) {
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
