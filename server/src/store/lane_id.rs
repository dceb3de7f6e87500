//! Names the lane, the disk threads of one mounted file system, that an open or staged file belongs to.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LaneId(pub(crate) u32);

impl LaneId {
    /// Of the folder's own file system.
    pub(crate) const ROOT: Self = Self(0);
    /// Of whatever links lead to that is not on the folder's own file system.
    pub(crate) const LINKS: Self = Self(1);
    /// The numbers below are those of no mount.
    pub(crate) const FIRST_OF_MOUNTS: u32 = 2;
}
