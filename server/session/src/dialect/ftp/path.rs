//! Where the paths of FTP lead: they begin at the root or in the session's folder, and `..` takes back the name before
//! it, whatever that leads to.

use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;

/// What a client's path leads to, seen from a folder.
pub(super) fn resolve(folder: &RemotePath, path: &[u8]) -> Result<RemotePath, ErrorCode> {
    // A reply or a listing that told of such a name would end at it.
    if path.contains(&b'\r') {
        return Err(ErrorCode::BadPath);
    }
    let path = path.strip_prefix(b"~").filter(|rest| matches!(rest, [] | [b'/', ..])).map_or(path, |rest| {
        // The folder of a user is the root.
        if rest.is_empty() { b"/" } else { rest }
    });
    let mut components: Vec<&[u8]> = Vec::new();
    if !path.starts_with(b"/") && !folder.is_root() {
        components.extend(folder.as_bytes().split(|&byte| byte == b'/'));
    }
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    if components.is_empty() { Ok(RemotePath::root()) } else { RemotePath::parse(&components.join(&b'/')) }
}

/// The path from the root on.
pub(super) fn absolute(path: &RemotePath) -> Vec<u8> {
    if path.is_root() { b"/".to_vec() } else { [b"/", path.as_bytes()].concat() }
}

/// The path from the root on, in quotes, with those in it doubled.
pub(super) fn quoted(path: &RemotePath) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in absolute(path) {
        if byte == b'"' {
            text.push(byte);
        }
        text.push(byte);
    }
    text.push(b'"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(folder: &str, path: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let folder = resolve(&RemotePath::root(), folder.as_bytes()).unwrap();
        resolve(&folder, path).map(|path| absolute(&path))
    }

    #[test]
    fn paths_begin_at_the_root_or_in_the_folder() {
        for (folder, path, expected) in [
            ("/", &b""[..], &b"/"[..]),
            ("/", b"/", b"/"),
            ("/", b"..", b"/"),
            ("/", b"a", b"/a"),
            ("/a/b", b"", b"/a/b"),
            ("/a/b", b".", b"/a/b"),
            ("/a/b", b"..", b"/a"),
            ("/a/b", b"../../../..", b"/"),
            ("/a/b", b"../x//y/./", b"/a/x/y"),
            ("/a/b", b"/a/../b", b"/b"),
            ("/a/b", b"~", b"/"),
            ("/a/b", b"~/c", b"/c"),
            ("/a/b", b"~c", b"/a/b/~c"),
            ("/a/b", b"c/~", b"/a/b/c/~"),
            ("/a", b" b ", b"/a/ b "),
            ("/a", b"\xff\"\n", b"/a/\xff\"\n"),
            ("/a", b"...", b"/a/..."),
        ] {
            assert_eq!(resolved(folder, path).unwrap(), expected, "{folder} {}", path.escape_ascii());
        }
        assert_eq!(quoted(&resolve(&RemotePath::root(), b"a/b \"c\"").unwrap()), b"\"/a/b \"\"c\"\"\"");
    }

    #[test]
    fn what_is_never_served_is_refused() {
        let long = [b'a'; 256];
        for path in [&b"a\0b"[..], b".ferry-staging", b"x/../.FERRY-staging/y", b"a\rb", &long] {
            assert_eq!(resolved("/a", path), Err(ErrorCode::BadPath), "{}", path.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out(
            folder in prop::collection::vec("[a-c]{1,3}", 0..4),
            path in prop::collection::vec(
                prop_oneof![Just(b'/'), Just(b'.'), Just(b'~'), any::<u8>()], 0..300,
            ),
        ) {
            let Ok(found) = resolved(&folder.join("/"), &path) else { return Ok(()) };
            prop_assert!(found.starts_with(b"/"));
            let components: Vec<_> = found[1..].split(|&byte| byte == b'/').collect();
            let is_plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && name.len() <= 255;
            prop_assert!(found == b"/" || components.into_iter().all(is_plain));
            prop_assert!(!found.contains(&0) && !found.contains(&b'\r'));
            // What a path leads to leads to itself, from wherever.
            prop_assert_eq!(resolved("/z/z", &found).unwrap(), found);
        }
    }
}
