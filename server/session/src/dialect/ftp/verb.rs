//! The commands that there are, and what is to be known of each before it is obeyed.

/// What a command has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    None,
    Optional,
    Needed,
}

/// Declares [`Verb`] with, for each variant, its word, other words for it, what is behind it, and how it is used.
macro_rules! verbs {
    ($($variant:ident = $word:literal $(| $other:literal)*, $argument:ident, $usage:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Verb {
            $($variant,)+
        }

        impl Verb {
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The command of a word, whatever the case of its letters.
            pub(super) fn of_word(word: &[u8]) -> Option<Self> {
                let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(word);
                $(if is($word) $(|| is($other))* { return Some(Self::$variant); })+
                None
            }

            /// For the log and the help.
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub(super) fn argument(self) -> Argument {
                match self { $(Self::$variant => Argument::$argument,)+ }
            }

            /// What is behind it, and what it is for.
            pub(super) fn usage(self) -> &'static str {
                match self { $(Self::$variant => $usage,)+ }
            }
        }
    };
}

verbs! {
    Abor = "ABOR", None, "(end the transfer under way)";
    Acct = "ACCT", Optional, "account (not needed here)";
    Allo = "ALLO", Needed, "bytes (only so many make the next upload whole)";
    Appe = "APPE", Needed, "path (add to the end of a file)";
    Auth = "AUTH", Optional, "mechanism (not offered)";
    Cdup = "CDUP" | "XCUP", None, "(go to the folder above)";
    Clnt = "CLNT", Optional, "name (of the client)";
    Cwd = "CWD" | "XCWD", Optional, "path (go to a folder)";
    Dele = "DELE", Needed, "path (remove a file)";
    Eprt = "EPRT", Needed, "|family|address|port| (of the client, to connect to)";
    Epsv = "EPSV", Optional, "family or ALL (open a port for a data connection)";
    Feat = "FEAT", None, "(what there is beyond RFC 959)";
    Help = "HELP", Optional, "command (how it is used)";
    Host = "HOST", Optional, "name (of the server)";
    List = "LIST", Optional, "path (list a folder)";
    Mdtm = "MDTM", Needed, "path (when a file was changed)";
    Mfmt = "MFMT", Needed, "YYYYMMDDHHMMSS path (set when a file was changed)";
    Mkd = "MKD" | "XMKD", Needed, "path (make a folder)";
    Mlsd = "MLSD", Optional, "path (list a folder, for programs)";
    Mlst = "MLST", Optional, "path (what is known of a file or folder)";
    Mode = "MODE", Needed, "S (as a stream)";
    Nlst = "NLST", Optional, "path (list the names in a folder)";
    Noop = "NOOP", None, "(do nothing)";
    Opts = "OPTS", Needed, "command options (UTF8 ON, or MLST and the facts to tell)";
    Pass = "PASS", Optional, "password (log in)";
    Pasv = "PASV", None, "(open a port for a data connection)";
    Pbsz = "PBSZ", Optional, "size (not offered)";
    Port = "PORT", Needed, "h1,h2,h3,h4,p1,p2 (of the client, to connect to)";
    Prot = "PROT", Optional, "level (not offered)";
    Pwd = "PWD" | "XPWD", None, "(which folder this is)";
    Quit = "QUIT", None, "(end the session)";
    Rein = "REIN", None, "(log out)";
    Rest = "REST", Needed, "bytes (where the next transfer begins)";
    Retr = "RETR", Needed, "path (download a file)";
    Rmd = "RMD" | "XRMD", Needed, "path (remove an empty folder)";
    Rnfr = "RNFR", Needed, "path (what the next RNTO renames)";
    Rnto = "RNTO", Needed, "path (the new name)";
    Site = "SITE", Needed, "HELP, or CHMOD mode path (make a file executable, or not)";
    Size = "SIZE", Needed, "path (bytes of a file)";
    Smnt = "SMNT", Optional, "path (not offered)";
    Stat = "STAT", Optional, "path (list it here; without one: how the session stands)";
    Stor = "STOR", Needed, "path (upload a file)";
    Stou = "STOU", Optional, "path (upload a file under a new name)";
    Stru = "STRU", Needed, "F (as a file)";
    Syst = "SYST", None, "(which system this is like)";
    Type = "TYPE", Needed, "A or I (files are sent unchanged in both)";
    User = "USER", Needed, "name (log in)";
}

impl Verb {
    /// True where the command may come before a login. Some have uses that may not.
    pub(super) fn is_for_everybody(self) -> bool {
        match self {
            Self::Acct
            | Self::Auth
            | Self::Clnt
            | Self::Feat
            | Self::Help
            | Self::Host
            | Self::Noop
            | Self::Opts
            | Self::Pass
            | Self::Pbsz
            | Self::Prot
            | Self::Quit
            | Self::Site
            | Self::Stat
            | Self::Syst
            | Self::User => true,
            Self::Abor
            | Self::Allo
            | Self::Appe
            | Self::Cdup
            | Self::Cwd
            | Self::Dele
            | Self::Eprt
            | Self::Epsv
            | Self::List
            | Self::Mdtm
            | Self::Mfmt
            | Self::Mkd
            | Self::Mlsd
            | Self::Mlst
            | Self::Mode
            | Self::Nlst
            | Self::Pasv
            | Self::Port
            | Self::Pwd
            | Self::Rein
            | Self::Rest
            | Self::Retr
            | Self::Rmd
            | Self::Rnfr
            | Self::Rnto
            | Self::Size
            | Self::Smnt
            | Self::Stor
            | Self::Stou
            | Self::Stru
            | Self::Type => false,
        }
    }

    /// True where what `REST` and `ALLO` have said is still of use behind this command: it prepares the same transfer, or
    /// asks something.
    pub(super) fn prepares_transfer(self) -> bool {
        match self {
            Self::Allo
            | Self::Eprt
            | Self::Epsv
            | Self::Feat
            | Self::Help
            | Self::Mdtm
            | Self::Mlst
            | Self::Mode
            | Self::Noop
            | Self::Opts
            | Self::Pasv
            | Self::Port
            | Self::Pwd
            | Self::Rest
            | Self::Size
            | Self::Stat
            | Self::Stru
            | Self::Syst
            | Self::Type => true,
            Self::Abor
            | Self::Acct
            | Self::Appe
            | Self::Auth
            | Self::Cdup
            | Self::Clnt
            | Self::Cwd
            | Self::Dele
            | Self::Host
            | Self::List
            | Self::Mfmt
            | Self::Mkd
            | Self::Mlsd
            | Self::Nlst
            | Self::Pass
            | Self::Pbsz
            | Self::Prot
            | Self::Quit
            | Self::Rein
            | Self::Retr
            | Self::Rmd
            | Self::Rnfr
            | Self::Rnto
            | Self::Site
            | Self::Smnt
            | Self::Stor
            | Self::Stou
            | Self::User => false,
        }
    }
}
