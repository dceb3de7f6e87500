//! POSIX access control lists, in the form that Linux gives them as extended attributes
//! (`include/uapi/linux/posix_acl_xattr.h`). Pure: reads and writes no file.

/// The attribute that holds the access list of a file or directory.
pub(crate) const ACCESS_NAME: &str = "system.posix_acl_access";
/// The attribute of a directory that holds what is made in it gets.
pub(crate) const DEFAULT_NAME: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
/// Read, write, execute.
const ALL: u16 = 0o7;
const READ: u16 = 0o4;
const EXECUTE: u16 = 0o1;
/// The id of an entry that names no user or group.
const NO_ID: u32 = u32::MAX;

/// An access control list, valid and in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: Tag,
    permissions: u16,
    id: u32,
}

/// In the kernel's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    /// The most that named users and groups, and the owning group, may.
    Mask = 0x10,
    Other = 0x20,
}

impl Acl {
    /// The list that says the same as the nine bits of a mode.
    pub(crate) fn of_mode(mode: u32) -> Self {
        let entry = |tag, shift: u32| Entry { tag, permissions: (mode >> shift & 0o7) as u16, id: NO_ID };
        Self { entries: vec![entry(Tag::Owner, 6), entry(Tag::OwningGroup, 3), entry(Tag::Other, 0)] }
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (header, rest) = value.split_at_checked(HEADER_BYTES)?;
        let entries = rest.chunks(ENTRY_BYTES).map(Entry::parse).collect::<Option<Vec<_>>>()?;
        let is_ordered = entries.is_sorted_by_key(|entry| entry.tag);
        let count = |tag| entries.iter().filter(|entry| entry.tag == tag).count();
        let is_complete = [Tag::Owner, Tag::OwningGroup, Tag::Other].into_iter().all(|tag| count(tag) == 1);
        let is_named = count(Tag::User) + count(Tag::Group) > 0;
        let is_masked = count(Tag::Mask) == 1 || count(Tag::Mask) == 0 && !is_named;
        (header == VERSION.to_le_bytes() && is_ordered && is_complete && is_masked)
            .then_some(Self { entries })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for entry in &self.entries {
            value.extend((entry.tag as u16).to_le_bytes());
            value.extend(entry.permissions.to_le_bytes());
            value.extend(entry.id.to_le_bytes());
        }
        value
    }

    /// Of a directory's default list, that of a file which is made there with `mode`: acl(5), "object creation
    /// and default ACLs".
    pub(crate) fn of_new_file(mut self, mode: u32) -> Self {
        let group_class = if self.has(Tag::Mask) { Tag::Mask } else { Tag::OwningGroup };
        for (tag, shift) in [(Tag::Owner, 6_u32), (group_class, 3), (Tag::Other, 0)] {
            let most = (mode >> shift & 0o7) as u16;
            self.entries.iter_mut().filter(|entry| entry.tag == tag).for_each(|entry| {
                entry.permissions &= most;
            });
        }
        self
    }

    /// Names the user who was the owner, with what the owner may.
    pub(crate) fn name_owner(&mut self, id: u32) {
        self.name(Tag::User, id, self.permissions(Tag::Owner));
    }

    /// Names the group that was the owning one, with what it may. The new owning group has no more rights than
    /// others.
    pub(crate) fn name_group(&mut self, id: u32) {
        self.apply_mask();
        self.name(Tag::Group, id, self.permissions(Tag::OwningGroup));
        self.limit_group();
    }

    /// Leaves the owning group no more rights than others have.
    pub(crate) fn limit_group(&mut self) {
        let most = self.permissions(Tag::Other);
        self.entries.iter_mut().filter(|entry| entry.tag == Tag::OwningGroup).for_each(|entry| {
            entry.permissions &= most;
        });
    }

    /// Lets the owner execute the file, and all who may read it, or no user. Where that is so of the owner already, the
    /// others have what they are to have.
    pub(crate) fn set_executable(&mut self, executable: bool) {
        if executable == (self.permissions(Tag::Owner) & EXECUTE != 0) {
            return;
        }
        for entry in &mut self.entries {
            if !executable {
                entry.permissions &= !EXECUTE;
            } else if entry.tag == Tag::Owner || entry.permissions & READ != 0 {
                entry.permissions |= EXECUTE;
            }
        }
    }

