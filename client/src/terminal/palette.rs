//! Colours: whether there are any, and what has which. The one place that knows escape sequences for them.

use anstyle::{AnsiColor, Style};
use std::env;
use std::io::{self, IsTerminal};

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    is_on: bool,
}

impl Palette {
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let is_on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
                io::stdout().is_terminal() && !is_unwanted && !is_dumb
            }
        };
        Self { is_on }
    }

    pub(crate) fn is_on(self) -> bool {
        self.is_on
    }

    pub(crate) fn folder(self, text: &str) -> String {
        self.styled(AnsiColor::Blue.on_default().bold(), text)
    }

    /// What is beside the point.
    pub(crate) fn aside(self, text: &str) -> String {
        self.styled(AnsiColor::BrightBlack.on_default(), text)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.is_on { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_text_stays_as_it_is() {
        assert_eq!(Palette::new(ColorChoice::Never).folder("a/"), "a/");
        let coloured = Palette::new(ColorChoice::Always).folder("a/");
        assert!(coloured.starts_with('\x1b') && coloured.contains("a/") && coloured.ends_with('m'));
    }
}
