//! Transfers over FTP with a server that may die or fail at any moment.

use crate::attempt::Ended;
use ferry_tests::ftp::{Ftp, Reply};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// Uploads by this command, such as `STOR a`.
pub(crate) fn upload(server: SocketAddr, limit: Duration, command: &str, content: &[u8]) -> Ended {
    ended(Ftp::try_login(server, limit).and_then(|mut ftp| ftp.try_upload(command, content)))
}

/// Goes on with an upload of which so much is kept.
pub(crate) fn resume(
    server: SocketAddr,
    limit: Duration,
    (name, kept_bytes): (&str, u64),
    rest: &[u8],
) -> Ended {
    ended(Ftp::try_login(server, limit).and_then(|mut ftp| {
        ftp.try_command(format!("REST {kept_bytes}"))?;
        ftp.try_upload(format!("STOR {name}"), rest)
    }))
}

/// Downloads a file, which must have this content where the server says that it was sent.
pub(crate) fn download(server: SocketAddr, limit: Duration, name: &str, content: &[u8]) -> Ended {
    let received = Ftp::try_login(server, limit).and_then(|mut ftp| ftp.try_receive(format!("RETR {name}")));
    ended(received.map(|(bytes, reply)| {
        assert!(reply.code != 226 || bytes == content, "another file");
        reply
    }))
}

fn ended(reply: io::Result<Reply>) -> Ended {
    match reply {
        Ok(Reply { code: 226, .. }) => Ended::Ok,
        Ok(Reply { code, .. }) => Ended::Replied(code),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ended::Silent,
        Err(error) if error.kind() == ErrorKind::Other => {
            // A reply that begins nothing: the text of the error is that of the reply.
            Ended::Replied(code_in(&error.to_string()))
        }
        Err(_) => Ended::Closed,
    }
}

fn code_in(text: &str) -> u16 {
    let digits: String = text.chars().skip_while(|digit| !digit.is_ascii_digit()).take(3).collect();
    digits.parse().unwrap_or(0)
}
