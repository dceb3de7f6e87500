//! What a staged file has before anything comes: the kept part of its upload, or a copy of the file that it is to replace.
//! Either is gone through in steps, for its digest, before the client is told to go on.

use super::naming::Remains;
use super::permits::{COPYING, Permit};
use super::{Content, Home, StagedFile, announced_bytes};
use crate::net::address::Address;
use crate::store::digest_cache::{FileIdentity, read_step};
use crate::store::errors::Call;
use crate::store::held_file::HeldFile;
use crate::store::mounts::Medium;
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;
use ferry_session::access::Cleared;
use ferry_session::action::Length;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What a staged file begins with.
#[derive(Debug)]
pub(super) enum Origin {
    Nothing,
    /// What was kept of the upload.
    Kept(KeptPart),
    /// What the file has that it is to replace.
    Copy(Replaceable, u64),
}

/// From where on the kept part of an upload is gone on with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptPart {
    pub(crate) offset: u64,
    /// Of the bytes before that, where the client has told.
    pub(crate) expected: Option<Digest>,
}

/// What has the name when a file is copied; `None` for a free one. The copy may only replace this.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replaceable(pub(crate) Option<FileIdentity>);

/// A file that is to be copied.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) file: HeldFile,
    pub(crate) identity: FileIdentity,
    pub(crate) size_bytes: u64,
}

/// A file on its way into a staged one.
#[derive(Debug)]
pub(super) struct Source {
    original: Original,
    _permit: Permit,
}

/// How far that is gone through which a staged file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// Not to its end, or it is not what it should be. Nothing of what was kept may be changed.
    Unread,
    /// Only with the first byte behind it that is changed which was kept.
    Read,
    /// Bytes may come.
    Done,
}

impl Origin {
    pub(super) fn remains(&self, size: Length) -> Remains {
        match (self, size) {
            // What was on record stays there.
            (Self::Kept(_), _) | (Self::Nothing, Length::UntilClose) => Remains::Any,
            (Self::Nothing, Length::Exact(_)) => Remains::Large,
            // The file is as it was, for a client that asks how much there is. And what would be kept has bytes of another
            // upload, which no later one may take for its own.
            (Self::Copy(..), _) => Remains::Nothing,
        }
    }

    /// How much it is; `None` where there is nothing to be gone through.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Nothing | Self::Copy(_, 0) => None,
            Self::Kept(KeptPart { offset, .. }) => Some(*offset),
            Self::Copy(_, bytes) => Some(*bytes),
        }
    }
}

impl Replaceable {
    /// False where the name leads to something else by now. Foreign file systems may number their files anew at any time.
    fn is_still(&self, now: Option<FileIdentity>, medium: Medium) -> bool {
        match (self.0, now, medium) {
            (None, None, _) => true,
            (Some(before), Some(now), Medium::Memory | Medium::Local) => now.has_content_of(&before),
            (Some(before), Some(now), Medium::Foreign) => now.has_beginning_of(&before, true),
            (Some(_), None, _) | (None, Some(_), _) => false,
        }
    }
}

impl Original {
    fn is_unchanged(&self) -> Result<(), ErrorCode> {
        let now = FileIdentity::of(self.file.file())?;
        if now.has_content_of(&self.identity) { Ok(()) } else { Err(ErrorCode::Changed) }
    }
}

impl StagedFile {
    /// Takes up the kept part of an upload. Nothing of it is changed before [`StagedFile::begin_step`] has gone through it,
    /// and the first byte comes behind.
    pub(crate) fn resume(
        home: &Arc<Home>,
        path: &Cleared,
        size: Length,
        kept: KeptPart,
        flush: bool,
        address: Address,
    ) -> Result<Self, ErrorCode> {
        let missing_bytes = announced_bytes(size, kept.offset);
        let announcement = home.space().announce(home.directory(), address, missing_bytes)?;
        let origin = Origin::Kept(kept);
        let name = home.new_name(path, origin.remains(size));
        home.claim_partial(path, &name).map_err(|errno| match errno {
            Errno::NOENT => ErrorCode::NoPartial,
            other => Call::Stage.of(path)(other),
        })?;
        let file = open_kept(home, &name, path, kept).inspect_err(|_| {
            // The kept part is as good as before, for the next session that asks.
            let _ = home.put_back(&name, path);
        })?;
        let staged = Self::new(home, name, path, size, flush, origin, file);
        staged.content().announcement = Some(announcement);
        Ok(staged)
    }

    /// Makes a file that begins as another: all of it at once where the file system can share it, else in
    /// [`StagedFile::begin_step`].
    pub(crate) fn copy(
        home: &Arc<Home>,
        path: &Cleared,
        size: Length,
        (original, replaceable): (Option<Original>, Replaceable),
        flush: bool,
        address: Address,
    ) -> Result<Self, ErrorCode> {
        let bytes = original.as_ref().map_or(0, |original| original.size_bytes);
        let staged = Self::make(home, path, size, flush, Origin::Copy(replaceable, bytes), address)?;
        let Some(original) = original.filter(|_| bytes > 0) else { return Ok(staged) };
        let mut content = staged.content();
        let Some(file) = &content.file else { return Err(ErrorCode::BrokenOff) };
        if rustix::fs::ioctl_ficlone(file, original.file.file()).is_ok() {
            original.is_unchanged()?;
            content.reserved_bytes = bytes;
        } else {
            let total_bytes = bytes.saturating_add(announced_bytes(size, bytes));
            content.announcement = None;
            content.announcement = Some(home.space().announce(home.directory(), address, total_bytes)?);
            let _permit = COPYING.try_take().ok_or(ErrorCode::Busy)?;
            content.source = Some(Source { original, _permit });
        }
        drop(content);
        Ok(staged)
    }

