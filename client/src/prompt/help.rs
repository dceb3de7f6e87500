//! The help: made from the table of commands, for the width of the screen that it is shown on.

use crate::failure::Failure;
use crate::prompt::table::{self, Row, TABLE};
use ferry_common::wire::words;

/// From this width on the summaries stand beside the commands, else below them.
const WIDE_COLUMNS: usize = 72;
const USAGE_COLUMNS: usize = 28;

const NOTES: &[&str] = &[
    "help COMMAND tells the options of a command and gives an example.",
    "A name with spaces goes in quotes, double or single: download \"my file.txt\"",
    "In double quotes \\\" \\\\ \\n \\r \\t \\xHH stand for what cannot be typed.",
    "Tab completes commands and names, Ctrl-C stops a transfer, Ctrl-D exits.",
    "A transfer with & behind it, or after Ctrl-Z, goes on in the background.",
];

/// All commands, a line for each, without a newline at the end.
pub(crate) fn overview(columns: usize) -> String {
    let mut lines = Vec::new();
    for row in TABLE {
        let usage = row.short_usage();
        if columns >= WIDE_COLUMNS {
            lines.push(format!("  {usage:<USAGE_COLUMNS$} {}", row.summary));
        } else {
            lines.push(usage);
            lines.extend(wrapped(row.summary, columns, "    "));
        }
    }
    lines.push(String::new());
    lines.extend(NOTES.iter().flat_map(|note| wrapped(note, columns, "")));
    lines.join("\n")
}

/// All about one command.
pub(crate) fn about(name: &[u8], columns: usize) -> Result<String, Failure> {
    let row = table::find(name).ok_or_else(|| {
        let shown = words::display(name);
        Failure::Usage(match table::guess(name) {
            Some(guess) => format!("There is no command {shown}; did you mean {guess}?"),
            None => format!("There is no command {shown}; help lists the commands"),
        })
    })?;
    let mut lines = wrapped(&format!("Usage: {}", row.usage()), columns, "");
    lines.extend(wrapped(row.summary, columns, "  "));
    if !row.aliases.is_empty() {
        lines.push(format!("Also: {}", row.aliases.join(" ")));
    }
    lines.extend(options(row, columns));
    lines.extend(wrapped(&format!("Example: {}", row.example), columns, ""));
    lines.extend(wrapped(row.effect, columns, "  "));
    Ok(lines.join("\n"))
}

fn options(row: &Row, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for flag in row.flags {
        let mut option = format!("  {}", flag.typed());
        if let (Some(_), Some(word)) = (flag.letter(), flag.word()) {
            option += &format!(", --{word}");
        }
        if let Some(value) = flag.value() {
            option += &format!(" {value}");
        }
        let beside = format!("{option:<18}  {}", flag.summary());
        if beside.chars().count() <= columns {
            lines.push(beside);
        } else {
            lines.push(option);
            lines.extend(wrapped(flag.summary(), columns, "      "));
        }
    }
    lines
}

/// The words of a plain text in lines of at most this width.
fn wrapped(text: &str, columns: usize, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_the_screen() {
        for columns in [40, 80, 200] {
            let all = TABLE.iter().map(|row| about(row.name.as_bytes(), columns).unwrap());
            for text in all.chain([overview(columns)]) {
                let is_fitting = |line: &str| line.chars().count() <= columns;
                assert!(text.lines().all(is_fitting), "{columns} columns:\n{text}");
            }
        }
    }

    #[test]
    fn every_command_has_its_example() {
        let text = about(b"mv", 80).unwrap();
        assert_eq!(
            text,
            "Usage: mv [-f] FROM TO\n  rename, or move into a folder\n  \
             -f, --force       over a file that has the name\n\
             Example: mv draft.txt final.txt\n  renames draft.txt to final.txt, where that name is free"
        );
        assert!(about(b"ll", 80).unwrap().contains("Also: dir l ll"));
        assert_eq!(
            about(b"downlod", 80).unwrap_err().to_string(),
            "There is no command downlod; did you mean download?"
        );
    }
}
