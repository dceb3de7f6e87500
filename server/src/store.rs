//! The served folder and what Ferry keeps in it: confined names, staged and kept uploads, digests, and the
//! errors of the file system. Everything here may wait for a disk, unless it says otherwise.

pub(crate) mod acl;
pub(crate) mod attributes;
pub(crate) mod digest_cache;
pub(crate) mod errors;
pub(crate) mod folder;
pub(crate) mod held_file;
pub(crate) mod lane_id;
pub(crate) mod mount_table;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod readers;
pub(crate) mod residency;
pub(crate) mod shortfalls;
pub(crate) mod staging;

#[cfg(test)]
pub(crate) mod tests {
    use ferry_common::path::RemotePath;
    use ferry_session::access::{Access, Cleared, Need};
    use ferry_session::{Policy, ShowWho};

    /// A path that was cleared for everything.
    pub(crate) fn cleared(text: &str) -> Cleared {
        let policy = Policy { data_port: 0, read_only: false, no_overwrite: false, show_who: ShowWho::None };
        let path = RemotePath::parse(text.as_bytes()).unwrap();
        Access::everybody(&policy).clear(Need::Create, &path).unwrap()
    }
}
