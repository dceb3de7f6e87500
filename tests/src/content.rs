//! Pseudo-random content that is known at every position without being stored, so that a file of any size
//! can be made and verified chunk by chunk. Never allocates, never touches a file.

const WORD_BYTES: u64 = 8;

/// The bytes of one file: a function of its seed and the position alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    pub seed: u64,
    pub size_bytes: u64,
}

impl Content {
    pub fn new(seed: u64, size_bytes: u64) -> Self {
        Self { seed, size_bytes }
    }

    /// Writes the bytes from `offset` on into all of `out`.
    pub fn fill(&self, offset: u64, out: &mut [u8]) {
        let skipped = (offset % WORD_BYTES) as usize;
        let mut index = offset / WORD_BYTES;
        let mut rest = out;
        if skipped > 0 {
            let word = self.word(index).to_le_bytes();
            let taken = rest.len().min(word.len() - skipped);
            let (head, tail) = rest.split_at_mut(taken);
            head.copy_from_slice(&word[skipped..skipped + taken]);
            rest = tail;
            index += 1;
        }
        for part in rest.chunks_mut(WORD_BYTES as usize) {
            let word = self.word(index).to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
            index += 1;
        }
    }

    /// The position in the file of the first byte of `bytes`, which begin at `offset`, that is wrong.
    pub fn first_mismatch(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut expected = [0; 4096];
        let mut at = offset;
        for part in bytes.chunks(expected.len()) {
            let expected = &mut expected[..part.len()];
            self.fill(at, expected);
            if let Some(wrong) = part.iter().zip(expected.iter()).position(|(got, want)| got != want) {
                return Some(at + wrong as u64);
            }
            at += part.len() as u64;
        }
        (at > self.size_bytes).then_some(self.size_bytes.max(offset))
    }

    /// The whole file. For small ones.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size_bytes).expect("a file that fits in memory")];
        self.fill(0, &mut bytes);
        bytes
    }

    fn word(&self, index: u64) -> u64 {
        mix(self.seed ^ mix(index))
    }
}

/// The finalizer of splitmix64 over a step of it.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_the_same_bytes() {
        let content = Content::new(7, 100);
        let whole = content.bytes();
        for start in 0..whole.len() {
            for end in start..=whole.len() {
                let mut part = vec![0; end - start];
                content.fill(start as u64, &mut part);
                assert_eq!(part, whole[start..end]);
                assert_eq!(content.first_mismatch(start as u64, &part), None);
            }
        }
    }

    #[test]
    fn one_wrong_byte_is_found_where_it_is() {
        let content = Content::new(7, 10_000);
        let mut bytes = content.bytes();
        for at in [0, 1, 4095, 4096, 9_999] {
            bytes[at] ^= 1;
            assert_eq!(content.first_mismatch(0, &bytes), Some(at as u64));
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn bytes_beyond_the_end_are_wrong() {
        let content = Content::new(7, 10);
        let longer = Content::new(7, 11).bytes();
        assert_eq!(content.first_mismatch(0, &longer), Some(10));
    }

    #[test]
    fn seeds_make_different_files() {
        assert_ne!(Content::new(1, 64).bytes(), Content::new(2, 64).bytes());
    }
}
