//! Facts as one line of JSON each, for programs.

use ferry_common::wire::printable;
use serde::Serialize;

/// A line in which a terminal has nothing to obey.
pub(crate) fn line(told: &impl Serialize) -> String {
    // What is told is made of strings and numbers, which are always JSON.
    harmless(&serde_json::to_string(told).unwrap_or_default())
}

/// The bytes of a name that is not UTF-8, which its text can only resemble.
pub(crate) fn name_hex(name: &[u8]) -> Option<String> {
    str::from_utf8(name).is_err().then(|| name.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn harmless(json: &str) -> String {
    let mut text = String::new();
    for character in json.chars() {
        if printable::may_be_shown(character) {
            text.push(character);
        } else {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| text += &format!("\\u{unit:04x}"));
        }
    }
    text
}
