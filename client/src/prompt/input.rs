//! Understands a typed line by the grammar of words and the table of commands. Never runs one, and asks no server:
//! what a name means is found out where the command runs.

use crate::failure::Failure;
use crate::prompt::table::{self, Flag, Row, Takes, Verb};
use crate::prompt::words::{self, Word};
use ferry_common::wire::words as wire;

/// A command of a person, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptCommand {
    pub(crate) verb: Verb,
    flags: Vec<Flag>,
    values: Vec<(Flag, Word)>,
    pub(crate) names: Vec<Word>,
    /// There is a `&` behind it.
    pub(crate) in_background: bool,
}

impl PromptCommand {
    fn new(verb: Verb, names: Vec<Word>) -> Self {
        Self { verb, flags: Vec::new(), values: Vec::new(), names, in_background: false }
    }

    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// All that was given with an option that may be repeated.
    pub(crate) fn values(&self, flag: Flag) -> impl Iterator<Item = &Word> {
        self.values.iter().filter(move |(given, _)| *given == flag).map(|(_, value)| value)
    }

    /// What was given with an option; the last counts.
    pub(crate) fn value(&self, flag: Flag) -> Option<&Word> {
        self.values.iter().rev().find(|(given, _)| *given == flag).map(|(_, value)| value)
    }
}

/// Understands a line without its ending; `None` for one without words.
pub(crate) fn parse(line: &[u8]) -> Result<Option<PromptCommand>, Failure> {
    if let Some(command) = shell_line(line) {
        return Ok(Some(PromptCommand::new(Verb::Shell, vec![Word::literal(command)])));
    }
    let mut words = words::split(line).map_err(|error| {
        let hint = "a name with spaces or other special characters goes in double quotes: \"my file.txt\"";
        Failure::Usage(format!("Cannot read this line: {error} ({hint})"))
    })?;
    let in_background = take_ampersand(&mut words)?;
    let Some((first, arguments)) = words.split_first() else {
        return if in_background {
            Err(Failure::Usage("There is no command before the &".to_owned()))
        } else {
            Ok(None)
        };
    };
    let row = table::find(first.bytes()).ok_or_else(|| unknown(first.bytes()))?;
    if in_background && !row.verb.moves_files() {
        return Err(Failure::Usage(format!(
            "{} cannot run in the background; download, upload and sync can (a name & goes in quotes)",
            row.name
        )));
    }
    let mut command = PromptCommand::new(row.verb, Vec::new());
    command.flags = table::implied(first.bytes()).to_vec();
    command.in_background = in_background;
    if arguments.iter().any(|word| word.is_option() && word.bytes() == b"--help") {
        command.verb = Verb::Help;
        command.in_background = false;
        command.names.push(Word::literal(row.name.as_bytes()));
        return Ok(Some(command));
    }
    if row.verb == Verb::Lls {
        // The options are those of another program.
        command.names = arguments.to_vec();
        return Ok(Some(command));
    }
    read_arguments(row, arguments, &mut command)?;
    if (row.names_min..=row.names_max).contains(&command.names.len()) {
        Ok(Some(command))
    } else {
        Err(wrong_count(row, command.names.len()))
    }
}

/// Takes the `&` off the end of a line, and tells whether it was there. No other may be without quotes.
fn take_ampersand(words: &mut Vec<Word>) -> Result<bool, Failure> {
    let before = words.last().and_then(Word::before_ampersand);
    let is_there = before.is_some();
    if let Some(before) = before {
        words.pop();
        words.extend(Some(before).filter(|word| !word.bytes().is_empty()));
    }
    if words.iter().any(Word::has_ampersand) {
        return Err(Failure::Usage(
            "A & stands at the end of a line, for the background; in a name it goes in quotes, or behind a backslash: \"a&b\""
                .to_owned(),
        ));
    }
    Ok(is_there)
}

/// What follows the `!` of a line for the shell of this host, byte for byte.
fn shell_line(line: &[u8]) -> Option<&[u8]> {
    let command = line.trim_ascii().strip_prefix(b"!")?.trim_ascii();
    (!command.is_empty()).then_some(command)
}

