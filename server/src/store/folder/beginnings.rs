//! How uploads begin: with nothing, with what was kept of them, or with what the file has that they are to replace.

use super::target::Target;
use super::uploads::file_name;
use super::{Folder, Lookup, OpenFile, size_of_file};
use crate::net::address::Address;
use crate::store::errors::Call;
use crate::store::held_file::Closer;
use crate::store::staging::{KeptPart, Original, Replaceable, StagedFile};
use ferry_common::error::ErrorCode;
use ferry_common::wire::command::{Conditions, Resume};
use ferry_session::access::Cleared;
use ferry_session::action::{Beginning, Length};
use rustix::io::Errno;

impl Folder {
    /// Makes a staged file that is to become `path`, with what it begins with.
    pub(crate) fn stage(
        &self,
        path: &Cleared,
        (size, new, beginning): (Length, bool, Beginning),
        conditions: Conditions,
        address: Address,
        closer: &Closer,
    ) -> Result<StagedFile, ErrorCode> {
        let destination = self.destination(path, conditions.follow)?;
        destination.admit(path, new, conditions.was)?;
        match beginning {
            Beginning::Empty => destination.stage(path, size, address),
            Beginning::Kept(Resume { offset, digest }) => {
                let kept = KeptPart { offset, expected: Some(digest) };
                StagedFile::resume(&destination.home, path, size, kept, destination.flushes(), address)
            }
            Beginning::Unconfirmed { offset } => {
                // A client that takes what is published for the beginning of what it sends names this size.
                let replaced = destination.target.admits(file_name(path)?, new)?;
                if replaced.is_some_and(|stat| size_of_file(&stat) == offset) {
                    return Err(ErrorCode::NoPartial);
                }
                let kept = KeptPart { offset, expected: None };
                StagedFile::resume(&destination.home, path, size, kept, destination.flushes(), address)
            }
            Beginning::Published => {
                if destination.home.has_partial(path).map_err(Call::Stage.of(path))? {
                    return Err(ErrorCode::InUse);
                }
                let original = self.original(&destination.target, path, closer)?;
                StagedFile::copy(&destination.home, path, size, original, destination.flushes(), address)
            }
        }
    }

