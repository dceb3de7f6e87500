//! Reads a line as a command.

use super::verb::Verb;

/// A command that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) verb: Verb,
    /// All that is behind the first space: names may begin and end with more of them.
    pub(super) argument: &'a [u8],
}

/// The command of a line without its end. What is no letter before the verb belongs to Telnet: some clients that break a
/// transfer off send parts of its commands.
pub(super) fn parse(line: &[u8]) -> Option<Parsed<'_>> {
    let start = line.iter().position(u8::is_ascii)?;
    let mut parts = line[start..].splitn(2, |&byte| byte == b' ');
    let verb = Verb::of_word(parts.next()?)?;
    Some(Parsed { verb, argument: parts.next().unwrap_or_default() })
}

/// What is before the first space, and what is behind it; `None` without one.
pub(super) fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ')?;
    Some((&text[..end], &text[end + 1..]))
}

/// The path of `LIST` or `NLST`, without the options before it, which are those of `ls`.
pub(super) fn without_options(mut argument: &[u8]) -> &[u8] {
    loop {
        let (word, rest) = split_word(argument).unwrap_or((argument, b""));
        match word {
            [b'-', letters @ ..] if !letters.is_empty() && letters.iter().all(u8::is_ascii_alphanumeric) => {
                argument = rest;
            }
            _ => return argument,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_argument_is_all_behind_the_first_space() {
        for (line, verb, argument) in [
            (&b"RETR a b "[..], Verb::Retr, &b"a b "[..]),
            (b"retr  a", Verb::Retr, b" a"),
            (b"ReTr \xff", Verb::Retr, b"\xff"),
            (b"RETR ", Verb::Retr, b""),
            (b"RETR", Verb::Retr, b""),
            (b"XPWD", Verb::Pwd, b""),
            (b"\xf4\xffabor", Verb::Abor, b""),
        ] {
            assert_eq!(parse(line), Some(Parsed { verb, argument }), "{}", line.escape_ascii());
        }
        for line in [&b""[..], b" ", b" RETR a", b"RETRa", b"RETR\ta", b"\xff", b"RET", b"SITEFOO bar"] {
            assert_eq!(parse(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn options_before_a_path_are_left_out() {
        for (argument, path) in [
            (&b""[..], &b""[..]),
            (b"-a", b""),
            (b"-la dir", b"dir"),
            (b"-CF", b""),
            (b"-l -a a b", b"a b"),
            (b"-a  b", b" b"),
            (b"-a /-x", b"/-x"),
            (b"-", b"-"),
            (b"-x.txt", b"-x.txt"),
            (b"a -l", b"a -l"),
        ] {
            assert_eq!(without_options(argument), path, "{}", argument.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_none(line in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(parsed) = parse(&line) {
                prop_assert!(line.ends_with(parsed.argument));
                without_options(parsed.argument);
            }
        }
    }
}
