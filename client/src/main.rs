//! `ferry`: see the library of this crate.

fn main() -> std::process::ExitCode {
    ferry_client::main()
}