    /// What the path leads to, opened to be copied, and what has its name: a link is replaced itself.
    fn original(
        &self,
        target: &Target,
        path: &Cleared,
        closer: &Closer,
    ) -> Result<(Option<Original>, Replaceable), ErrorCode> {
        let named = target.state_of(file_name(path)?)?;
        match self.open_file(path, Lookup::MayBlock, closer) {
            Ok(open) => {
                let OpenFile { file, facts, identity } = open.with_known_size()?;
                let original = Original { file, identity, size_bytes: facts.size_bytes };
                Ok((Some(original), Replaceable(named)))
            }
            Err(Errno::NOENT) => Ok((None, Replaceable(named))),
            Err(errno) => Err(Call::Open.of(path)(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Durability;
    use crate::store::lane_id::LaneId;
    use crate::store::staging::Retention;
    use crate::store::tests::cleared;
    use ferry_common::limits::EAGER_MAX_BYTES;
    use ferry_common::wire::digest::Digest;
    use ferry_session::action::{Change, Publication, Removable};
    use ferry_session::consent::{Consent, Consenting};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// Small enough for several steps.
    const STEP_BYTES: u64 = 1000;

    /// A folder with a server's store on it.
    struct Place {
        files: TempDir,
        folder: Folder,
        closer: Closer,
    }

    impl Place {
        fn new() -> Self {
            let files = tempfile::tempdir().unwrap();
            let folder = store_on(&files);
            Self { files, folder, closer: Closer::new(LaneId::ROOT).0 }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.files.path().join(name)
        }

        fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.at(name)).unwrap()
        }

        fn stage(&self, beginning: Beginning) -> Result<StagedFile, ErrorCode> {
            self.stage_sized(Length::UntilClose, beginning)
        }

        fn stage_sized(&self, size: Length, beginning: Beginning) -> Result<StagedFile, ErrorCode> {
            self.folder.stage(
                &cleared("file"),
                (size, false, beginning),
                Conditions::NONE,
                Address::OWN,
                &self.closer,
            )
        }

        /// An upload of which this has come when it breaks off.
        fn break_off(&self, content: &[u8]) {
            let staged = self.stage(Beginning::Empty).unwrap();
            staged.append(content).unwrap();
            staged.keep();
        }

        fn upload(&self, size: Length, content: &[u8]) {
            let staged = self.stage_sized(size, Beginning::Empty).unwrap();
            staged.append(content).unwrap();
            self.publish(&staged).unwrap();
        }

        fn publish(&self, staged: &StagedFile) -> Result<(), ErrorCode> {
            self.publish_with(staged, None, || ())
        }

        /// Does something when the file is flushed and about to be named.
        fn publish_with(
            &self,
            staged: &StagedFile,
            consent: Option<Consent>,
            before_naming: impl FnOnce(),
        ) -> Result<(), ErrorCode> {
            let publication = Publication {
                id: 1,
                path: staged.path().clone(),
                expected: None,
                mtime: None,
                executable: None,
                new: false,
                conditions: Conditions::NONE,
                alone: true,
                consent,
            };
            let destination = self.folder.destination(&publication.path, None)?;
            destination.flush_ahead(staged, &publication)?;
            before_naming();
            destination.receive(staged, &publication)?;
            destination.flush()?;
            staged.remove_superseded();
            Ok(())
        }

        /// What is kept of uploads to `file`.
        fn kept(&self) -> Option<Vec<u8>> {
            let kept = self.at(".ferry-staging/partial").join(Digest::of(b"file").to_string());
            fs::read(kept).ok()
        }

        /// Nothing that is on its way to a name.
        fn is_tidy(&self) -> bool {
            let homes = fs::read_dir(self.at(".ferry-staging")).unwrap().map(|entry| entry.unwrap().path());
            let staged = homes.filter(|home| home.is_dir() && !home.ends_with("partial"));
            staged.flat_map(|home| fs::read_dir(home).unwrap()).count() == 1
        }
    }

    fn store_on(files: &TempDir) -> Folder {
        let retention = Retention { age_s: 1000, bytes: u64::MAX };
        let folder = Folder::open(files.path(), Durability::Full, retention).unwrap();
        folder.with_staging(Some(0)).unwrap()
    }

    fn go_through(staged: &StagedFile) -> Result<(), ErrorCode> {
        let mut scratch = vec![0; 300];
        while !staged.begin_step(STEP_BYTES, &mut scratch)? {}
        Ok(())
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|number| u8::try_from(number % 251).unwrap()).collect()
    }

    #[test]
    fn an_upload_goes_on_behind_all_that_is_kept_and_never_on_the_published_file() {
        let place = Place::new();
        fs::write(place.at("file"), "x".repeat(9000)).unwrap();
        let unconfirmed = |offset| place.stage(Beginning::Unconfirmed { offset });
        assert_eq!(unconfirmed(1000).unwrap_err(), ErrorCode::NoPartial, "there is only the published file");
        place.break_off(&bytes(5000));
        assert_eq!(place.kept(), Some(bytes(5000)), "however little it is");
        for offset in [1, 4999, 5001, 9000] {
            assert_eq!(unconfirmed(offset).unwrap_err(), ErrorCode::NoPartial, "{offset}");
        }
        assert_eq!(place.kept(), Some(bytes(5000)));
        fs::write(place.at("file"), "x".repeat(5000)).unwrap();
        assert_eq!(unconfirmed(5000).unwrap_err(), ErrorCode::NoPartial, "it may mean the published file");
        fs::write(place.at("file"), "x".repeat(9000)).unwrap();

        let staged = unconfirmed(5000).unwrap();
        assert_eq!(staged.beginning_bytes(), Some(5000));
        assert_eq!(staged.append(b"early"), Err(ErrorCode::BrokenOff));
        go_through(&staged).unwrap();
        staged.append(b"end").unwrap();
        assert_eq!(place.read("file"), "x".repeat(9000).as_bytes());
        place.publish(&staged).unwrap();
        let expected = [&bytes(5000)[..], b"end"].concat();
        assert_eq!((place.read("file"), place.kept()), (expected.clone(), None));
        assert_eq!(staged.digest(), Digest::of(&expected));
        drop(staged);
        assert!(place.is_tidy());
    }

    #[test]
    fn what_is_kept_is_as_it_was_until_a_session_goes_on_with_it() {
        let place = Place::new();
        place.break_off(&bytes(5000));
        let staged = || place.stage(Beginning::Unconfirmed { offset: 5000 }).unwrap();
        drop(staged());
        assert_eq!(place.kept(), Some(bytes(5000)), "nothing was looked at");
        let partly = staged();
        assert_eq!(partly.begin_step(STEP_BYTES, &mut [0; 300]), Ok(false));
        partly.keep();
        drop(partly);
        assert_eq!(place.kept(), Some(bytes(5000)), "a part was");
        let read = staged();
        go_through(&read).unwrap();
        read.keep();
        drop(read);
        assert_eq!(place.kept(), Some(bytes(5000)), "all was, and the session ended");
        let gone_on = staged();
        go_through(&gone_on).unwrap();
        gone_on.append(b"more").unwrap();
        gone_on.keep();
        drop(gone_on);
        let grown = [&bytes(5000)[..], b"more"].concat();
        assert!(place.kept() == Some(grown.clone()));
        let failed = place.stage(Beginning::Unconfirmed { offset: 5004 }).unwrap();
        go_through(&failed).unwrap();
        failed.append(b"lost").unwrap();
        drop(failed);
        assert!(place.kept() == Some(grown), "what failed behind it is not kept");
        assert!(place.is_tidy());
    }

    #[test]
    fn an_upload_begins_as_the_file_that_it_replaces() {
        let place = Place::new();
        let appended = place.stage(Beginning::Published).unwrap();
        assert_eq!(appended.beginning_bytes(), None, "there is none");
        appended.append(&bytes(3456)).unwrap();
        place.publish(&appended).unwrap();
        fs::set_permissions(place.at("file"), fs::Permissions::from_mode(0o741)).unwrap();

        let staged = place.stage(Beginning::Published).unwrap();
        assert_eq!(staged.beginning_bytes(), Some(3456));
        go_through(&staged).unwrap();
        staged.append(b"end").unwrap();
        assert_eq!(place.read("file"), bytes(3456));
        place.publish(&staged).unwrap();
        let expected = [&bytes(3456)[..], b"end"].concat();
        assert_eq!(place.read("file"), expected);
        assert_eq!(staged.digest(), Digest::of(&expected));
        assert_eq!(place.at("file").metadata().unwrap().mode() & 0o777, 0o741);
        drop((appended, staged));

        fs::rename(place.at("file"), place.at("target")).unwrap();
        symlink("target", place.at("file")).unwrap();
        let linked = place.stage(Beginning::Published).unwrap();
        go_through(&linked).unwrap();
        place.publish(&linked).unwrap();
        assert!(place.at("file").symlink_metadata().unwrap().is_file(), "the link itself is replaced");
        assert_eq!((place.read("file"), place.read("target")), (expected.clone(), expected));
        drop(linked);
        assert!(place.is_tidy());
    }

    #[test]
    fn an_upload_that_begins_as_another_file_replaces_nothing_else() {
        let place = Place::new();
        fs::write(place.at("file"), bytes(3456)).unwrap();
        let staged = || place.stage(Beginning::Published).unwrap();
        let ready = || {
            let staged = staged();
            go_through(&staged).unwrap();
            staged
        };
        let copied = staged();
        assert_eq!(copied.begin_step(STEP_BYTES, &mut [0; 300]), Ok(false));
        fs::write(place.at("file"), bytes(3457)).unwrap();
        assert_eq!(go_through(&copied), Err(ErrorCode::Changed), "while it is copied");
        assert_eq!(place.publish(&copied), Err(ErrorCode::BrokenOff));
        let cut = staged();
        fs::write(place.at("file"), bytes(10)).unwrap();
        assert_eq!(go_through(&cut), Err(ErrorCode::Changed), "it is shorter now");
        let first = ready();
        let second = ready();
        place.publish(&first).unwrap();
        assert_eq!(place.publish(&second), Err(ErrorCode::Changed), "another was published");
        let removed = ready();
        fs::remove_file(place.at("file")).unwrap();
        assert_eq!(place.publish(&removed), Err(ErrorCode::Changed));
        let (new, newer) = (staged(), staged());
        place.publish(&new).unwrap();
        assert_eq!(place.publish(&newer), Err(ErrorCode::Changed), "the name was free");
        let behind = ready();
        place.break_off(b"");
        assert_eq!(place.publish(&behind), Err(ErrorCode::InUse), "an upload broke off meanwhile");
        drop((copied, cut, first, second, removed, new, newer, behind));
        assert_eq!(place.kept(), Some(Vec::new()));
        assert!(place.is_tidy());
    }

    #[test]
    fn a_broken_off_copy_leaves_nothing_and_no_copy_is_made_of_what_cannot_be_one() {
        let place = Place::new();
        fs::write(place.at("file"), bytes(3456)).unwrap();
        let staged = place.stage(Beginning::Published).unwrap();
        go_through(&staged).unwrap();
        staged.append(b"more").unwrap();
        staged.keep();
        drop(staged);
        drop(place.stage(Beginning::Published).unwrap());
        assert_eq!((place.kept(), place.read("file")), (None, bytes(3456)));
        assert!(place.is_tidy());
        fs::remove_file(place.at("file")).unwrap();
        fs::create_dir(place.at("file")).unwrap();
        assert_eq!(place.stage(Beginning::Published).unwrap_err(), ErrorCode::IsDirectory);
    }

    #[test]
    fn it_is_on_record_that_an_upload_broke_off_until_one_is_published() {
        let place = Place::new();
        fs::write(place.at("file"), "old").unwrap();
        let refused = || place.stage(Beginning::Published).unwrap_err();
        place.break_off(&bytes(2000));
        assert_eq!(refused(), ErrorCode::InUse);
        // One that fails has sent nothing that a later one could go on with.
        let failed = place.stage(Beginning::Empty).unwrap();
        failed.append(b"other").unwrap();
        drop(failed);
        assert_eq!(place.kept(), Some(Vec::new()));
        assert_eq!(refused(), ErrorCode::InUse);
        let found = place.folder.open_partial(&cleared("file"), &place.closer);
        assert_eq!(found.unwrap_err(), ErrorCode::NoPartial, "nothing to go on with");

        let Place { files, folder, closer } = place;
        drop(folder);
        let place = Place { folder: store_on(&files), files, closer };
        assert_eq!(place.stage(Beginning::Published).unwrap_err(), ErrorCode::InUse, "after a restart");
        let small = place.stage_sized(Length::Exact(9), Beginning::Empty).unwrap();
        small.append(b"short").unwrap();
        small.keep();
        drop(small);
        assert_eq!(place.kept(), Some(Vec::new()), "of one with a size, nothing small is kept");
        place.upload(Length::Exact(3), b"new");
        assert_eq!((place.kept(), place.read("file")), (None, b"new".to_vec()));
        place.break_off(b"again");
        place.upload(Length::UntilClose, b"newer");
        assert_eq!((place.kept(), place.read("file")), (None, b"newer".to_vec()));
        assert!(place.stage(Beginning::Published).is_ok());
    }

    #[test]
    fn an_upload_whose_client_has_gone_before_it_is_named_is_kept_for_whoever_goes_on_with_it() {
        let place = Place::new();
        fs::write(place.at("file"), "old").unwrap();
        fs::set_permissions(place.at("file"), fs::Permissions::from_mode(0o441)).unwrap();
        let staged = || {
            let staged = place.stage(Beginning::Empty).unwrap();
            staged.append(&bytes(5000)).unwrap();
            staged
        };
        let (consenting, consent) = Consenting::new();
        let published = place.publish_with(&staged(), Some(consent), || consenting.withdraw());
        assert_eq!(published, Err(ErrorCode::BrokenOff));
        assert_eq!(place.read("file"), b"old");
        let partial = place.at(".ferry-staging/partial").join(Digest::of(b"file").to_string());
        assert_eq!(fs::read(&partial).unwrap(), bytes(5000));
        let usual = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&place.files)
            .unwrap();
        let mode = |path: PathBuf| path.metadata().unwrap().mode();
        assert_eq!(mode(partial), mode(usual.path().to_owned()), "nothing of what it was to replace");
        drop(usual);

        let again = place.stage(Beginning::Unconfirmed { offset: 5000 }).unwrap();
        go_through(&again).unwrap();
        let (consenting, consent) = Consenting::new();
        place.publish_with(&again, Some(consent), || ()).unwrap();
        consenting.withdraw();
        assert_eq!((place.read("file"), place.kept()), (bytes(5000), None));
        assert_eq!(mode(place.at("file")) & 0o777, 0o441);
        drop(again);

        fs::remove_file(place.at("file")).unwrap();
        fs::create_dir(place.at("file")).unwrap();
        let failed = place.stage_sized(Length::UntilClose, Beginning::Empty);
        assert_eq!(failed.unwrap_err(), ErrorCode::IsDirectory);
        fs::remove_dir(place.at("file")).unwrap();
        let in_the_way = || fs::create_dir(place.at("file")).unwrap();
        let refused = place.publish_with(&staged(), None, in_the_way);
        assert_eq!(refused, Err(ErrorCode::IsDirectory));
        assert_eq!(place.kept(), Some(Vec::new()), "that it broke off is all that is left");
        assert!(place.is_tidy());
    }

