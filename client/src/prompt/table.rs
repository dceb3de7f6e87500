//! The table of commands: what each is called, takes and does. The parser, the help, completion and the guess
//! for a mistyped command are made from it alone.

mod flags;

pub(crate) use flags::Flag;

/// The commands of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Ls,
    Cd,
    Pwd,
    Download,
    Upload,
    Sync,
    Stat,
    Sum,
    Mkdir,
    Rm,
    Mv,
    Cat,
    More,
    Tree,
    Find,
    Du,
    Df,
    Who,
    Jobs,
    Wait,
    Cancel,
    Clear,
    Lcd,
    Lpwd,
    Lls,
    Shell,
    Help,
    Exit,
}

impl Verb {
    /// Moves files, which may take long: at the prompt it can run in the background.
    pub(crate) fn moves_files(self) -> bool {
        matches!(self, Self::Download | Self::Upload | Self::Sync)
    }

    /// About those.
    pub(crate) fn is_about_transfers(self) -> bool {
        matches!(self, Self::Jobs | Self::Wait | Self::Cancel)
    }
}

/// What the names behind a command are names of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    RemoteNames,
    RemoteFolders,
    LocalNames,
    LocalFolders,
    /// A pattern first, then a folder of the server.
    Found,
    Commands,
    /// Numbers of transfers in the background.
    Jobs,
    /// The rest of the line, for the shell of this host.
    Line,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) verb: Verb,
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) flags: &'static [Flag],
    pub(crate) takes: Takes,
    /// The names as the usage shows them.
    pub(crate) operands: &'static str,
    pub(crate) names_min: usize,
    pub(crate) names_max: usize,
    pub(crate) summary: &'static str,
    pub(crate) example: &'static str,
    /// What the example does.
    pub(crate) effect: &'static str,
}

const ANY: usize = usize::MAX;

