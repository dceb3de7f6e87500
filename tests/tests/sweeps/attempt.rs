//! Transfers with a server that may die or fail at any moment: what became of each is a result. Their digests are checked
//! at both ends, as the real client does.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use ferry_common::wire::command::{Command, Resume, UploadOptions};
use ferry_common::wire::digest::Digest;
use ferry_tests::content::Content;
use ferry_tests::session::{self, Failure, Session};
use std::net::SocketAddr;
use std::time::Duration;

/// One session, in which every wait ends after a time.
#[derive(Debug)]
pub(crate) struct Attempt(Session);

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// `ok`, and what arrived is right.
    Ok,
    /// `err`, with a code of the protocol.
    Refused(ErrorCode),
    /// A reply of FTP that does not say that all is well.
    Replied(u16),
    /// A connection was closed or lost.
    Closed,
    /// Nothing came in time.
    Silent,
}

impl Attempt {
    pub(crate) fn with(server: SocketAddr, limit: Duration) -> Result<Self, Ended> {
        Session::within(server, limit).map(Self).map_err(|failure| Ended::of(&failure))
    }

    /// Uploads all of a file, or what is missing behind its first `kept` bytes.
    pub(crate) fn upload(&mut self, name: &str, bytes: &[u8], kept: u64) -> Ended {
        let beginning = &bytes[..usize::try_from(kept).expect("a small file")];
        let resume = (kept > 0).then(|| Resume { offset: kept, digest: Digest::of(beginning) });
        let options = UploadOptions { digest: true, resume, ..UploadOptions::default() };
        let uploaded = self.0.upload(name, bytes, options);
        ended(uploaded.map(|digest| assert_eq!(digest, Digest::of(bytes), "the digest of another file")))
    }

    /// Uploads the first bytes of a file and then breaks off.
    pub(crate) fn upload_beginning(&mut self, name: &str, content: Content, end: u64) -> Ended {
        let end = usize::try_from(end).expect("a small file");
        ended(self.0.upload_beginning(name, &content.bytes(), end))
    }

    /// Downloads a file, which must have this content.
    pub(crate) fn download(&mut self, name: &str, content: &[u8]) -> Ended {
        let downloaded = self.0.download(name, 0);
        ended(downloaded.map(|downloaded| assert!(downloaded.bytes == content, "another file")))
    }

    pub(crate) fn ls(&mut self) -> Ended {
        ended(self.0.ask(&Command::Ls { path: RemotePath::root() }))
    }

    /// What the server has kept of an upload; `None` where that is nothing.
    pub(crate) fn kept(&mut self, name: &str) -> Option<Resume> {
        match self.0.partial(name) {
            Ok((offset, digest)) => Some(Resume { offset, digest }),
            Err(failure) => {
                assert_eq!(failure.code(), ErrorCode::NoPartial);
                None
            }
        }
    }
}

impl Ended {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Refused(session::Refusal { code, message }) => {
                Self::Refused(code.unwrap_or_else(|| panic!("no code of the protocol: {message}")))
            }
            Failure::Lost(_) => Self::Closed,
            Failure::Silent => Self::Silent,
        }
    }
}

fn ended<T>(attempt: session::Attempt<T>) -> Ended {
    attempt.map_or_else(|failure| Ended::of(&failure), |_| Ended::Ok)
}