    #[test]
    fn what_goes_on_with_a_record_leaves_it_there() {
        let place = Place::new();
        place.break_off(&bytes(2000));
        let resume = Resume { offset: 1500, digest: Digest::of(&bytes(1500)) };
        let sized = || place.stage_sized(Length::Exact(EAGER_MAX_BYTES), Beginning::Kept(resume)).unwrap();
        let staged = sized();
        go_through(&staged).unwrap();
        staged.append(b"more").unwrap();
        staged.keep();
        drop(staged);
        assert_eq!(place.kept(), Some([&bytes(1500)[..], b"more"].concat()));
        let failed = sized();
        go_through(&failed).unwrap();
        failed.append(b"lost").unwrap();
        drop(failed);
        assert_eq!(place.kept(), Some(bytes(1500)));
        for (size, rest) in [(1500, b"".as_slice()), (1502, b"xy")] {
            place.break_off(&bytes(2000));
            let shorter = place.stage_sized(Length::Exact(size), Beginning::Kept(resume)).unwrap();
            go_through(&shorter).unwrap();
            shorter.append(rest).unwrap();
            place.publish(&shorter).unwrap();
            assert_eq!(place.read("file"), [&bytes(1500)[..], rest].concat());
        }
    }

    #[test]
    fn a_record_goes_with_the_file_of_its_name_and_what_is_kept_since_stays() {
        let place = Place::new();
        let change = |change: Change| place.folder.change(&change).unwrap();
        let path = || cleared("file");
        let mv = |from: &str, to: &str| Change::Mv { from: cleared(from), to: cleared(to), replace: true };
        fs::write(place.at("file"), "old").unwrap();
        place.break_off(b"1");
        change(Change::Rm { path: path(), what: Removable::File, conditions: Conditions::NONE });
        assert_eq!(place.kept(), None);
        place.break_off(b"2");
        fs::write(place.at("other"), "other").unwrap();
        change(mv("other", "file"));
        assert_eq!(place.kept(), None);
        place.break_off(b"3");
        change(mv("file", "other"));
        assert_eq!(place.kept(), Some(b"3".to_vec()), "it is of the name, not of the file");
        change(Change::Mv { from: cleared("other"), to: path(), replace: false });
        assert_eq!(place.kept(), None);

        let home = place.folder.destination(&path(), None).unwrap().home;
        place.break_off(b"4");
        let superseded = home.superseded(&path()).unwrap();
        place.break_off(b"5");
        superseded.remove();
        assert_eq!(place.kept(), Some(b"5".to_vec()));
    }
}
