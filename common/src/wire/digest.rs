//! The digest that both ends of a transfer compute: XXH3-128, which is fast enough to go unnoticed and
//! tells every accident. It is no protection against two files that were made to have one digest on purpose.

use std::fmt;
use xxhash_rust::xxh3::Xxh3Default;

/// The XXH3-128 of some bytes. On the wire it is [`Digest::TEXT_BYTES`] lower-case hexadecimal digits,
/// the most significant first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u128);

/// Computes a [`Digest`] piece by piece.
#[derive(Clone, Default)]
pub struct Hasher {
    state: Xxh3Default,
    length: u64,
}

impl Digest {
    /// Length of the text.
    pub const TEXT_BYTES: usize = 32;

    /// The digest of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(bytes))
    }

    /// Reads the text form.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != Self::TEXT_BYTES || !text.iter().all(is_digit) {
            return None;
        }
        u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok().map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// How many bytes it has seen.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        Digest(self.state.digest128())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hasher({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_values() {
        // XXH3-128 of nothing, as `xxhsum -H128 /dev/null` prints it.
        assert_eq!(Digest::of(b"").to_string(), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn pieces_make_the_same_digest_as_the_whole() {
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut hasher = Hasher::default();
        for piece in bytes.chunks(777) {
            hasher.update(piece);
        }
        assert_eq!(hasher.digest(), Digest::of(&bytes));
        assert_eq!(hasher.length(), bytes.len() as u64);
    }

    #[test]
    fn the_text_makes_the_round_trip_and_nothing_else_is_read() {
        let digest = Digest::of(b"ferry");
        let text = digest.to_string();
        assert_eq!(Digest::parse(text.as_bytes()), Some(digest));
        for wrong in
            ["", &text[1..], &text.to_uppercase().replace('0', "G"), "+9aa06d3014798d86001c324468d497f"]
        {
            assert_eq!(Digest::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