    /// True where a mode says all of it.
    pub(crate) fn is_mode(&self) -> bool {
        self.entries.len() == 3
    }

    /// The mode of a file without this list that gives no user more.
    pub(crate) fn to_mode(&self) -> u32 {
        let group = self.permissions(Tag::OwningGroup) & self.mask();
        let [owner, group, other] = [self.permissions(Tag::Owner), group, self.permissions(Tag::Other)];
        u32::from(owner) << 6 | u32::from(group) << 3 | u32::from(other)
    }

    fn name(&mut self, tag: Tag, id: u32, permissions: u16) {
        self.apply_mask();
        self.entries.retain(|entry| (entry.tag, entry.id) != (tag, id) && entry.tag != Tag::Mask);
        self.entries.push(Entry { tag, permissions, id });
        let is_masked = |entry: &&Entry| matches!(entry.tag, Tag::User | Tag::OwningGroup | Tag::Group);
        let most = self.entries.iter().filter(is_masked).fold(0, |most, entry| most | entry.permissions);
        self.entries.push(Entry { tag: Tag::Mask, permissions: most, id: NO_ID });
        self.entries.sort_by_key(|entry| entry.tag);
    }

    /// Gives every entry the permissions that it has in effect, so that a wider mask gives no user more.
    fn apply_mask(&mut self) {
        let mask = self.mask();
        for entry in &mut self.entries {
            if matches!(entry.tag, Tag::User | Tag::OwningGroup | Tag::Group) {
                entry.permissions &= mask;
            }
        }
    }

    fn mask(&self) -> u16 {
        if self.has(Tag::Mask) { self.permissions(Tag::Mask) } else { ALL }
    }

    fn has(&self, tag: Tag) -> bool {
        self.entries.iter().any(|entry| entry.tag == tag)
    }