pub(crate) const TABLE: &[Row] = &[
    Row {
        verb: Verb::Ls,
        name: "ls",
        aliases: &["dir", "l", "ll"],
        flags: &[
            Flag::OneALine,
            Flag::All,
            Flag::Long,
            Flag::Human,
            Flag::Exact,
            Flag::ByTime,
            Flag::BySize,
            Flag::Reverse,
        ],
        takes: Takes::RemoteNames,
        operands: "[NAME...]",
        names_min: 0,
        names_max: ANY,
        summary: "list a folder; -l adds size and time",
        example: "ls -l Photos",
        effect: "lists Photos with sizes and times; ll does the same",
    },
    Row {
        verb: Verb::Cd,
        name: "cd",
        aliases: &[],
        flags: &[],
        takes: Takes::RemoteFolders,
        operands: "[DIR]",
        names_min: 0,
        names_max: 1,
        summary: "go to a folder; .. is up, / the top, - back",
        example: "cd Photos/2023",
        effect: "names are beneath Photos/2023 from now on; cd alone goes to the top",
    },
    Row {
        verb: Verb::Pwd,
        name: "pwd",
        aliases: &[],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "tell the folder of the server one is in",
        example: "pwd",
        effect: "prints /Photos/2023",
    },
    Row {
        verb: Verb::Download,
        name: "download",
        aliases: &["get", "mget"],
        flags: &[Flag::Force, Flag::DryRun, Flag::Checksum, Flag::Jobs, Flag::Exclude, Flag::To],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "fetch files and folders, into WHERE or here",
        example: "download report.pdf -o ~/old.pdf",
        effect: "fetches report.pdf and saves it as old.pdf in the home folder",
    },
    Row {
        verb: Verb::Upload,
        name: "upload",
        aliases: &["put", "mput"],
        flags: &[Flag::Force, Flag::DryRun, Flag::Checksum, Flag::Jobs, Flag::Exclude, Flag::To],
        takes: Takes::LocalNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "send files and folders, to WHERE or here",
        example: "upload a.jpg b.jpg -o Photos/",
        effect: "sends both files into the folder Photos of the server",
    },
    Row {
        verb: Verb::Sync,
        name: "sync",
        aliases: &["mirror"],
        flags: &[
            Flag::Force,
            Flag::DryRun,
            Flag::Up,
            Flag::Down,
            Flag::Checksum,
            Flag::Delete,
            Flag::Jobs,
            Flag::Exclude,
        ],
        takes: Takes::RemoteFolders,
        operands: "FROM TO",
        names_min: 2,
        names_max: 2,
        summary: "have a folder hold what another holds",
        example: "sync ~/Pictures Photos",
        effect: "sends to Photos what it lacks of Pictures, or has otherwise; with --delete, what only Photos has is then removed, after a question",
    },
    Row {
        verb: Verb::Stat,
        name: "stat",
        aliases: &[],
        flags: &[],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "tell kind, size and time",
        example: "stat big.iso",
        effect: "tells what big.iso is, its exact size and its time",
    },
    Row {
        verb: Verb::Sum,
        name: "sum",
        aliases: &[],
        flags: &[],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "tell the digest of a file, as xxh128sum would",
        example: "sum big.iso",
        effect: "prints the XXH3-128 of big.iso, without fetching it",
    },
    Row {
        verb: Verb::Mkdir,
        name: "mkdir",
        aliases: &[],
        flags: &[Flag::Parents],
        takes: Takes::RemoteFolders,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "make folders",
        example: "mkdir -p Photos/2024/summer",
        effect: "makes the folder summer, and those that it is in where they are missing",
    },
    Row {
        verb: Verb::Rm,
        name: "rm",
        aliases: &["del"],
        flags: &[Flag::Recursive, Flag::Force],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "remove files and empty folders; -r any folder",
        example: "rm -r old",
        effect: "counts what is in the folder old, asks, and removes it",
    },
    Row {
        verb: Verb::Mv,
        name: "mv",
        aliases: &[],
        flags: &[Flag::Replace],
        takes: Takes::RemoteNames,
        operands: "FROM TO",
        names_min: 2,
        names_max: 2,
        summary: "rename, or move into a folder",
        example: "mv draft.txt final.txt",
        effect: "renames draft.txt to final.txt, where that name is free",
    },
    Row {
        verb: Verb::Cat,
        name: "cat",
        aliases: &[],
        flags: &[],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "print files",
        example: "cat notes.txt",
        effect: "prints notes.txt; into a pipe byte for byte, on a terminal with control characters escaped",
    },
    Row {
        verb: Verb::More,
        name: "more",
        aliases: &["less"],
        flags: &[],
        takes: Takes::RemoteNames,
        operands: "NAME...",
        names_min: 1,
        names_max: ANY,
        summary: "read files in $PAGER, or less",
        example: "more notes.txt",
        effect: "shows notes.txt page by page",
    },
    Row {
        verb: Verb::Tree,
        name: "tree",
        aliases: &[],
        flags: &[Flag::Depth],
        takes: Takes::RemoteFolders,
        operands: "[DIR]",
        names_min: 0,
        names_max: 1,
        summary: "draw a folder and what is in it",
        example: "tree -L 2 Photos",
        effect: "draws Photos, its folders, and what is in these",
    },
    Row {
        verb: Verb::Find,
        name: "find",
        aliases: &[],
        flags: &[],
        takes: Takes::Found,
        operands: "PATTERN [DIR]",
        names_min: 1,
        names_max: 2,
        summary: "look for names in a folder and below",
        example: "find *.jpg Photos",
        effect: "prints all names in Photos and below that end in .jpg; without * ? [ ] { } it looks for a part of the name",
    },
    Row {
        verb: Verb::Du,
        name: "du",
        aliases: &[],
        flags: &[Flag::SumOnly, Flag::Human, Flag::Exact],
        takes: Takes::RemoteFolders,
        operands: "[DIR]",
        names_min: 0,
        names_max: 1,
        summary: "tell what folders take",
        example: "du Photos",
        effect: "tells how much is in each folder of Photos, and in all of it",
    },
    Row {
        verb: Verb::Df,
        name: "df",
        aliases: &[],
        flags: &[],
        takes: Takes::RemoteNames,
        operands: "[NAME...]",
        names_min: 0,
        names_max: ANY,
        summary: "tell how much room the server has",
        example: "df",
        effect: "tells how much room there is for uploads, and in all",
    },
    Row {
        verb: Verb::Who,
        name: "who",
        aliases: &[],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "tell how many are connected, and what they move",
        example: "who",
        effect: "tells who moves what, as far as the server shows that",
    },
    Row {
        verb: Verb::Jobs,
        name: "jobs",
        aliases: &[],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "list transfers in the background",
        example: "jobs",
        effect: "lists what & behind a command, or Ctrl-Z, has put into the background",
    },
    Row {
        verb: Verb::Wait,
        name: "wait",
        aliases: &["fg"],
        flags: &[],
        takes: Takes::Jobs,
        operands: "[NUMBER...]",
        names_min: 0,
        names_max: ANY,
        summary: "bring transfers back, and wait for them",
        example: "wait 1",
        effect: "shows transfer 1 until it is done; Ctrl-Z sends it back, Ctrl-C stops it; wait alone takes all",
    },
    Row {
        verb: Verb::Cancel,
        name: "cancel",
        aliases: &["kill"],
        flags: &[],
        takes: Takes::Jobs,
        operands: "NUMBER...",
        names_min: 1,
        names_max: ANY,
        summary: "stop transfers in the background",
        example: "cancel 1",
        effect: "stops transfer 1, as Ctrl-C would; the same command goes on later; cancel all stops all",
    },
    Row {
        verb: Verb::Clear,
        name: "clear",
        aliases: &[],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "empty the screen",
        example: "clear",
        effect: "empties the screen, as Ctrl-L does",
    },
    Row {
        verb: Verb::Lcd,
        name: "lcd",
        aliases: &[],
        flags: &[],
        takes: Takes::LocalFolders,
        operands: "[DIR]",
        names_min: 0,
        names_max: 1,
        summary: "go to a folder of this computer; - is back",
        example: "lcd ~/Downloads",
        effect: "downloads go to ~/Downloads from now on; lcd alone goes home",
    },
    Row {
        verb: Verb::Lpwd,
        name: "lpwd",
        aliases: &[],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "tell the folder of this computer one is in",
        example: "lpwd",
        effect: "prints the folder that downloads go to",
    },
    Row {
        verb: Verb::Lls,
        name: "lls",
        aliases: &[],
        flags: &[],
        takes: Takes::LocalNames,
        operands: "[NAME...]",
        names_min: 0,
        names_max: ANY,
        summary: "list a folder of this computer, by its own ls",
        example: "lls ~/Pictures",
        effect: "lists the pictures on this computer",
    },
    Row {
        verb: Verb::Shell,
        name: "!",
        aliases: &[],
        flags: &[],
        takes: Takes::Line,
        operands: "COMMAND",
        names_min: 1,
        names_max: 1,
        summary: "run a command of this computer",
        example: "!du -sh *",
        effect: "tells what the files of the local folder take",
    },
    Row {
        verb: Verb::Help,
        name: "help",
        aliases: &["?"],
        flags: &[],
        takes: Takes::Commands,
        operands: "[COMMAND...]",
        names_min: 0,
        names_max: ANY,
        summary: "this list, or more about a command",
        example: "help download",
        effect: "tells all about download",
    },
    Row {
        verb: Verb::Exit,
        name: "exit",
        aliases: &["quit", "bye", "q"],
        flags: &[],
        takes: Takes::Nothing,
        operands: "",
        names_min: 0,
        names_max: 0,
        summary: "end the session",
        example: "exit",
        effect: "ends the session, as Ctrl-D does",
    },
];

