//! The order in which a server wrote, flushed, renamed and answered, from what `strace -f -y` says of it.

use std::collections::HashMap;
use std::ops::Range;

/// System calls, each with the lines of the trace on which it began and ended.
#[derive(Debug, Default)]
pub struct Story {
    calls: Vec<TracedCall>,
}

#[derive(Debug)]
struct TracedCall {
    name: String,
    rest: String,
    lines: Range<usize>,
}

/// One file that was given its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The name before.
    pub staged: String,
    /// And afterwards.
    pub name: String,
    lines: Range<usize>,
}

const DATA_FLUSHES: &[&str] = &["fsync", "fdatasync"];
const RENAMES: &[&str] = &["rename", "renameat", "renameat2", "link", "linkat"];
const WRITES: &[&str] = &["write", "pwrite64", "pwritev", "writev"];
const SENDS: &[&str] = &["sendto", "write", "writev", "sendmsg"];

impl Story {
    /// Puts the halves of interrupted lines together.
    pub fn parse(text: &str) -> Self {
        let mut story = Self::default();
        let mut open: HashMap<&str, usize> = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix("<... ") {
                let Some(told) = open.remove(thread).and_then(|call| story.calls.get_mut(call)) else {
                    continue;
                };
                told.rest.push_str(rest.split_once("resumed>").map_or("", |(_, rest)| rest));
                told.lines.end = at;
            } else if let Some((name, rest)) = rest.split_once('(') {
                let (rest, end) = match rest.strip_suffix("<unfinished ...>") {
                    Some(rest) => {
                        open.insert(thread, story.calls.len());
                        (rest, usize::MAX)
                    }
                    None => (rest, at),
                };
                story.calls.push(TracedCall { name: name.to_owned(), rest: rest.to_owned(), lines: at..end });
            }
        }
        story
    }

    /// How often everything or something was flushed.
    pub fn flushes(&self) -> usize {
        self.of(DATA_FLUSHES).count() + self.of(&["syncfs"]).count()
    }

    /// The files that were given names, in their order.
    pub fn renames(&self) -> Vec<Renamed> {
        let renamed = self.of(RENAMES).filter(|told| told.has_succeeded()).map(|told| {
            let mut quoted = told.rest.split('"').skip(1).step_by(2);
            let mut next = || quoted.next().expect("a rename has two names").to_owned();
            Renamed { staged: next(), name: next(), lines: told.lines.clone() }
        });
        renamed.collect()
    }

    /// Whether all data of a file was on the disk when it was given its name.
    pub fn is_data_flushed_before(&self, renamed: &Renamed) -> bool {
        let in_file = format!("/{}>", renamed.staged);
        let last_write = self.of(WRITES).filter(|told| told.rest.contains(&in_file)).last();
        let Some(written) = last_write.map(|told| told.lines.end) else { return false };
        let own = self.of(DATA_FLUSHES).filter(|told| told.rest.contains(&in_file));
        own.chain(self.of(&["syncfs"])).any(|told| told.is_done_between(written, renamed.lines.start))
    }

    /// Whether the directory of a file was on the disk, with the name, when line `before` began.
    pub fn is_name_flushed_before(&self, renamed: &Renamed, directory: &str, before: usize) -> bool {
        let directory = format!("<{directory}>");
        let own = self.of(&["fsync"]).filter(|told| told.rest.contains(&directory));
        own.chain(self.of(&["syncfs"])).any(|told| told.is_done_between(renamed.lines.end, before))
    }

    /// The lines on which the replies `ok ...` were sent, one for each reply.
    pub fn oks(&self) -> Vec<usize> {
        let sent = self.of(SENDS).filter(|told| told.rest.contains("<TCP") || told.rest.contains("<socket"));
        let counted = sent.map(|told| {
            let payload = told.rest.split('"').nth(1).unwrap_or_default();
            let count = payload.split("\\n").filter(|line| line.starts_with("ok ")).count();
            std::iter::repeat_n(told.lines.start, count)
        });
        counted.flatten().collect()
    }

    fn of(&self, names: &'static [&'static str]) -> impl Iterator<Item = &TracedCall> {
        self.calls.iter().filter(|told| names.contains(&told.name.as_str()))
    }
}

impl TracedCall {
    fn has_succeeded(&self) -> bool {
        self.rest.rsplit_once(" = ").is_some_and(|(_, result)| result.trim_end() == "0")
    }

    /// It succeeded, began after one line and ended before the other.
    fn is_done_between(&self, after: usize, before: usize) -> bool {
        self.lines.start > after && self.lines.end < before && self.has_succeeded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
1 pwrite64(9</r/.s/x/ab-0>, \"12\", 2, 0) = 2
2 fsync(9</r/.s/x/ab-0> <unfinished ...>
1 epoll_wait(3, [], 1, -1) = 0
2 <... fsync resumed>) = 0
2 renameat2(7</r/.s/x>, \"ab-0\", 8</r>, \"a.txt\", 0)   = 0
2 fsync(8</r>)       = 0
1 sendto(5<socket:[1]>, \"(x) ok 1\\nok 2 ff\\n\", 9, 0, NULL, 0) = 9
";

    fn verdict(text: &str) -> (bool, bool) {
        let story = Story::parse(text);
        let (renames, oks) = (story.renames(), story.oks());
        assert_eq!((renames.len(), oks.len()), (1, 1));
        assert_eq!((renames[0].staged.as_str(), renames[0].name.as_str()), ("ab-0", "a.txt"));
        let is_name_flushed = story.is_name_flushed_before(&renames[0], "/r", oks[0]);
        (story.is_data_flushed_before(&renames[0]), is_name_flushed)
    }

    #[test]
    fn the_right_order_is_seen() {
        assert_eq!(verdict(GOOD), (true, true));
        let everything = "syncfs(7</r/.s/x>";
        let text = GOOD.replace("fsync(9</r/.s/x/ab-0>", everything).replace("fsync(8</r>", everything);
        assert_eq!(verdict(&text), (true, true));
        assert_eq!(Story::parse(&text).flushes(), 2);
    }

    #[test]
    fn every_wrong_one_is_seen_too() {
        assert_eq!(verdict(&GOOD.replace("fsync(9", "close(9")), (false, true));
        assert_eq!(verdict(&GOOD.replace("fsync(8</r>", "fsync(8</other>")), (true, false));
        assert_eq!(verdict(&GOOD.replace("fsync(8</r>)       = 0", "fsync(8</r>) = -1 EIO")), (true, false));
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines.swap(3, 4);
        assert!(!verdict(&lines.join("\n")).0, "it was still being flushed");
        lines.swap(3, 4);
        lines.swap(5, 6);
        assert_eq!(verdict(&lines.join("\n")), (true, false), "answered too early");
        lines.swap(5, 6);
        lines.insert(4, lines[0]);
        assert_eq!(verdict(&lines.join("\n")), (false, true), "written to once more");
    }
}
