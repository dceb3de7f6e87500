//! What the server tells of itself: `df` and `who`.

use crate::failure::Failure;
use crate::session::Session;
use crate::session::link::Handler;
use crate::terminal::layout::size;
use crate::terminal::screen::Results;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use ferry_common::wire::session_entry::{SessionActivity, SessionEntry, SessionTotals};
use ferry_common::wire::words;

/// Tells how much room there is for uploads, and in all.
pub(crate) fn show_room(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    let mut room = Room(None);
    session.exchange(Command::Df { path: path.clone() }, &mut room)?;
    let Some((free_bytes, total_bytes)) = room.0 else {
        return Err(Failure::Violation("The server told nothing of its room".to_owned()));
    };
    let mut results = Results::new();
    results.line(&format!("Free: {free_bytes} bytes ({})", size(free_bytes)))?;
    results.line(&format!("Total: {total_bytes} bytes ({})", size(total_bytes)))?;
    results.finish()
}

/// Tells of the sessions that move something, where the server shows them, and of all together.
pub(crate) fn show_sessions(session: &mut Session) -> Result<(), Failure> {
    let mut crowd = Crowd { totals: None, results: Results::new() };
    session.exchange(Command::Who, &mut crowd)?;
    let Crowd { totals, mut results } = crowd;
    if let Some(totals) = totals {
        results.line(&totals_in_words(&totals))?;
    }
    results.finish()
}

/// Free bytes and all bytes, once they are told.
struct Room(Option<(u64, u64)>);

struct Crowd {
    totals: Option<SessionTotals>,
    results: Results,
}

impl Handler for Room {
    fn space(&mut self, free_bytes: u64, total_bytes: u64) {
        self.0 = Some((free_bytes, total_bytes));
    }
}

impl Handler for Crowd {
    fn session(&mut self, entry: &SessionEntry) -> Result<(), Failure> {
        match entry.activity {
            SessionActivity::Up | SessionActivity::Down => self.results.line(&session_in_words(entry)),
            SessionActivity::Idle => Ok(()),
        }
    }

    fn totals(&mut self, totals: SessionTotals) {
        self.totals = Some(totals);
    }
}

fn session_in_words(entry: &SessionEntry) -> String {
    let SessionEntry { address, activity, moved_bytes, size_bytes, seconds, name } = entry;
    let (moved, whole) = (size(*moved_bytes), size(*size_bytes));
    let (activity, name) = (activity.word(), words::display(name));
    format!("{address}  {activity:<4}  {moved} of {whole} in {seconds} s  {name}")
}

fn totals_in_words(totals: &SessionTotals) -> String {
    let SessionTotals { sessions, uploads, downloads, up_bytes_per_second, down_bytes_per_second } = totals;
    let counted = |number: u64, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let (up, down) = (size(*up_bytes_per_second), size(*down_bytes_per_second));
    let connected = counted(*sessions, "session", "sessions");
    let uploads = counted(*uploads, "upload", "uploads");
    let downloads = counted(*downloads, "download", "downloads");
    format!("{connected}; {uploads}, {up}/s; {downloads}, {down}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_in_plain_words() {
        let entry = SessionEntry {
            address: [192, 168, 1, 31].into(),
            activity: SessionActivity::Up,
            moved_bytes: 5 << 20,
            size_bytes: 8 << 20,
            seconds: 12,
            name: b"my film\x1b.mp4".to_vec(),
        };
        let line = "192.168.1.31  up    5.2 MB of 8.4 MB in 12 s  \"my film\\x1b.mp4\"";
        assert_eq!(session_in_words(&entry), line);
        let totals = SessionTotals {
            sessions: 14,
            uploads: 1,
            downloads: 2,
            up_bytes_per_second: 6 << 20,
            down_bytes_per_second: 0,
        };
        assert_eq!(totals_in_words(&totals), "14 sessions; 1 upload, 6.3 MB/s; 2 downloads, 0 B/s");
    }
}