/// The row of a command, by its name or an alias.
pub(crate) fn find(name: &[u8]) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.names().any(|own| own.as_bytes() == name))
}

/// The command that was meant by a word that is none.
pub(crate) fn guess(word: &[u8]) -> Option<&'static str> {
    let word = str::from_utf8(word).ok()?.to_lowercase();
    // A single letter is as near to one as to another.
    let names = TABLE.iter().flat_map(Row::names).filter(|name| name.len() > 1);
    let far = |name: &str| strsim::damerau_levenshtein(&word, name);
    let closest = names.min_by_key(|name| far(name))?;
    // In a short word, two letters are most of it.
    let allowed = if word.chars().count() <= 3 { 1 } else { 2 };
    (word.len() > 1 && far(closest) <= allowed).then_some(closest)
}

impl Row {
    /// The name, and the aliases behind it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// `mv [-f] FROM TO`.
    pub(crate) fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        let plain = || self.flags.iter().filter(|flag| flag.value().is_none());
        let letters: String = plain().filter_map(|flag| flag.letter()).collect();
        if !letters.is_empty() {
            usage += &format!(" [-{letters}]");
        }
        for flag in plain().filter(|flag| flag.letter().is_none()) {
            usage += &format!(" [{}]", flag.typed());
        }
        let rare = self.flags.iter().filter(|flag| flag.is_rare());
        rare.for_each(|flag| usage += &bracketed(*flag));
        usage + &self.tail()
    }

    /// The usage without its simple and its rare options: `mv FROM TO`.
    pub(crate) fn short_usage(&self) -> String {
        self.name.to_owned() + &self.tail()
    }

    fn tail(&self) -> String {
        let space = if self.operands.is_empty() || self.takes == Takes::Line { "" } else { " " };
        let mut tail = format!("{space}{}", self.operands);
        let usual = self.flags.iter().filter(|flag| !flag.is_rare());
        usual.for_each(|flag| tail += &bracketed(*flag));
        tail
    }

    pub(crate) fn flag(&self, letter: char) -> Option<Flag> {
        self.flags.iter().copied().find(|flag| flag.letter() == Some(letter))
    }

    pub(crate) fn long_flag(&self, word: &str) -> Option<Flag> {
        self.flags.iter().copied().find(|flag| flag.word() == Some(word))
    }
}

