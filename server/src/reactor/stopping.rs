//! How the server ends: no new session, a while for what runs, and then the rest is cut off and kept.

use super::Reactor;
use crate::logging::LogWriter;
use crate::net::signals::Taken;
use ferry_common::limits::SHUTDOWN_GRACE;
use ferry_session::fact::Fact;
use std::time::Instant;

impl Reactor {
    pub(super) fn handle_signals(&mut self, now: Instant) {
        let Taken { stops, hangups } = self.signals.take();
        let is_reopened = hangups > 0 && self.log_writer.reopen();
        // Without a file to be opened again, SIGHUP says that the terminal is gone.
        if (stops > 0 || hangups > 0 && !is_reopened) && self.stop_at.is_none() {
            self.begin_stop(now);
        }
    }

    fn begin_stop(&mut self, now: Instant) {
        log::info!("Stopping; running transfers have {} s to finish", SHUTDOWN_GRACE.as_secs());
        self.stop_at = Some(now + SHUTDOWN_GRACE);
        self.acceptor.close_control();
        for key in self.sessions.keys() {
            self.tell(key, Fact::Shutdown, now);
        }
    }

    pub(super) fn look_for_finish(&mut self, now: Instant) {
        let Some(stop_at) = self.stop_at else { return };
        let open = self.sessions.open();
        if open == 0 || now >= stop_at {
            if open > 0 {
                log::warn!("{open} sessions were cut off");
            }
            self.is_finished = true;
        }
    }

    /// Lets go of every session, keeps what has come of their uploads, and waits a bounded time for the disk
    /// threads to be done with that. Gives back the log, which is to be ended last.
    pub(crate) fn finish(mut self) -> LogWriter {
        let now = Instant::now();
        for key in self.sessions.keys() {
            self.report_end(key, now);
            self.release(key);
        }
        let Self { files, log_writer, .. } = self;
        files.finish();
        log_writer
    }
}
