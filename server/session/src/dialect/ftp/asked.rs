//! What the client has asked for that the work is about, so that its answer can be worded.

use crate::entry_format::facts::FactSet;
use ferry_common::path::RemotePath;
use ferry_common::wire::file_time::FileTime;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    Pasv,
    Epsv,
    /// `PORT` or `EPRT`.
    Active,
    /// `ABOR`, where nothing but a way for data is there to be given up.
    Abor,
    Rein,
    Retr {
        offset: u64,
    },
    /// `STOR` or `APPE`.
    Stor {
        is_declared: bool,
    },
    Stou {
        /// The path that was made up, seen from the session's folder.
        name: Vec<u8>,
        is_declared: bool,
    },
    /// `LIST` or `NLST`.
    List,
    Mlsd,
    /// With a path.
    Stat {
        path: RemotePath,
    },
    /// `CWD` or `CDUP`.
    Cwd {
        path: RemotePath,
    },
    Size,
    Mdtm,
    Mlst {
        path: RemotePath,
        facts: FactSet,
    },
    Rnfr {
        path: RemotePath,
    },
    Rnto,
    Mkd {
        path: RemotePath,
    },
    Rmd,
    Dele,
    Mfmt {
        path: RemotePath,
        mtime: FileTime,
    },
    Chmod,
}

impl Asked {
    /// True for what needs a data connection.
    pub(super) fn is_transfer(&self) -> bool {
        matches!(self, Self::Retr { .. } | Self::Stor { .. } | Self::Stou { .. } | Self::List | Self::Mlsd)
    }

    /// True for what makes a name, or a file under one.
    pub(super) fn makes_name(&self) -> bool {
        matches!(self, Self::Stor { .. } | Self::Stou { .. } | Self::Rnto | Self::Mkd { .. })
    }

    /// True for an upload whose client has said how much will come.
    pub(super) fn is_declared(&self) -> bool {
        matches!(self, Self::Stor { is_declared: true } | Self::Stou { is_declared: true, .. })
    }
}
