//! Tickets: what ties a data connection to its session.

use crate::limits::TICKET_SECRET_BYTES;
use std::fmt;
use subtle::ConstantTimeEq;

/// A single-use permission to attach one data connection to one session. On the wire it is
/// [`Ticket::TEXT_BYTES`] lower-case hexadecimal digits, opaque to clients: the key by which the server
/// finds the session, then the secret.
#[derive(Clone)]
pub struct Ticket {
    session_key: u64,
    secret: [u8; TICKET_SECRET_BYTES],
}

impl Ticket {
    /// Length of the text; the data connection presents exactly this and a LF.
    pub const TEXT_BYTES: usize = 2 * (size_of::<u64>() + TICKET_SECRET_BYTES);

    pub fn new(session_key: u64, secret: [u8; TICKET_SECRET_BYTES]) -> Self {
        Self { session_key, secret }
    }

    /// Reads the text form.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (key, secret) = text.split_at_checked(2 * size_of::<u64>())?;
        Some(Self { session_key: u64::from_be_bytes(from_hex(key)?), secret: from_hex(secret)? })
    }

    /// True where the text of a ticket may begin with these bytes: what cannot is refused before it is complete.
    pub fn may_begin(bytes: &[u8]) -> bool {
        bytes.iter().take(Self::TEXT_BYTES).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Which session it claims to be for. Untrusted until [`Ticket::matches`].
    pub fn session_key(&self) -> u64 {
        self.session_key
    }

    /// Compares in constant time.
    pub fn matches(&self, presented: &Self) -> bool {
        bool::from(self.session_key.ct_eq(&presented.session_key) & self.secret.ct_eq(&presented.secret))
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.session_key)?;
        self.secret.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Keeps the secret out of logs.
impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ticket({:x}, secret)", self.session_key)
    }
}

/// Exactly `N` bytes from lower-case hexadecimal digits.
fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_makes_the_round_trip() {
        let ticket = Ticket::new(0x0123_4567_89ab_cdef, [0xa5; TICKET_SECRET_BYTES]);
        let text = ticket.to_string();
        assert_eq!(text.len(), Ticket::TEXT_BYTES);
        assert!(Ticket::parse(text.as_bytes()).unwrap().matches(&ticket));
    }

    #[test]
    fn any_other_digit_is_another_ticket_or_none() {
        let ticket = Ticket::new(7, [1; TICKET_SECRET_BYTES]);
        let text = ticket.to_string().into_bytes();
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert!(!ticket.matches(&Ticket::parse(&other).unwrap()), "digit {at}");
            other[at] = b'G';
            assert!(Ticket::parse(&other).is_none());
        }
        assert!(Ticket::parse(&text[1..]).is_none());
        assert!(Ticket::parse(b"").is_none());
    }
}
