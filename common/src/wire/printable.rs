//! What a terminal may be given of a text: nothing that moves its cursor, and nothing that makes one name look like another.
//!
//! The one table for names, messages and logs. Whether a character is shown may depend on those around it: what joins the
//! letters of Persian and Hindi, or the parts of an emoji, hides a difference anywhere else.

use unicode_width::UnicodeWidthChar;

/// Marks that one letter may carry. Thai, Hebrew and Vietnamese need up to three.
const MARKS_MAX: usize = 4;

/// Asks for emoji rather than text.
const EMOJI_STYLE: char = '\u{FE0F}';

/// Each character of a text, and whether it may be shown as it is.
pub fn of(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let mut characters = text.chars().peekable();
    let mut before = Before::default();
    std::iter::from_fn(move || {
        let character = characters.next()?;
        let is_shown = before.admits(character, characters.peek().copied());
        before.note(character, is_shown);
        Some((character, is_shown))
    })
}

/// True where a text of several lines may be shown as it is.
pub fn are_lines(text: &str) -> bool {
    text.lines().all(|line| of(line).all(|(_, is_shown)| is_shown))
}

/// True for a character that may be shown somewhere.
pub fn may_be_shown(character: char) -> bool {
    let is_blank =
        character.is_whitespace() && character != ' ' || matches!(character, '\u{2800}' | '\u{1D159}');
    let is_hidden = matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0E}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}');
    !character.is_control() && !is_blank && !is_hidden
}

/// What stands before a character.
#[derive(Debug, Default)]
struct Before {
    character: Option<char>,
    /// How many marks the last letter has.
    marks: usize,
}

impl Before {
    fn admits(&self, character: char, next: Option<char>) -> bool {
        if character.is_ascii() {
            return !character.is_ascii_control();
        }
        let fits = match character {
            // The zero-width non-joiner and joiner.
            '\u{200C}' | '\u{200D}' => {
                self.character.is_some_and(|before| is_joined(before) || before == EMOJI_STYLE)
                    && next.is_some_and(|next| is_joined(next) && !is_mark(next) && may_be_shown(next))
            }
            EMOJI_STYLE => self.character.is_some_and(is_pictograph),
            _ if is_mark(character) => {
                self.character.is_some_and(|before| before != ' ') && self.marks < MARKS_MAX
            }
            _ => true,
        };
        fits && may_be_shown(character)
    }

    fn note(&mut self, character: char, is_shown: bool) {
        self.marks = if is_mark(character) { self.marks + 1 } else { 0 };
        self.character = is_shown.then_some(character);
    }
}

/// Drawn over the letter before it.
fn is_mark(character: char) -> bool {
    let is_other = matches!(character, '\u{200C}' | '\u{200D}' | EMOJI_STYLE);
    !character.is_ascii() && !is_other && character.width() == Some(0)
}

/// A letter of a script whose letters join, or a part of an emoji.
fn is_joined(character: char) -> bool {
    !character.is_ascii() && character.is_alphabetic() || is_mark(character) || is_pictograph(character)
}

fn is_pictograph(character: char) -> bool {
    character >= '\u{203C}' && !character.is_alphanumeric() && !is_mark(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with `?` in the place of each character that is not shown.
    fn shown(text: &str) -> String {
        of(text).map(|(character, is_shown)| if is_shown { character } else { '?' }).collect()
    }

    #[test]
    fn names_of_all_scripts_are_shown_as_they_are() {
        for name in [
            "a.txt",
            "grüße",
            "日本語のファイル名.txt",
            // Combined and taken apart, as macOS writes it.
            "한글",
            "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}",
            "cafe\u{301}",
            "Tiê\u{301}ng Viê\u{323}t",
            // Persian with its non-joiner, Hindi with its joiner.
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "สวัสดี",
            // A heart, and a family.
            "❤\u{FE0F}.jpg",
            "👨\u{200D}👩\u{200D}👧",
            "🏳\u{FE0F}\u{200D}🌈",
        ] {
            assert_eq!(shown(name), name);
        }
    }

    #[test]
    fn what_would_make_one_name_look_like_another_is_not() {
        for (name, expected) in [
            ("a\u{FE0F}", "a?"),
            ("a\u{200D}b", "a?b"),
            ("\u{200C}می", "?می"),
            ("می\u{200C}", "می?"),
            ("a\u{2800}b", "a?b"),
            ("a\u{3000}b", "a?b"),
            ("a\u{A0}b\u{2003}\u{202F}", "a?b??"),
            ("a\u{1D159}", "a?"),
            ("\u{301}a", "?a"),
            (" \u{301}", " ?"),
            ("a\u{202E}b\u{200B}", "a?b?"),
            ("a\u{1b}[31m\u{9b}m", "a?[31m?m"),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
        let tower = format!("a{}", "\u{300}".repeat(40));
        assert_eq!(shown(&tower), format!("a{}{}", "\u{300}".repeat(MARKS_MAX), "?".repeat(40 - MARKS_MAX)));
    }
}
