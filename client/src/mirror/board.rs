//! The display of a command that moves many files: what is done, how fast, what is left, and which files move now. A few
//! lines where standard error is a terminal, cut to its width; nothing elsewhere.

use crate::limits::BOARD_FILES_MAX;
use crate::mirror::plan::{Class, Planned};
use crate::mirror::pool::Course;
use crate::terminal::layout::shortened;
use crate::terminal::live::{Live, Room};
use crate::terminal::progress::{Going, Progress, What, file_line};
use crate::terminal::rate::Rate;
use ferry_common::dialogue::RequestId;
use ferry_common::wire::words;
use std::time::Instant;

/// See the module's documentation.
pub(crate) struct Board {
    live: Live,
    planned_files: u64,
    planned_bytes: u64,
    done_files: u64,
    rate: Rate,
}

/// A file on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving<'a> {
    /// The order in which the files of one session were asked for.
    pub(crate) id: RequestId,
    pub(crate) file: &'a Planned,
    /// So much of it is at the receiving end...
    pub(crate) moved_bytes: u64,
    /// ...and so much of that was there before.
    pub(crate) found_bytes: u64,
}

/// How much of all files is at the receiving end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    /// So much of that was there before.
    pub(crate) found_bytes: u64,
}

impl Arrived {
    pub(crate) fn add(&mut self, moving: &Moving<'_>) {
        self.bytes += moving.moved_bytes;
        self.found_bytes += moving.found_bytes;
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            live: Live::new(),
            planned_files: 0,
            planned_bytes: 0,
            done_files: 0,
            rate: Rate::new(Instant::now(), 0),
        }
    }

    /// One more file is to be moved.
    pub(crate) fn plan(&mut self, bytes: u64) {
        self.planned_files += 1;
        self.planned_bytes = self.planned_bytes.saturating_add(bytes);
    }

    /// One of them is at the other end.
    pub(crate) fn finish_file(&mut self) {
        self.done_files += 1;
    }

    /// True where [`Board::show`] would draw: what it shows need be added up only then.
    pub(crate) fn is_due(&self) -> bool {
        self.live.due().is_some_and(|due| due <= Instant::now())
    }

    /// Draws all of it where that is due.
    pub(crate) fn show<'a>(
        &mut self,
        course: Course,
        arrived: Arrived,
        files: impl Iterator<Item = Moving<'a>>,
    ) {
        let now = Instant::now();
        self.rate.note(now, arrived.bytes.saturating_sub(arrived.found_bytes));
        let progress = self.progress(course, arrived, now);
        self.live.draw(now, || progress.status(), |room| lines(&progress, room, files));
    }

    /// Shows this line where one is due.
    pub(crate) fn tell(&mut self, line: impl Fn() -> String) {
        self.live.draw(Instant::now(), &line, |room| vec![shortened(&line(), room.columns)]);
    }

    /// Takes the display off the screen.
    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }

    fn progress(&self, course: Course, arrived: Arrived, now: Instant) -> Progress {
        let silence = now.saturating_duration_since(course.silent_since);
        let going =
            if course.is_cut_off { Going::CutOff } else { Going::at(self.rate.bytes_per_second(), silence) };
        let what = What::Files { done: self.done_files, planned: self.planned_files };
        Progress {
            what,
            moved_bytes: arrived.bytes.min(self.planned_bytes),
            total_bytes: self.planned_bytes,
            going,
        }
    }
}

fn lines<'a>(progress: &Progress, room: Room, files: impl Iterator<Item = Moving<'a>>) -> Vec<String> {
    let most = BOARD_FILES_MAX.min(room.rows.saturating_sub(1));
    let mut lines = vec![progress.line(room.columns)];
    lines.extend(named(files, most).into_iter().map(|Moving { file, moved_bytes, .. }| {
        file_line(&words::escape_text(file.path.as_bytes()), moved_bytes, file.size_bytes, room.columns)
    }));
    lines
}

/// The large files, which are worth a look for some time; where there are none, the oldest small one.
fn named<'a>(files: impl Iterator<Item = Moving<'a>>, most: usize) -> Vec<Moving<'a>> {
    let (mut large, mut small) = (Vec::new(), None::<Moving<'a>>);
    for moving in files {
        match moving.file.class() {
            Class::Large => large.push(moving),
            Class::Small if small.is_none_or(|oldest| moving.id < oldest.id) => small = Some(moving),
            Class::Small => {}
        }
    }
    large.sort_by(|one, other| one.file.path.as_bytes().cmp(other.file.path.as_bytes()));
    let mut named = if large.is_empty() { Vec::from_iter(small) } else { large };
    named.truncate(most);
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TREE_LARGE_MIN_BYTES;
    use std::time::Duration;

    #[test]
    fn the_files_that_move_stand_below_the_whole_as_far_as_there_is_room() {
        let mut board = Board::new();
        for _ in 0..894 {
            board.plan(1_000_000);
        }
        board.done_files = 461;
        let now = Instant::now();
        let silent_since = now - Duration::from_secs(12);
        let course = Course { silent_since, is_cut_off: false };
        let arrived = Arrived { bytes: 500_000_000, found_bytes: 0 };
        let progress = board.progress(course, arrived, now);
        let large = TREE_LARGE_MIN_BYTES + 1;
        let files =
            ["f", "2024/winter/IMG_4711.jpg", "b", "c", "d", "e"].map(|path| Planned::new_file(path, large));
        let small = ["x", "y"].map(|path| Planned::new_file(path, 1));
        fn moving(files: &[Planned], moved_bytes: u64) -> impl Iterator<Item = Moving<'_>> {
            (1..).zip(files).map(move |(id, file)| Moving { id, file, moved_bytes, found_bytes: 0 })
        }
        let shown = |rows| {
            let files = moving(&small, 1).chain(moving(&files, large * 41 / 100 + 1));
            lines(&progress, Room { columns: 40, rows }, files)
        };
        assert_eq!(
            shown(24)[..2],
            [" 55 %  ████████░░░░░░░  no data for 12 s", "  2024/winter/IMG_4711.jpg          41 %"]
        );
        assert_eq!(shown(24).len(), 1 + BOARD_FILES_MAX);
        assert_eq!(shown(3).len(), 3);
        assert_eq!(shown(1).len(), 1);
        let shown = lines(&progress, Room { columns: 40, rows: 24 }, moving(&small, 0));
        assert_eq!(shown[1..], ["  x                                  0 %"]);
    }
}
