//! Texts that people see, kept in `tests/tests/snapshots` as they are meant to be. With `FERRY_SNAPSHOTS=write` in its
//! environment a test writes them anew, to be read before they are committed.

use std::env;
use std::fs;
use std::path::Path;

const WRITE: &str = "FERRY_SNAPSHOTS";

/// The text is that of the file with this name.
#[track_caller]
pub fn expect(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if env::var_os(WRITE).is_some_and(|value| value == "write") {
        fs::create_dir_all(path.parent().expect("a folder of snapshots")).expect("the sources are writable");
        fs::write(&path, text).expect("the sources are writable");
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        text == expected,
        "{name} is\n{text}\nand not\n{expected}\n{WRITE}=write in the environment has it written anew"
    );
}
