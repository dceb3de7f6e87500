//! One file of a tree on its way to the server: a small one from memory, where it was read as a whole, a large one piece by
//! piece. Never sends the digest, or the last byte, of a file that changed meanwhile.

use crate::engine::Stop;
use crate::failure::describe;
use crate::mirror::board::Moving;
use crate::mirror::plan::Planned;
use crate::tree::source::Source;
use ferry_common::dialogue::RequestId;
use ferry_common::limits::EAGER_MAX_BYTES;
use ferry_common::wire::command::{Conditions, Resume, UploadOptions};
use ferry_common::wire::digest::{Digest, Hasher};
use std::io;
use std::os::unix::fs::FileExt as _;

/// See the module's documentation.
pub(crate) struct Sending {
    pub(crate) file: Planned,
    /// So much of it the server has.
    moved_bytes: u64,
    /// So much of that it had before.
    found_bytes: u64,
    content: Content,
    /// Why this end cannot go on.
    pub(crate) failed: Option<Failed>,
}

/// What has to be so at the server where a file gets its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) new: bool,
    pub(crate) conditions: Conditions,
}

/// What is wrong with the local file.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It may go well when the file is opened anew.
    Changed(String),
    Final(String),
}

enum Content {
    Small { bytes: Vec<u8>, digest: Option<Digest> },
    Large(Box<Large>),
}

struct Large {
    source: Source,
    verify: bool,
    /// Of the bytes that the server has already.
    beginning: Hasher,
    /// Of all bytes before the next.
    hasher: Hasher,
    digest: Option<Digest>,
}

impl Sending {
    /// Reads a small file; `None` where it has grown over that since it was planned.
    pub(crate) fn small(
        mut file: Planned,
        source: &Source,
        verify: bool,
    ) -> Result<Self, Box<(Planned, Failed)>> {
        file.size_bytes = source.facts.size_bytes;
        match read(source) {
            Ok(bytes) => {
                let digest = verify.then(|| Digest::of(&bytes));
                Ok(Self {
                    file,
                    moved_bytes: 0,
                    found_bytes: 0,
                    content: Content::Small { bytes, digest },
                    failed: None,
                })
            }
            Err(failed) => Err(Box::new((file, failed))),
        }
    }

    pub(crate) fn large(mut file: Planned, source: Source, verify: bool, beginning: Hasher) -> Self {
        file.size_bytes = source.facts.size_bytes;
        let moved_bytes = beginning.length();
        let hasher = beginning.clone();
        let large = Large { source, verify, beginning, hasher, digest: None };
        Self {
            file,
            moved_bytes,
            found_bytes: moved_bytes,
            content: Content::Large(Box::new(large)),
            failed: None,
        }
    }

    pub(crate) fn options(&self, terms: Terms, keep_times: bool) -> UploadOptions {
        let (digest, resume) = match &self.content {
            Content::Small { digest, .. } => (digest.is_some(), None),
            Content::Large(large) => {
                let Large { verify, beginning, .. } = &**large;
                let resume = Resume { offset: beginning.length(), digest: beginning.digest() };
                (*verify, (beginning.length() > 0).then_some(resume))
            }
        };
        UploadOptions {
            digest,
            new: terms.new,
            mtime: keep_times.then_some(self.file.mtime),
            executable: self.file.is_executable,
            resume,
            conditions: terms.conditions,
        }
    }

    /// What the server must have stored, once all is sent; `None` without verification.
    pub(crate) fn digest(&self) -> Option<Digest> {
        match &self.content {
            Content::Small { digest, .. } => *digest,
            Content::Large(large) => large.digest,
        }
    }

    /// This file among those that move.
    pub(crate) fn moving(&self, id: RequestId) -> Moving<'_> {
        let Self { file, moved_bytes, found_bytes, .. } = self;
        Moving { id, file, moved_bytes: *moved_bytes, found_bytes: *found_bytes }
    }

    /// The server tells that it has so much of the file.
    pub(crate) fn handle_received(&mut self, bytes: u64) {
        self.moved_bytes = bytes;
    }

    pub(crate) fn begin(&mut self, offset: u64) -> Result<(), Stop> {
        self.moved_bytes = offset;
        self.found_bytes = offset;
        match &mut self.content {
            Content::Small { .. } => Ok(()),
            Content::Large(large) => {
                if offset != large.beginning.length() {
                    // The dialogue lets no other offset through than this or the start.
                    large.beginning = Hasher::default();
                }
                large.hasher = large.beginning.clone();
                Ok(())
            }
        }
    }

    pub(crate) fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        let size = self.file.size_bytes;
        match &mut self.content {
            Content::Small { bytes, .. } => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(from..).unwrap_or_default();
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Content::Large(large) => {
                let Large { source, verify, hasher, .. } = &mut **large;
                let failed = match read_some(source, offset, into) {
                    Ok(0) => Failed::Changed(format!(
                        "it shrank from {size} to {offset} bytes while it was being sent"
                    )),
                    Ok(count) if !*verify && offset + count as u64 == size && !source.is_unchanged() => {
                        changed()
                    }
                    Ok(count) => {
                        if *verify {
                            hasher.update(&into[..count]);
                        }
                        return Ok(count);
                    }
                    Err(error) => unreadable(&error),
                };
                self.failed = Some(failed);
                Err(Stop)
            }
        }
    }

    pub(crate) fn trailer(&mut self) -> Result<Digest, Stop> {
        match &mut self.content {
            Content::Small { digest, .. } => digest.ok_or(Stop),
            Content::Large(large) if !large.source.is_unchanged() => {
                self.failed = Some(changed());
                Err(Stop)
            }
            Content::Large(large) => Ok(*large.digest.insert(large.hasher.digest())),
        }
    }
}

fn read(source: &Source) -> Result<Vec<u8>, Failed> {
    let size = usize::try_from(source.facts.size_bytes.min(EAGER_MAX_BYTES)).unwrap_or(0);
    let mut bytes = vec![0; size];
    match source.file.read_exact_at(&mut bytes, 0) {
        Ok(()) if source.is_unchanged() => Ok(bytes),
        Ok(()) => Err(changed()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(changed()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn read_some(source: &Source, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.file.read_at(into, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn changed() -> Failed {
    Failed::Changed("it changed while it was being sent".to_owned())
}

fn unreadable(error: &io::Error) -> Failed {
    Failed::Final(format!("cannot be read: {}", describe(error)))
}
