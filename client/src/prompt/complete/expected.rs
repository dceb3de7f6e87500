//! What may stand under the cursor: read from the table of commands. Pure.

use crate::prompt::table::{self, Flag, Row, TABLE, Takes, Verb};
use crate::prompt::words::{Unfinished, Word};

/// What may stand under the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One of these.
    Words(Vec<Choice>),
    RemoteNames {
        only_folders: bool,
    },
    LocalNames {
        only_folders: bool,
    },
    Nothing,
}

/// A word that may be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) word: String,
    /// What it is said to be.
    pub(crate) display: String,
    /// Something may follow it.
    pub(crate) goes_on: bool,
}

pub(crate) fn expected(typed: &Unfinished) -> Expected {
    let Some((first, before)) = typed.words.split_first() else {
        return Expected::Words(commands(typed.last.bytes()));
    };
    let Some(row) = table::find(first.bytes()) else { return Expected::Nothing };
    let mut operands = 0;
    let mut awaits: Option<Flag> = None;
    let mut is_over = false;
    for word in before {
        if awaits.take().is_some() {
            continue;
        }
        if is_over || !word.is_option() {
            operands += 1;
        } else {
            is_over = word.bytes() == b"--";
            awaits = valued_flag(row, word);
        }
    }
    let begins_option =
        typed.last.bytes().first() == Some(&b'-') && typed.last.marked().all(|(_, quoted)| !quoted);
    match awaits {
        Some(flag) => value(row, flag),
        None if begins_option && !is_over => Expected::Words(options(row)),
        None if operands >= row.names_max => Expected::Nothing,
        None if row.takes == Takes::Found && operands == 0 => Expected::Nothing,
        None => names(row),
    }
}

/// The option that takes the next word as its value.
fn valued_flag(row: &Row, word: &Word) -> Option<Flag> {
    let text = str::from_utf8(word.bytes()).ok()?;
    let flag = match text.strip_prefix("--") {
        Some(long) => row.long_flag(long),
        None => row.flag(text.chars().next_back()?),
    };
    flag.filter(|flag| flag.value().is_some())
}

fn value(row: &Row, flag: Flag) -> Expected {
    match flag {
        Flag::To if row.verb == Verb::Upload => Expected::RemoteNames { only_folders: false },
        Flag::To => Expected::LocalNames { only_folders: false },
        Flag::OneALine
        | Flag::All
        | Flag::Long
        | Flag::Human
        | Flag::Exact
        | Flag::ByTime
        | Flag::BySize
        | Flag::Reverse
        | Flag::Recursive
        | Flag::Parents
        | Flag::Depth
        | Flag::SumOnly
        | Flag::DryRun
        | Flag::Jobs
        | Flag::Exclude
        | Flag::Up
        | Flag::Down
        | Flag::Checksum
        | Flag::Delete
        | Flag::Force
        | Flag::Replace => Expected::Nothing,
    }
}

fn names(row: &Row) -> Expected {
    match row.takes {
        Takes::RemoteNames => Expected::RemoteNames { only_folders: false },
        Takes::RemoteFolders | Takes::Found => Expected::RemoteNames { only_folders: true },
        Takes::LocalNames => Expected::LocalNames { only_folders: false },
        Takes::LocalFolders => Expected::LocalNames { only_folders: true },
        Takes::Commands => Expected::Words(TABLE.iter().map(|row| command(row.name, false)).collect()),
        Takes::Nothing | Takes::Jobs | Takes::Line => Expected::Nothing,
    }
}

fn options(row: &Row) -> Vec<Choice> {
    let choice = |flag: &Flag| {
        let word = flag.typed();
        Choice { display: format!("{word}  {}", flag.summary()), word, goes_on: true }
    };
    row.flags.iter().map(choice).collect()
}

/// The commands by their names; where none begins so, by their aliases.
fn commands(prefix: &[u8]) -> Vec<Choice> {
    let rows = || TABLE.iter().filter(|row| row.takes != Takes::Line);
    let fits = |name: &str| name.as_bytes().starts_with(prefix);
    let names: Vec<_> =
        rows().filter(|row| fits(row.name)).map(|row| command(row.name, row.names_max > 0)).collect();
    if !names.is_empty() {
        return names;
    }
    let aliases = rows().flat_map(|row| row.aliases.iter().map(move |alias| (alias, row)));
    aliases.map(|(alias, row)| command(alias, row.names_max > 0)).collect()
}

fn command(name: &str, goes_on: bool) -> Choice {
    Choice { word: name.to_owned(), display: name.to_owned(), goes_on }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::words::split_unfinished;

    fn at_end_of(line: &str) -> Expected {
        expected(&split_unfinished(line.as_bytes()).unwrap())
    }

    #[test]
    fn each_position_of_a_line_expects_its_kind() {
        let remote = || Expected::RemoteNames { only_folders: false };
        let local = || Expected::LocalNames { only_folders: false };
        for (line, kind) in [
            ("download ", remote()),
            ("download \"a b\" ", remote()),
            ("get \"a b", remote()),
            ("download a -o ", local()),
            ("download -o x ", remote()),
            ("download --to ", local()),
            ("upload x", local()),
            ("upload x y -o z", Expected::RemoteNames { only_folders: false }),
            ("ls -l x", remote()),
            ("cd ", Expected::RemoteNames { only_folders: true }),
            ("cd a ", Expected::Nothing),
            ("lcd ", Expected::LocalNames { only_folders: true }),
            ("mkdir ", Expected::RemoteNames { only_folders: true }),
            ("rm x ", remote()),
            ("mv -f x ", remote()),
            ("mv x y ", Expected::Nothing),
            ("ls -- -", remote()),
            ("pwd ", Expected::Nothing),
            ("frobnicate x", Expected::Nothing),
        ] {
            assert_eq!(at_end_of(line), kind, "{line}");
        }
    }

    #[test]
    fn commands_options_and_topics_are_offered() {
        let words = |line: &str| {
            let Expected::Words(choices) = at_end_of(line) else { panic!("{line}") };
            choices.into_iter().map(|choice| choice.word).collect::<Vec<_>>()
        };
        assert_eq!(words("downl"), ["download"]);
        assert!(words("").contains(&"ls".to_owned()) && !words("").contains(&"get".to_owned()));
        assert!(words("ge").contains(&"get".to_owned()));
        assert_eq!(words("mv -"), ["-f"]);
        assert!(words("help d").contains(&"download".to_owned()));
    }
}
