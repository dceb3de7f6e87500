//! The program `ferryd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferry_server::run()
}
