//! `ferry/config.toml` in the directory of XDG for configuration: names for servers.

use crate::failure::{Failure, describe, show_path};
use crate::limits::CONFIG_MAX_BYTES;
use etcetera::BaseStrategy;
use ferry_common::wire::words;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// See the module's documentation.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) hosts: BTreeMap<String, Host>,
}

/// `[hosts.NAME]`
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
}

impl Config {
    /// Reads the file, which need not be there.
    pub(crate) fn load() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        match read(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => {
                Err(Failure::Usage(format!("Cannot read {}: {}", show_path(&path), describe(&error))))
            }
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() + 1
            });
            let message = words::escape_text(error.message().as_bytes());
            Failure::Usage(format!("{}, line {line}: {message}", show_path(path)))
        })
    }
}

fn path() -> Option<PathBuf> {
    Some(etcetera::base_strategy::Xdg::new().ok()?.config_dir().join("ferry").join("config.toml"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_MAX_BYTES {
        return Err(io::Error::other(format!("it is longer than {CONFIG_MAX_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("config.toml")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn hosts_have_names() {
        let config =
            parse("[hosts.nas]\naddress = \"192.168.1.2\"\nport = 2323\n\n[hosts.desk]\naddress=\"d\"")
                .unwrap();
        let host = |address: &str, port| Host { address: address.to_owned(), port };
        assert_eq!(config.hosts["nas"], host("192.168.1.2", Some(2323)));
        assert_eq!(config.hosts["desk"], host("d", None));
        assert_eq!(parse("# nothing yet"), Ok(Config::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("[hosts.nas]\naddress = 7", 2),
            ("[hosts.nas]\nadress = \"x\"", 2),
            ("[hosts.nas]\naddress = \"x\"\nport = 99999", 3),
            ("\n\n= 7", 3),
            ("hosts = 7", 1),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.starts_with(&format!("config.toml, line {line}: ")), "{text}: {told}");
            assert!(!told.chars().any(char::is_control), "{told:?}");
        }
    }
}