    /// Of a tag that there is once.
    fn permissions(&self, tag: Tag) -> u16 {
        self.entries.iter().find(|entry| entry.tag == tag).map_or(0, |entry| entry.permissions)
    }
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk()?;
        let (permissions, rest) = rest.split_first_chunk()?;
        let permissions = u16::from_le_bytes(*permissions);
        let id = u32::from_le_bytes(rest.try_into().ok()?);
        let tags = [Tag::Owner, Tag::User, Tag::OwningGroup, Tag::Group, Tag::Mask, Tag::Other];
        let tag = tags.into_iter().find(|&known| known as u16 == u16::from_le_bytes(*tag))?;
        (permissions <= ALL).then_some(Self { tag, permissions, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `u::rw- u:1234:rwx g::r-- g:77:rwx m::rw- o::r--`, say: letters of tags with ids and permissions.
    fn acl(entries: &[(Tag, u32, u16)]) -> Acl {
        let entries = entries.iter().map(|&(tag, id, permissions)| Entry { tag, permissions, id }).collect();
        let acl = Acl { entries };
        assert_eq!(Acl::parse(&acl.encode()), Some(acl.clone()));
        acl
    }

    #[test]
    fn a_new_file_gets_of_the_default_list_what_its_mode_allows() {
        let default = acl(&[
            (Tag::Owner, NO_ID, 7),
            (Tag::User, 1234, 7),
            (Tag::OwningGroup, NO_ID, 5),
            (Tag::Mask, NO_ID, 7),
            (Tag::Other, NO_ID, 0),
        ]);
        let made = acl(&[
            (Tag::Owner, NO_ID, 6),
            (Tag::User, 1234, 7),
            (Tag::OwningGroup, NO_ID, 5),
            (Tag::Mask, NO_ID, 6),
            (Tag::Other, NO_ID, 0),
        ]);
        assert_eq!(default.of_new_file(0o666), made);
        assert_eq!(made.to_mode(), 0o640, "without the list, nobody has more");
        assert_eq!(Acl::of_mode(0o775).of_new_file(0o666), Acl::of_mode(0o664));
    }

    #[test]
    fn all_who_may_read_a_file_that_becomes_executable_may_execute_it() {
        for (before, executable, after) in [
            (0o644, true, 0o755),
            (0o600, true, 0o700),
            (0o640, true, 0o750),
            (0o622, true, 0o722),
            (0o000, true, 0o100),
            (0o744, true, 0o744),
            (0o644, false, 0o644),
            (0o755, false, 0o644),
            (0o711, false, 0o600),
        ] {
            let mut acl = Acl::of_mode(before);
            acl.set_executable(executable);
            assert_eq!(acl.to_mode(), after, "{before:o} {executable}");
        }
        let list = |owner, reader, writer, mask| {
            let others = [(Tag::OwningGroup, NO_ID, 4), (Tag::Mask, NO_ID, mask), (Tag::Other, NO_ID, 0)];
            let named = [(Tag::Owner, NO_ID, owner), (Tag::User, 5, reader), (Tag::User, 6, writer)];
            acl(&[&named[..], &others].concat())
        };
        let mut made = list(6, 4, 2, 6);
        made.set_executable(true);
        assert_eq!(
            made.entries.iter().map(|entry| entry.permissions).collect::<Vec<_>>(),
            [7, 5, 2, 5, 7, 0]
        );
        made.set_executable(false);
        assert_eq!(made, list(6, 4, 2, 6));
    }

    #[test]
    fn a_former_owner_keeps_the_rights_and_a_wider_mask_gives_nobody_more() {
        let mut named = Acl::of_mode(0o640);
        named.name_owner(1234);
        let expected = [
            (Tag::Owner, NO_ID, 6),
            (Tag::User, 1234, 6),
            (Tag::OwningGroup, NO_ID, 4),
            (Tag::Mask, NO_ID, 6),
            (Tag::Other, NO_ID, 0),
        ];
        assert_eq!(named, acl(&expected));
        named.name_group(77);
        let expected = [
            (Tag::Owner, NO_ID, 6),
            (Tag::User, 1234, 6),
            (Tag::OwningGroup, NO_ID, 0),
            (Tag::Group, 77, 4),
            (Tag::Mask, NO_ID, 6),
            (Tag::Other, NO_ID, 0),
        ];
        assert_eq!(named, acl(&expected));
        assert_eq!(named.to_mode(), 0o600);

        let mut masked = acl(&[
            (Tag::Owner, NO_ID, 7),
            (Tag::User, 5, 7),
            (Tag::OwningGroup, NO_ID, 7),
            (Tag::Mask, NO_ID, 4),
            (Tag::Other, NO_ID, 0),
        ]);
        masked.name_owner(5);
        masked.name_owner(6);
        assert!(masked.entries.contains(&Entry { tag: Tag::OwningGroup, permissions: 4, id: NO_ID }));
        assert!(masked.entries.contains(&Entry { tag: Tag::User, permissions: 7, id: 5 }));
        assert!(masked.entries.contains(&Entry { tag: Tag::User, permissions: 7, id: 6 }));
    }

    proptest! {
        #[test]
        fn nothing_that_a_file_system_says_is_believed_blindly(
            value in prop::collection::vec(any::<u8>(), 0..100),
            entries in prop::collection::vec((0..0x22_u16, 0..9_u16, any::<u32>()), 0..8),
        ) {
            let _ = Acl::parse(&value);
            let mut value = VERSION.to_le_bytes().to_vec();
            for (tag, permissions, id) in entries {
                value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
                value.extend(id.to_le_bytes());
            }
            if let Some(mut acl) = Acl::parse(&value) {
                prop_assert_eq!(acl.encode(), value);
                let mode = acl.to_mode();
                acl.name_owner(1);
                acl.name_group(2);
                prop_assert_eq!(acl.to_mode() & !mode, 0);
                prop_assert!(Acl::parse(&acl.encode()).is_some());
            }
        }

        #[test]
        fn the_list_of_a_mode_is_that_mode(mode in 0..=0o777_u32) {
            let acl = Acl::of_mode(mode);
            prop_assert!(acl.is_mode());
            prop_assert_eq!(acl.to_mode(), mode);
        }
    }
}
