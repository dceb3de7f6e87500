//! Which files a session of a pool is to move, and how many it has on their way.

use crate::limits::{TREE_AHEAD_BYTES, TREE_AHEAD_FILES};
use crate::mirror::plan::{Class, Plan, Planned};
use crate::mirror::pool::Member;

/// The session that looks at what there is; all others move files.
pub(crate) const SCOUT: Member = 0;
/// The first of the sessions that move files: small ones before large ones.
pub(crate) const FIRST_MOVER: Member = 1;

/// What one session has on its way.
#[derive(Debug, Default)]
pub(crate) struct Load {
    small_files: usize,
    small_bytes: u64,
    large_files: usize,
}

/// In which order a session takes the files of the plan.
pub(crate) fn classes(member: Member) -> [Class; 2] {
    if member == FIRST_MOVER { [Class::Small, Class::Large] } else { [Class::Large, Class::Small] }
}

/// True where the plan has enough for this session to be worth its connection.
pub(crate) fn is_wanted(member: Member, plan: &Plan) -> bool {
    if member == FIRST_MOVER {
        plan.len() > 0
    } else {
        plan.has(Class::Large) || plan.len() > TREE_AHEAD_FILES as u64
    }
}

impl Load {
    /// `large_files_max` large files are on their way at the same time, and a small one does not wait behind one of them.
    pub(crate) fn has_room(&self, class: Class, large_files_max: usize) -> bool {
        match class {
            Class::Large => self.large_files < large_files_max,
            Class::Small => {
                self.large_files == 0
                    && self.small_files < TREE_AHEAD_FILES
                    && self.small_bytes < TREE_AHEAD_BYTES
            }
        }
    }

    pub(crate) fn add(&mut self, file: &Planned) {
        match file.class() {
            Class::Large => self.large_files += 1,
            Class::Small => {
                self.small_files += 1;
                self.small_bytes += file.size_bytes;
            }
        }
    }

    /// The file has come or gone, or will not; its size is the one that it was added with.
    pub(crate) fn remove(&mut self, file: &Planned) {
        match file.class() {
            Class::Large => self.large_files = self.large_files.saturating_sub(1),
            Class::Small => {
                self.small_files = self.small_files.saturating_sub(1);
                self.small_bytes = self.small_bytes.saturating_sub(file.size_bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size_bytes: u64) -> Planned {
        Planned::new_file("a", size_bytes)
    }

    #[test]
    fn small_files_are_bounded_by_number_and_bytes_and_wait_behind_no_large_one() {
        let (tiny, half, large) = (file(1), file(1 << 20), file((1 << 20) + 1));
        let mut load = Load::default();
        (0..TREE_AHEAD_FILES).for_each(|_| load.add(&tiny));
        assert!(!load.has_room(Class::Small, 1) && load.has_room(Class::Large, 1));
        load.remove(&tiny);
        assert!(load.has_room(Class::Small, 1));

        let mut load = Load::default();
        (0..TREE_AHEAD_BYTES >> 20).for_each(|_| load.add(&half));
        assert!(!load.has_room(Class::Small, 1));

        let mut load = Load::default();
        load.add(&large);
        assert!(!load.has_room(Class::Small, 2) && !load.has_room(Class::Large, 1));
        assert!(load.has_room(Class::Large, 2));
        load.remove(&large);
        assert!(load.has_room(Class::Small, 1) && load.has_room(Class::Large, 1));
    }
}