    /// How much it begins with that [`StagedFile::begin_step`] is to go through; `None` where bytes may come at once.
    pub(crate) fn beginning_bytes(&self) -> Option<u64> {
        self.origin.bytes()
    }

    /// Goes on through what it begins with, by at most `step_bytes`; tells whether that is done. A kept part has to be what
    /// its client has, and a file that is copied must not change meanwhile.
    pub(crate) fn begin_step(&self, step_bytes: u64, scratch: &mut [u8]) -> Result<bool, ErrorCode> {
        let mut content = self.content();
        let Some(end) = self.beginning_bytes().filter(|_| content.lead == Lead::Unread) else {
            return Ok(true);
        };
        let stop = content.hasher.length().saturating_add(step_bytes).min(end);
        let source = content.source.take();
        if let Some(source) = &source {
            self.copy_up_to(&mut content, source.original.file.file(), stop, scratch)?;
        }
        let Content { file: Some(file), hasher, .. } = &mut *content else {
            return Err(ErrorCode::BrokenOff);
        };
        read_step(file, hasher, stop, step_bytes, scratch)?;
        if hasher.length() < end {
            content.source = source;
            return Ok(false);
        }
        source.map_or(Ok(()), |source| source.original.is_unchanged())?;
        content.lead = match &self.origin {
            Origin::Kept(kept) if kept.expected.is_some_and(|expected| expected != hasher.digest()) => {
                return Err(ErrorCode::NoPartial);
            }
            Origin::Kept(_) => Lead::Read,
            Origin::Nothing | Origin::Copy(..) => Lead::Done,
        };
        drop(content);
        self.close_if_whole()?;
        Ok(true)
    }

    /// The digest is then of what was read back.
    fn copy_up_to(
        &self,
        content: &mut Content,
        source: &File,
        stop: u64,
        scratch: &mut [u8],
    ) -> Result<(), ErrorCode> {
        let part = content.hasher.length()..stop;
        let bytes = part.end - part.start;
        self.make_room(content, bytes)?;
        let Some(file) = &content.file else { return Err(ErrorCode::BrokenOff) };
        copy_part(source, file, part, scratch)?;
        self.note_written(content, bytes)
    }

    /// Drops what was kept behind the bytes that the client goes on from.
    pub(super) fn drop_rest(&self, content: &mut Content) -> Result<(), ErrorCode> {
        if content.lead == Lead::Read
            && let Some(file) = &content.file
        {
            rustix::fs::ftruncate(file, content.hasher.length()).map_err(Call::Stage.of(&self.path))?;
            content.lead = Lead::Done;
        }
        Ok(())
    }

    /// True where it begins as the file that it is to replace.
    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.origin, Origin::Copy(..))
    }

    /// Fails where this is to go on with a file that the name leads to no more, or that an upload was to replace which has
    /// broken off since.
    pub(crate) fn check_replaced(&self, now: Option<FileIdentity>, medium: Medium) -> Result<(), ErrorCode> {
        let Origin::Copy(replaceable, _) = &self.origin else { return Ok(()) };
        if !replaceable.is_still(now, medium) {
            return Err(ErrorCode::Changed);
        }
        match self.home.has_partial(&self.path).map_err(Call::Stage.of(&self.path))? {
            true => Err(ErrorCode::InUse),
            false => Ok(()),
        }
    }

    /// Puts the kept part of an upload back, as it was before this upload went on with it. False where there is
    /// none, or something newer is kept.
    pub(super) fn restore(&self) -> bool {
        let Origin::Kept(KeptPart { offset, .. }) = self.origin else { return false };
        if self.content().lead == Lead::Done {
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(self.home.directory(), &self.name, flags, Mode::empty());
            if file.and_then(|file| rustix::fs::ftruncate(file, offset)).is_err() {
                return false;
            }
        }
        self.home.put_back(&self.name, &self.path).is_ok()
    }
}

/// Opens what was kept of an upload, if it can be gone on with from there and has no second name. Where nothing tells what its
/// client has, only one that knows how much has come may go on: what else clients name is a size of something else.
fn open_kept(home: &Home, name: &str, path: &RemotePath, part: KeptPart) -> Result<File, ErrorCode> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(home.directory(), name, flags, Mode::empty()).map_err(Call::Stage.of(path))?;
    let kept = rustix::fs::fstat(&file).map_err(Call::Stage.of(path))?;
    let kept_bytes = u64::try_from(kept.st_size).unwrap_or(0);
    let can_go_on =
        if part.expected.is_some() { kept_bytes >= part.offset } else { kept_bytes == part.offset };
    if can_go_on && kept.st_nlink == 1 { Ok(File::from(file)) } else { Err(ErrorCode::NoPartial) }
}

/// Copies within the kernel where that can, else through `scratch`. A file that ends before has changed.
fn copy_part(from: &File, to: &File, part: Range<u64>, scratch: &mut [u8]) -> Result<(), ErrorCode> {
    let (mut at, mut written) = (part.start, part.start);
    while at < part.end {
        let wanted = usize::try_from(part.end - at).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut written), wanted) {
            Err(Errno::INTR) => {}
            // Not between these two; what else is wrong shows below.
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    while at < part.end {
        let wanted = usize::try_from(part.end - at).unwrap_or(usize::MAX).min(scratch.len());
        match from.read_at(&mut scratch[..wanted], at) {
            Ok(0) => return Err(ErrorCode::Changed),
            Ok(count) => {
                to.write_all_at(&scratch[..count], at).map_err(Call::Write.of_file_io(to))?;
                at += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Call::Read.of_file_io(from)(error)),
        }
    }
    Ok(())
}
