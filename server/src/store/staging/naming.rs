//! The names of Ferry's own files. Should the server be killed, they tell what each was to become, and what is to be
//! kept of it.

use ferry_common::path::RemotePath;
use ferry_common::wire::digest::Digest;

/// The directory of what is kept, beside those of the servers.
pub(super) const PARTIAL_NAME: &str = "partial";
/// Between the digest of a path, the number of the file, and the mark.
const SEPARATOR: char = '-';
/// Ends the name of a file of which [`Remains::Any`].
const RECORD_MARK: &str = "record";

/// What is kept of an upload that ends without being published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    Nothing,
    /// What has come, where that is much: of a little, sending it again costs no more than asking.
    Large,
    /// What has come, be it nothing: in a protocol that cannot tell what the client has, it must be on record that an upload
    /// broke off.
    Any,
}

/// The name by which the kept part of an upload is found again.
pub(super) fn partial_name(path: &RemotePath) -> String {
    Digest::of(path.as_bytes()).to_string()
}

/// The name of a file that is staged to become `path`; no other has its number.
pub(super) fn staged_name(path: &RemotePath, remains: Remains, number: u64) -> String {
    match remains {
        Remains::Nothing => aside_name(number),
        Remains::Large => format!("{}{SEPARATOR}{number}", partial_name(path)),
        Remains::Any => {
            format!("{}{SEPARATOR}{number}{SEPARATOR}{RECORD_MARK}", partial_name(path))
        }
    }
}

/// The name of a file that tells of no upload.
pub(super) fn aside_name(number: u64) -> String {
    format!("aside{SEPARATOR}{number}")
}

/// By which name a staged file is to be kept, and what of it; `None` where it tells of no upload.
pub(super) fn kept_name(staged_name: &[u8]) -> Option<(&str, Remains)> {
    let mut parts = std::str::from_utf8(staged_name).ok()?.split(SEPARATOR);
    let stem = parts.next().filter(|stem| Digest::parse(stem.as_bytes()).is_some())?;
    parts.next()?;
    let remains = if parts.next() == Some(RECORD_MARK) { Remains::Any } else { Remains::Large };
    Some((stem, remains))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_tells_by_its_name_what_is_to_be_kept_of_it() {
        let path = RemotePath::parse(b"some/file").unwrap();
        let kept = partial_name(&path);
        for (remains, told) in [
            (Remains::Nothing, None),
            (Remains::Large, Some((kept.as_str(), Remains::Large))),
            (Remains::Any, Some((kept.as_str(), Remains::Any))),
        ] {
            assert_eq!(kept_name(staged_name(&path, remains, 7).as_bytes()), told);
        }
        for other in ["lock", "aside-3", "0-1-record", kept.as_str(), ""] {
            assert_eq!(kept_name(other.as_bytes()), None, "{other}");
        }
    }
}