/// An option with something behind it: ` [-o WHERE]`.
fn bracketed(flag: Flag) -> String {
    flag.value().map(|value| format!(" [{} {value}]", flag.typed())).unwrap_or_default()
}

/// What an alias says beside the command that it stands for.
pub(crate) fn implied(alias: &[u8]) -> &'static [Flag] {
    match alias {
        b"ll" => &[Flag::Long],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_one_row_and_every_letter_to_one_option() {
        let mut names: Vec<_> = TABLE.iter().flat_map(Row::names).collect();
        for row in TABLE {
            assert_eq!(find(row.name.as_bytes()).unwrap().verb, row.verb);
            let finds = |flag: &Flag| match flag.letter() {
                Some(letter) => row.flag(letter) == Some(*flag),
                None => flag.word().and_then(|word| row.long_flag(word)) == Some(*flag),
            };
            assert!(row.flags.iter().all(finds), "{}", row.name);
            assert!(row.example.starts_with(row.name), "{}", row.example);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_mistyped_command_is_guessed() {
        for (word, meant) in [
            ("downlod", Some("download")),
            ("LS", Some("ls")),
            ("sl", Some("ls")),
            ("exti", Some("exit")),
            ("gte", Some("get")),
            ("frobnicate", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(guess(word.as_bytes()), meant, "{word}");
        }
        assert_eq!(guess(b"\xff"), None);
    }

    #[test]
    fn the_usage_is_made_from_the_row() {
        let usage = |name: &str| find(name.as_bytes()).unwrap().usage();
        assert_eq!(usage("mv"), "mv [-f] FROM TO");
        assert_eq!(usage("get"), "download [-fnc] [-j N] [-x PATTERN] NAME... [-o WHERE]");
        assert_eq!(usage("mirror"), "sync [-fnudc] [--delete] [-j N] [-x PATTERN] FROM TO");
        assert_eq!(usage("q"), "exit");
    }
}
