//! The address of a server as it is typed: `nas`, `nas:2222`, `[::1]:2222`, `ferry://nas:2222/Photos`. Pure.

use ferry_common::wire::words;
use percent_encoding::percent_decode;

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// The folder to begin in.
    pub(crate) folder: Option<Vec<u8>>,
}

const SCHEME: &str = "ferry://";

impl Address {
    /// Fails with what is wrong, safe to show.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{}: {what}", words::display(text.as_bytes()));
        let (authority, folder) = match text.strip_prefix(SCHEME) {
            Some(rest) => {
                let (authority, folder) = rest.split_once('/').unwrap_or((rest, ""));
                (authority, (!folder.is_empty()).then(|| percent_decode(folder.as_bytes()).collect()))
            }
            None if text.contains("://") => return Err(wrong("only ferry:// is known here")),
            None => (text, None),
        };
        let (host, port) = split_port(authority).ok_or_else(|| wrong("a bracket is missing"))?;
        let port = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(port @ 1..) => Some(port),
                Ok(0) | Err(_) => return Err(wrong("a port is a number from 1 to 65535")),
            },
        };
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(wrong(
                "this is no name of a host; a server is named as nas, nas:2222 or ferry://nas/Photos",
            ));
        }
        Ok(Self { host: host.to_owned(), port, folder })
    }
}

/// Colons are those of an IPv6 address where there is more than one of them, unless it is in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        return match behind {
            "" => Some((host, None)),
            _ => Some((host, Some(behind.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port))),
        Some(_) | None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_spelling_is_understood() {
        for (text, host, port, folder) in [
            ("nas", "nas", None, None),
            ("nas:2323", "nas", Some(2323), None),
            ("192.168.1.2:1", "192.168.1.2", Some(1), None),
            ("::1", "::1", None, None),
            ("[::1]", "::1", None, None),
            ("[fe80::1%eth0]:2323", "fe80::1%eth0", Some(2323), None),
            ("ferry://nas", "nas", None, None),
            ("ferry://nas/", "nas", None, None),
            ("ferry://nas:2323/Photos/2023", "nas", Some(2323), Some("Photos/2023")),
            ("ferry://[::1]/my%20photos", "::1", None, Some("my photos")),
        ] {
            let folder = folder.map(|folder| folder.as_bytes().to_vec());
            assert_eq!(Address::parse(text), Ok(Address { host: host.to_owned(), port, folder }), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_as_such() {
        for (text, what) in [
            ("nas:", "port"),
            ("nas:0", "port"),
            ("nas:65536", "port"),
            ("nas:http", "port"),
            ("[::1", "bracket"),
            ("http://nas", "ferry://"),
            ("", "no name"),
            ("a b", "no name"),
            ("nas/Photos", "ferry://nas/Photos"),
        ] {
            assert!(Address::parse(text).unwrap_err().contains(what), "{text}");
        }
        assert!(!Address::parse("\x1b[2J:x").unwrap_err().contains('\x1b'));
    }

    proptest! {
        #[test]
        fn no_address_is_too_odd(text in "(ferry://)?[a:/\\[\\]%0 ü]{0,10}") {
            let _ = Address::parse(&text);
        }
    }
}
