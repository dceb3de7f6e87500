//! What a session has moved, for the line at its end.

use crate::figures::Size;
use ferry_session::action::{Direction, Event};
use std::fmt;

#[derive(Debug, Default)]
pub(crate) struct Moved {
    downloaded: Files,
    uploaded: Files,
}

/// Small, because each session has two.
#[derive(Debug, Default)]
struct Files {
    count: u32,
    bytes: u64,
}

impl Moved {
    /// Counts the event if it is a file that was moved.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Finished { direction, length, .. } => {
                let files = match direction {
                    Direction::Download => &mut self.downloaded,
                    Direction::Upload => &mut self.uploaded,
                };
                files.count = files.count.saturating_add(1);
                files.bytes = files.bytes.saturating_add(*length);
            }
            Event::Received { .. }
            | Event::NotUnderstood { .. }
            | Event::Refused { .. }
            | Event::Changed(_)
            | Event::BrokenOff(_) => {}
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.downloaded.count == 0 && self.uploaded.count == 0
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { downloaded, uploaded } = self;
        let parts = [("downloaded", downloaded), ("uploaded", uploaded)];
        let mut separator = "";
        for (done, Files { count, bytes }) in parts.into_iter().filter(|(_, files)| files.count > 0) {
            let files = if *count == 1 { "file" } else { "files" };
            write!(formatter, "{separator}{done} {count} {files} ({})", Size(*bytes))?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::path::RemotePath;
    use std::time::Duration;

    #[test]
    fn files_are_counted_each_way() {
        let mut moved = Moved::default();
        assert!(moved.is_nothing());
        let finished = |direction| Event::Finished {
            direction,
            path: RemotePath::root(),
            offset: 7,
            length: 1500,
            elapsed: Duration::ZERO,
        };
        moved.note(&Event::Received { command: "upload" });
        moved.note(&finished(Direction::Upload));
        assert_eq!(moved.to_string(), "uploaded 1 file (1.5 kB)");
        moved.note(&finished(Direction::Download));
        moved.note(&finished(Direction::Download));
        assert!(!moved.is_nothing());
        assert_eq!(moved.to_string(), "downloaded 2 files (3.0 kB), uploaded 1 file (1.5 kB)");
    }
}
