//! What FTP has of Telnet (RFC 854): commands of that in the stream of bytes, which mean nothing here.

/// "Interpret as command".
const IAC: u8 = 0xFF;
/// WILL, WONT, DO and DONT, each with one byte behind.
const NEGOTIATIONS: std::ops::RangeInclusive<u8> = 0xFB..=0xFE;
/// The commands of one byte; interrupts (0xF4) and data marks (0xF2) are what clients send.
const COMMANDS: std::ops::RangeInclusive<u8> = 0xF0..=0xFA;

/// Takes the commands of Telnet out of a stream that comes in pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TelnetFilter {
    #[default]
    Plain,
    /// An IAC has come.
    Command,
    /// A negotiation has come, and what it is about has not.
    Negotiation,
}

impl TelnetFilter {
    /// Appends what is no command. An IAC before a byte that is none is one that its sender has not doubled: names need not
    /// be UTF-8.
    pub(super) fn pass(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        for &byte in bytes {
            *self = match (*self, byte) {
                (Self::Plain, IAC) => Self::Command,
                (Self::Plain, _) => {
                    text.push(byte);
                    Self::Plain
                }
                (Self::Command, IAC) => {
                    text.push(IAC);
                    Self::Plain
                }
                (Self::Command, _) if NEGOTIATIONS.contains(&byte) => Self::Negotiation,
                (Self::Command, _) => {
                    if !COMMANDS.contains(&byte) {
                        text.extend_from_slice(&[IAC, byte]);
                    }
                    Self::Plain
                }
                (Self::Negotiation, _) => Self::Plain,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut filter, mut text) = (TelnetFilter::default(), Vec::new());
        pieces.iter().for_each(|piece| filter.pass(piece, &mut text));
        text
    }

    #[test]
    fn commands_of_telnet_are_taken_out() {
        for (input, text) in [
            (&b"NOOP\r\n"[..], &b"NOOP\r\n"[..]),
            (b"\xff\xf4\xff\xf2ABOR\r\n", b"ABOR\r\n"),
            (b"a\xff\xffb", b"a\xffb"),
            (b"\xff\xff\xf4", b"\xff\xf4"),
            (b"\xff\xfb\x01\xff\xfc\xff\xff\xfdx\xff\xfe\x03y", b"y"),
            (b"\xf4\xffabor\r\n", b"\xf4\xffabor\r\n"),
            (b"name\xff\r\n", b"name\xff\r\n"),
        ] {
            assert_eq!(passed(&[input]), text, "{}", input.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_cut_of_the_stream_gives_the_same_text(
            input in prop::collection::vec(prop_oneof![Just(IAC), 0xF0..=0xFE_u8, any::<u8>()], 0..40),
        ) {
            let whole = passed(&[&input]);
            prop_assert!(whole.len() <= input.len());
            for cut in 0..=input.len() {
                prop_assert_eq!(&passed(&[&input[..cut], &input[cut..]]), &whole);
            }
        }

        #[test]
        fn doubled_bytes_come_out_as_they_were(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut doubled = Vec::new();
            for &byte in &name {
                doubled.extend(std::iter::repeat_n(byte, if byte == IAC { 2 } else { 1 }));
            }
            prop_assert_eq!(passed(&[&doubled]), name);
        }
    }
}
