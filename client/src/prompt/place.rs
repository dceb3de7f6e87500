//! Where one stands in the shared folder, and what the names that one types there mean. Pure: the server is not asked, so
//! a place need not exist. The protocol knows no `..`, which is therefore resolved here.

use crate::failure::Failure;
use ferry_common::path::RemotePath;
use ferry_common::wire::words;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    here: RemotePath,
    /// For `cd -`.
    before: Option<RemotePath>,
}

impl Default for Place {
    fn default() -> Self {
        Self { here: RemotePath::root(), before: None }
    }
}

impl Place {
    pub(crate) fn here(&self) -> &RemotePath {
        &self.here
    }

    pub(crate) fn before(&self) -> Option<&RemotePath> {
        self.before.as_ref()
    }

    pub(crate) fn go(&mut self, to: RemotePath) {
        self.before = Some(std::mem::replace(&mut self.here, to));
    }

    /// What a name means here: beneath this place, or from the top where it begins with a slash. At the top,
    /// `..` is the top.
    pub(crate) fn resolve(&self, name: &[u8]) -> Result<RemotePath, Failure> {
        if name.is_empty() {
            return Err(Failure::Usage("A name is empty".to_owned()));
        }
        let mut components = Vec::new();
        if !name.starts_with(b"/") && !self.here.is_root() {
            components.extend(self.here.as_bytes().split(|&byte| byte == b'/'));
        }
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    components.pop();
                }
                _ => components.push(component),
            }
        }
        if components.is_empty() {
            return Ok(RemotePath::root());
        }
        RemotePath::parse(&components.join(&b'/'))
            .map_err(|code| Failure::Usage(format!("{}: {}", words::display(name), code.message())))
    }

    /// A path as it would be typed here.
    pub(crate) fn relative(&self, path: &RemotePath) -> Vec<u8> {
        if self.here.is_root() {
            return path.as_bytes().to_vec();
        }
        let beneath =
            path.as_bytes().strip_prefix(self.here.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        match beneath {
            Some(beneath) => beneath.to_vec(),
            None if *path == self.here => b".".to_vec(),
            None if path.is_root() => b"/".to_vec(),
            None => [b"/", path.as_bytes()].concat(),
        }
    }
}

/// True for a name that can only be a folder.
pub(crate) fn names_folder(name: &[u8]) -> bool {
    matches!(name.rsplit(|&byte| byte == b'/').next(), Some(b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(path: &str) -> Place {
        let mut place = Place::default();
        place.go(place.resolve(path.as_bytes()).unwrap());
        place
    }

    fn resolved(place: &Place, name: &str) -> String {
        String::from_utf8(place.resolve(name.as_bytes()).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn names_mean_what_they_mean_in_a_shell() {
        let (top, place) = (Place::default(), at("Photos/2023"));
        for (name, at_top, below) in [
            ("a", "a", "Photos/2023/a"),
            ("./a//b/", "a/b", "Photos/2023/a/b"),
            ("..", ".", "Photos"),
            ("../..", ".", "."),
            ("../../../a", "a", "a"),
            ("../2024", "2024", "Photos/2024"),
            ("/", ".", "."),
            ("/a/../b", "b", "b"),
            (".", ".", "Photos/2023"),
            ("...", "...", "Photos/2023/..."),
        ] {
            assert_eq!((resolved(&top, name).as_str(), resolved(&place, name).as_str()), (at_top, below));
        }
    }

    #[test]
    fn what_is_never_served_is_refused_with_its_name() {
        let refused = |name: &[u8]| at("a").resolve(name).unwrap_err().to_string();
        assert_eq!(refused(b""), "A name is empty");
        assert!(refused(b"x/.ferry-staging").starts_with("x/.ferry-staging: "));
        assert!(refused(b"a\0b").starts_with("\"a\\x00b\": "));
    }

    #[test]
    fn one_may_go_back() {
        let mut place = at("a");
        assert!(place.before().unwrap().is_root());
        place.go(place.resolve(b"b").unwrap());
        assert_eq!(place.before().unwrap().as_bytes(), b"a");
    }

    #[test]
    fn a_folder_may_be_told_by_its_name() {
        assert!(["a/", ".", "..", "a/..", "/"].iter().all(|name| names_folder(name.as_bytes())));
        assert!(["a", "a/b", "...", "/a"].iter().all(|name| !names_folder(name.as_bytes())));
    }

    proptest! {
        #[test]
        fn no_name_leads_out(here in "[a.]{1,3}(/[a.]{1,3}){0,4}", name in "[/a.]{0,12}") {
            let place = at(&here);
            if let Ok(path) = place.resolve(name.as_bytes()) {
                prop_assert_eq!(place.resolve(&place.relative(&path)).unwrap(), path.clone());
                // The protocol's own check has nothing to refuse.
                prop_assert!(path.is_root() || RemotePath::parse(path.as_bytes()).as_ref() == Ok(&path));
            }
        }
    }
}