fn read_arguments(row: &'static Row, words: &[Word], command: &mut PromptCommand) -> Result<(), Failure> {
    let mut words = words.iter();
    let mut is_over = false;
    while let Some(word) = words.next() {
        if is_over || !word.is_option() {
            command.names.push(word.clone());
            continue;
        }
        let text = String::from_utf8_lossy(word.bytes());
        let Some(long) = text.strip_prefix("--") else {
            read_letters(row, word, &mut words, command)?;
            continue;
        };
        is_over = long.is_empty();
        if is_over {
            continue;
        }
        let (name, value) = match long.split_once('=') {
            Some((name, _)) => (name, Some(word.without_first(name.len() + 3))),
            None => (long, None),
        };
        let flag = row.long_flag(name).ok_or_else(|| no_option(row, word, &format!("--{name}")))?;
        match (flag.value(), value) {
            (None, None) => command.flags.push(flag),
            (None, Some(_)) => return Err(Failure::Usage(format!("{} --{name} takes nothing", row.name))),
            (Some(_), value) => take_value(row, flag, value, &mut words, command)?,
        }
    }
    Ok(())
}

/// `-lt`, `-o WHERE` or `-oWHERE`.
fn read_letters<'a>(
    row: &'static Row,
    word: &Word,
    words: &mut impl Iterator<Item = &'a Word>,
    command: &mut PromptCommand,
) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(word.bytes()).into_owned();
    for (at, letter) in text.char_indices().skip(1) {
        let flag = row.flag(letter).ok_or_else(|| {
            no_option(row, word, &format!("-{}", wire::escape_text(letter.to_string().as_bytes())))
        })?;
        if flag.value().is_some() {
            let rest = word.without_first(at + 1);
            let value = (!rest.bytes().is_empty()).then_some(rest);
            return take_value(row, flag, value, words, command);
        }
        command.flags.push(flag);
    }
    Ok(())
}

fn take_value<'a>(
    row: &'static Row,
    flag: Flag,
    value: Option<Word>,
    words: &mut impl Iterator<Item = &'a Word>,
    command: &mut PromptCommand,
) -> Result<(), Failure> {
    let Some(value) = value.or_else(|| words.next().cloned()) else {
        let what = flag.value().unwrap_or_default();
        return Err(Failure::Usage(format!("{} {} needs {what} behind it", row.name, flag.typed())));
    };
    command.values.push((flag, value));
    Ok(())
}

fn no_option(row: &Row, word: &Word, option: &str) -> Failure {
    let known: Vec<String> = row.flags.iter().map(|flag| flag.typed()).collect();
    let known = if known.is_empty() { "no options".to_owned() } else { known.join(" ") };
    let file = match row.takes {
        Takes::Nothing | Takes::Commands | Takes::Jobs | Takes::Line => String::new(),
        Takes::RemoteNames
        | Takes::RemoteFolders
        | Takes::Found
        | Takes::LocalNames
        | Takes::LocalFolders => {
            format!(" (a file of that name: {})", wire::display(&[b"./", word.bytes()].concat()))
        }
    };
    Failure::Usage(format!(
        "{} has no option {}; it has {known}{file}",
        row.name,
        wire::escape_text(option.as_bytes())
    ))
}

fn wrong_count(row: &Row, count: usize) -> Failure {
    let hint = if count > row.names_max && row.names_max > 0 {
        "; a name with spaces goes in double quotes: \"my file.txt\""
    } else {
        ""
    };
    Failure::Usage(format!("Usage: {}{hint}", row.usage()))
}

