//! Recognises other protocols on a control port, so that nothing in them is taken for a command: a web page
//! can have any browser on the network send a `POST` here whose body is lines of its choice.
//!
//! Knows the first bytes of HTTP and TLS only; never understands either.

/// A protocol that a client speaks by mistake, or is made to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignProtocol {
    Http,
    Tls,
}

/// Fields that browsers and HTTP libraries send; the request line comes before them, so this is a second wall.
const HTTP_FIELDS: [&[u8]; 14] = [
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"authorization",
    b"connection",
    b"content-length",
    b"content-type",
    b"cookie",
    b"host",
    b"origin",
    b"referer",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
];

impl ForeignProtocol {
    /// What a complete line, without its ending, belongs to; `None` where it may be a command.
    pub(crate) fn of_line(line: &[u8]) -> Option<Self> {
        if is_http_request(line) || is_http_field(line) {
            return Some(Self::Http);
        }
        Self::of_beginning(line)
    }

    /// What the beginning of a line belongs to, where that shows before the line is complete.
    pub(crate) fn of_beginning(bytes: &[u8]) -> Option<Self> {
        // A handshake record (22) of any version (3.x), RFC 8446, 5.1. A hello need not hold a LF.
        matches!(bytes, [0x16, 0x03, ..]).then_some(Self::Tls)
    }

    /// What the client is told.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Http => "this port does not speak HTTP; closing",
            Self::Tls => "this port does not speak TLS; closing",
        }
    }
}

/// RFC 9112, 3: a method, which may be any token, a target, and the version. Read as leniently as HTTP servers
/// read it: any blanks between the parts, and blanks in the target.
fn is_http_request(line: &[u8]) -> bool {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let (Some(method), Some(_), Some(version)) = (words.next(), words.next(), words.next_back()) else {
        return false;
    };
    is_token(method) && version.strip_prefix(b"HTTP/").is_some_and(is_version)
}

fn is_version(text: &[u8]) -> bool {
    let mut numbers = text.splitn(2, |&byte| byte == b'.');
    numbers.all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// RFC 9112, 5: a name, a colon right behind it, and a value.
fn is_http_field(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |&byte| byte == b':');
    let (Some(name), Some(_)) = (parts.next(), parts.next()) else { return false };
    let is_known = |known: &&[u8]| name.eq_ignore_ascii_case(known);
    HTTP_FIELDS.iter().any(is_known) || name.len() > 4 && name[..4].eq_ignore_ascii_case(b"sec-")
}

/// RFC 9110, 5.6.2.
fn is_token(word: &[u8]) -> bool {
    word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fields_and_hellos_are_recognised() {
        for line in [
            &b"GET / HTTP/1.1"[..],
            b"POST /upload?x=y HTTP/1.0",
            b"PRI * HTTP/2.0",
            b"OPTIONS * HTTP/1.1",
            b"CONNECT host:2222 HTTP/1.1",
            b"rm /precious.txt HTTP/1.1",
            b"mv http://host/a HTTP/1.1",
            b"X-ANY!  /a b\t HTTP/1.1 ",
            b"GET / HTTP/3",
            b"Host: nas.local:2222",
            b"host:nas",
            b"CONTENT-LENGTH: 5",
            b"Origin: null",
            b"Sec-Fetch-Mode: cors",
        ] {
            assert_eq!(
                ForeignProtocol::of_line(line),
                Some(ForeignProtocol::Http),
                "{}",
                line.escape_ascii()
            );
        }
        assert_eq!(ForeignProtocol::of_line(b"\x16\x03\x01\x02\x00\x01"), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::of_beginning(b"\x16\x03"), Some(ForeignProtocol::Tls));
    }

    #[test]
    fn commands_and_mistypings_are_not() {
        for line in [
            &b""[..],
            b"ls",
            b"help",
            b"ls HTTP/1.1",
            b"mv a \"HTTP/1.1\"",
            b"mv a HTTP/1.1 replace",
            b"mv a HTTP/one",
            b"mv a HTTP/1.1.1",
            b"mv a HTTP/",
            b"stat http",
            b"note: buy milk",
            b"rm host:",
            b"GET /",
            b"\x16",
        ] {
            assert_eq!(ForeignProtocol::of_line(line), None, "{}", line.escape_ascii());
        }
    }
}
