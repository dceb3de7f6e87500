//! What the server tells of itself: `df`.

use crate::failure::Failure;
use crate::session::Session;
use crate::session::link::Handler;
use crate::terminal::screen::Results;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::Command;
use indicatif::HumanBytes;

/// Tells how much room there is for uploads, and in all.
pub(crate) fn show_room(session: &mut Session, path: &RemotePath) -> Result<(), Failure> {
    let mut room = Room(None);
    session.exchange(Command::Df { path: path.clone() }, &mut room)?;
    let Some((free_bytes, total_bytes)) = room.0 else {
        return Err(Failure::Violation("The server told nothing of its room".to_owned()));
    };
    let mut results = Results::new();
    results.line(&format!("Free: {free_bytes} bytes ({})", HumanBytes(free_bytes)))?;
    results.line(&format!("Total: {total_bytes} bytes ({})", HumanBytes(total_bytes)))?;
    results.finish()
}

/// Free bytes and all bytes, once they are told.
struct Room(Option<(u64, u64)>);

impl Handler for Room {
    fn space(&mut self, free_bytes: u64, total_bytes: u64) {
        self.0 = Some((free_bytes, total_bytes));
    }
}
