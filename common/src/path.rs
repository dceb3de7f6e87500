//! The name of something in the served folder: relative, without `..`, and in one spelling only.

use crate::error::ErrorCode;
use crate::limits::{NAME_MAX_BYTES, PATH_MAX_BYTES};
use std::fmt;

/// The directory inside the root in which uploads are staged. No path may name it and no listing shows it.
pub const HIDDEN_NAME: &[u8] = b".ferry-staging";

/// A path beneath the root, checked and normalised: components joined by single slashes, no `.`, no
/// `..`, no empty component, no NUL, nothing hidden. The root itself is the empty sequence.
///
/// This keeps hostile names from being used at all; that no link leads out is the resolver's work.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemotePath {
    bytes: Vec<u8>,
}

impl RemotePath {
    /// Checks what a peer or a user wrote. `.` and repeated or trailing slashes are dropped.
    pub fn parse(text: &[u8]) -> Result<Self, ErrorCode> {
        if text.is_empty() || text.len() > PATH_MAX_BYTES || text[0] == b'/' || text.contains(&0) {
            return Err(ErrorCode::BadPath);
        }
        let mut bytes = Vec::with_capacity(text.len());
        for component in text.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(ErrorCode::BadPath),
                // Some file systems do not tell the case of letters apart.
                _ if component.eq_ignore_ascii_case(HIDDEN_NAME) => return Err(ErrorCode::BadPath),
                _ if component.len() > NAME_MAX_BYTES => return Err(ErrorCode::BadPath),
                _ => {}
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(component);
        }
        Ok(Self { bytes })
    }

    /// The served folder itself.
    pub fn root() -> Self {
        Self { bytes: Vec::new() }
    }

    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The path as the system takes it; `.` for the root.
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_root() { b"." } else { &self.bytes }
    }

    /// The last component, or `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.bytes.rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// What has this one name in the directory that the path is.
    pub fn join(&self, name: &[u8]) -> Result<Self, ErrorCode> {
        if name.is_empty() || name == b"." || name.contains(&b'/') {
            return Err(ErrorCode::BadPath);
        }
        let joined = if self.is_root() { name.to_vec() } else { [&self.bytes, &b"/"[..], name].concat() };
        Self::parse(&joined)
    }

    /// The directory that holds it, or `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let name = self.file_name()?;
        let end = (self.bytes.len() - name.len()).saturating_sub(1);
        Some(Self { bytes: self.bytes[..end].to_vec() })
    }

    /// How many names it has.
    pub fn names(&self) -> u32 {
        if self.is_root() {
            return 0;
        }
        let slashes = self.bytes.iter().filter(|&&byte| byte == b'/').count();
        u32::try_from(slashes + 1).unwrap_or(u32::MAX)
    }

    /// Its first so many names, and what is behind them where anything is.
    pub fn split_behind(&self, names: u32) -> (Self, Option<Self>) {
        if names == 0 {
            return (Self::root(), (!self.is_root()).then(|| self.clone()));
        }
        let slashes = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        match slashes.map(|(at, _)| at).nth(usize::try_from(names - 1).unwrap_or(usize::MAX)) {
            Some(at) => {
                let (first, rest) = (self.bytes[..at].to_vec(), self.bytes[at + 1..].to_vec());
                (Self { bytes: first }, Some(Self { bytes: rest }))
            }
            None => (self.clone(), None),
        }
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RemotePath({self})")
    }
}

/// The path as a word of the protocol, safe to show.
impl fmt::Display for RemotePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&crate::wire::words::display(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &[u8]) -> Vec<u8> {
        RemotePath::parse(text).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn has_one_spelling() {
        assert_eq!(normal(b"a.txt"), b"a.txt");
        assert_eq!(normal(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(normal(b"."), b".");
        assert_eq!(normal(b"..."), b"...");
        assert_eq!(normal(b"\xff \n"), b"\xff \n");
    }

    #[test]
    fn is_split_behind_any_of_its_names() {
        let path = |text: &str| RemotePath::parse(text.as_bytes()).unwrap();
        for (names, first, rest) in
            [(0, ".", Some("a/b/c")), (1, "a", Some("b/c")), (2, "a/b", Some("c")), (3, "a/b/c", None)]
        {
            assert_eq!(path("a/b/c").split_behind(names), (path(first), rest.map(path)), "{names}");
            assert_eq!(path(first).names(), names);
        }
        assert_eq!(path("a").split_behind(u32::MAX), (path("a"), None));
        assert_eq!(path(".").split_behind(0), (path("."), None));
        assert_eq!(path(".").split_behind(1), (path("."), None));
    }

    #[test]
    fn refuses_what_is_never_served() {
        let long_name = vec![b'a'; NAME_MAX_BYTES + 1];
        let long_path = b"a/".repeat(PATH_MAX_BYTES / 2 + 1);
        for text in [
            &b""[..],
            b"/",
            b"/etc/passwd",
            b"..",
            b"../x",
            b"a/../b",
            b"a/..",
            b"a\0b",
            HIDDEN_NAME,
            b"a/.ferry-staging/x",
            b"a/.Ferry-STAGING",
            &long_name,
            &long_path,
        ] {
            assert_eq!(RemotePath::parse(text), Err(ErrorCode::BadPath), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn takes_apart() {
        let path = RemotePath::parse(b"a/b/c").unwrap();
        assert_eq!(path.file_name(), Some(&b"c"[..]));
        assert_eq!(path.parent().unwrap().as_bytes(), b"a/b");
        let top = RemotePath::parse(b"a").unwrap();
        assert!(top.parent().unwrap().is_root());
        assert_eq!(RemotePath::root().parent(), None);
        assert_eq!(RemotePath::root().file_name(), None);
    }
}