fn unknown(word: &[u8]) -> Failure {
    let shown = wire::display(word);
    Failure::Usage(match table::guess(word) {
        Some(guess) => format!("Unknown command: {shown}; did you mean {guess}?"),
        None => format!("Unknown command: {shown}; help lists the commands"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> PromptCommand {
        parse(line.as_bytes()).unwrap().unwrap()
    }

    fn names(line: &str) -> Vec<String> {
        command(line).names.iter().map(|word| String::from_utf8_lossy(word.bytes()).into_owned()).collect()
    }

    fn failure(line: &[u8]) -> String {
        parse(line).unwrap_err().to_string()
    }

    #[test]
    fn a_command_has_its_options_and_names() {
        for (line, verb, flags, expected) in [
            ("ls", Verb::Ls, &[][..], &[][..]),
            ("ls -l a/", Verb::Ls, &[Flag::Long], &["a/"]),
            ("ls a -l", Verb::Ls, &[Flag::Long], &["a"]),
            ("ll", Verb::Ls, &[Flag::Long], &[]),
            ("ls ./-l", Verb::Ls, &[], &["./-l"]),
            ("ls -- -l", Verb::Ls, &[], &["-l"]),
            ("ls \"-l\" -", Verb::Ls, &[], &["-l", "-"]),
            ("get a 'b c'", Verb::Download, &[], &["a", "b c"]),
            ("del a", Verb::Rm, &[], &["a"]),
            ("mv -f a b", Verb::Mv, &[Flag::Replace], &["a", "b"]),
            ("mv --force a b", Verb::Mv, &[Flag::Replace], &["a", "b"]),
            ("? ls", Verb::Help, &[], &["ls"]),
            ("ls -l --help", Verb::Help, &[], &["ls"]),
            ("q", Verb::Exit, &[], &[]),
            (" ! ls  *.txt # x ", Verb::Shell, &[], &["ls  *.txt # x"]),
        ] {
            let parsed = command(line);
            assert_eq!(
                (parsed.verb, names(line)),
                (verb, expected.iter().map(ToString::to_string).collect())
            );
            assert!(flags.iter().all(|&flag| parsed.has(flag)), "{line}");
        }
        assert!(parse(b"  ").unwrap().is_none());
        assert!(parse(b"# remark").unwrap().is_none());
    }

    #[test]
    fn an_ampersand_puts_a_transfer_into_the_background() {
        for line in ["get a &", "get a&", "upload a b -o c & # later", "mirror a b &", "mirror 'a&' b&"] {
            assert!(command(line).in_background, "{line}");
        }
        assert_eq!((names("get a &"), names("get a&")), (vec!["a".to_owned()], vec!["a".to_owned()]));
        for line in ["get & a", "get a & ls", "get a&b", "get a &&", "ls -l&t", "& get a"] {
            let refusal =
                "A & stands at the end of a line, for the background; in a name it goes in quotes, ";
            assert!(failure(line.as_bytes()).starts_with(refusal), "{line}");
        }
        for (line, last) in [("get a '&'", "&"), ("get a\\&", "a&"), ("get \"a&b\"", "a&b")] {
            assert!(!command(line).in_background, "{line}");
            assert_eq!(names(line).last().unwrap(), last);
        }
        assert_eq!(
            failure(b"ls -l &"),
            "ls cannot run in the background; download, upload and sync can (a name & goes in quotes)"
        );
        assert_eq!(failure(b"&"), "There is no command before the &");
        assert_eq!(names("!sleep 1 &"), ["sleep 1 &"], "the shell's own");
    }

    #[test]
    fn an_option_may_have_a_value() {
        for line in [
            "get a -o 'b c'",
            "get -o\"b c\" a",
            "get --to=\"b c\" a",
            "get a --to 'b c'",
            "get -o x a -o 'b c'",
        ] {
            assert_eq!(command(line).value(Flag::To).unwrap().bytes(), b"b c", "{line}");
            assert_eq!(names(line), ["a"], "{line}");
        }
        assert_eq!(command("get a").value(Flag::To), None);
        assert!(command("sync --delete a b").has(Flag::Delete) && command("put -c a").has(Flag::Checksum));
        assert_eq!(failure(b"get a -o"), "download -o needs WHERE behind it");
    }

    #[test]
    fn an_unknown_option_is_no_name() {
        assert_eq!(
            failure(b"ls -x"),
            "ls has no option -x; it has -1 -a -l -h -b -t -S -r (a file of that name: ./-x)"
        );
        assert_eq!(failure(b"mv -fx"), "mv has no option -x; it has -f (a file of that name: ./-fx)");
        assert_eq!(
            failure(b"stat --all"),
            "stat has no option --all; it has no options (a file of that name: ./--all)"
        );
        assert_eq!(
            failure(b"sync -D a b"),
            "sync has no option -D; it has -f -n -u -d -c --delete -j -x (a file of that name: ./-D)"
        );
        assert_eq!(failure(b"pwd -P"), "pwd has no option -P; it has no options");
        assert!(!failure(b"ls -\"\\x1b[2J\"").contains('\x1b'));
    }

    #[test]
    fn says_what_to_do() {
        assert!(failure(b"mv my file.txt x").contains("double quotes"));
        assert_eq!(failure(b"download"), "Usage: download [-fnc] [-j N] [-x PATTERN] NAME... [-o WHERE]");
        assert!(failure(b"download \"a b").contains("closing quote"));
        assert_eq!(failure(b"downlod a"), "Unknown command: downlod; did you mean download?");
        assert_eq!(failure(b"frobnicate"), "Unknown command: frobnicate; help lists the commands");
        assert_eq!(failure(b"exit now"), "Usage: exit");
        assert!(!failure(b"\"\\x1b[2J\"").contains('\x1b'));
        assert!(!failure(b"\x1b[2J").contains('\x1b'));
    }
}
