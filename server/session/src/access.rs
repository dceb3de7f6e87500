//! What the account of a session may do. [`Access::clear`] is the only maker of a [`Cleared`] path, and all that the work
//! asks of the shell carries one: an action on a path that was not looked at does not compile.
//!
//! There is one account, everybody's, with what the server's operator allows it.

use crate::{Policy, ShowWho};
use ferry_common::error::ErrorCode;
use ferry_common::path::RemotePath;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    may_change: bool,
    may_replace: bool,
    shown_sessions: ShowWho,
}

/// A right that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Of names, and of what there is under them.
    List,
    Read,
    Create,
    /// Of a file by another.
    Replace,
    Remove,
    Rename,
    /// Set the time of what is there, whose content stays.
    Touch,
}

/// A path about which the account may ask what it asks.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cleared(RemotePath);

impl Access {
    pub fn everybody(policy: &Policy) -> Self {
        let Policy { read_only, no_overwrite, show_who, .. } = *policy;
        let may_replace = !read_only && !no_overwrite;
        Self { may_change: !read_only, may_replace, shown_sessions: show_who }
    }

    /// The path, where the account may do this with it; else why not.
    pub fn clear(&self, need: Need, path: &RemotePath) -> Result<Cleared, ErrorCode> {
        if self.allows(need) { Ok(Cleared(path.clone())) } else { Err(ErrorCode::ReadOnly) }
    }

    /// What may be known of the sessions of others.
    pub fn shown_sessions(&self) -> ShowWho {
        self.shown_sessions
    }

    pub fn allows(&self, need: Need) -> bool {
        match need {
            Need::List | Need::Read => true,
            Need::Create | Need::Remove | Need::Rename | Need::Touch => self.may_change,
            Need::Replace => self.may_replace,
        }
    }
}

impl Deref for Cleared {
    type Target = RemotePath;

    fn deref(&self) -> &RemotePath {
        &self.0
    }
}

impl Borrow<RemotePath> for Cleared {
    fn borrow(&self) -> &RemotePath {
        &self.0
    }
}

impl fmt::Display for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(read_only: bool, no_overwrite: bool) -> Access {
        Access::everybody(&Policy { data_port: 3333, read_only, no_overwrite, show_who: ShowWho::None })
    }

    #[test]
    fn everybody_may_do_what_the_operator_has_not_forbidden() {
        use Need::{Create, List, Read, Remove, Rename, Replace, Touch};
        let all = [List, Read, Create, Replace, Remove, Rename, Touch];
        for (access, allowed) in [
            (access(false, false), &all[..]),
            (access(false, true), &[List, Read, Create, Remove, Rename, Touch]),
            (access(true, false), &[List, Read]),
            (access(true, true), &[List, Read]),
        ] {
            for need in all {
                let cleared = access.clear(need, &RemotePath::root());
                assert_eq!(cleared.is_ok(), allowed.contains(&need), "{access:?} {need:?}");
                assert_eq!(access.allows(need), allowed.contains(&need));
            }
        }
    }
}
