//! Mutations, the same at every run.

/// Bytes that decoders treat specially.
const TELLING: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b".",
    b"-",
    b"+",
    b"=",
    b"/",
    b":",
    b",",
    b";",
    b"%",
    b"%00",
    b"%2f",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e999",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"\xe2\x80\x94 ",
    b"\xf0\x9f\x99\x82",
    b"\xc0\x80",
    b"*",
    b"?",
    b"${",
    b"${aws:username}",
    b"bytes=",
    b"--xYzZY",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
];
/// The longest input that is made.
const BYTES_MAX: usize = 64 * 1024;

/// Draws inputs.
pub(super) struct Mutator(u64);

impl Mutator {
    /// The sequence that belongs to a name.
    pub(super) fn new(name: &str) -> Self {
        let bytes = blake3::hash(name.as_bytes());
        Self(bytes.as_bytes().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, or 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let drawn = usize::try_from(self.draw() >> 1).unwrap_or(usize::MAX);
        drawn.checked_rem(bound).unwrap_or(0)
    }

    /// One of the seeds, changed once to eight times.
    pub(super) fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let at = self.below(seeds.len());
        let mut bytes = seeds.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let (a, b) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        let drawn = self.draw();
        match drawn % 8 {
            0 | 1 => {
                let [byte, bit, ..] = (drawn >> 8).to_le_bytes();
                if let Some(victim) = bytes.get_mut(a) {
                    *victim = if drawn % 8 == 0 { *victim ^ (1 << (bit % 8)) } else { byte };
                }
            }
            2 => drop(bytes.drain(from..to.min(from + 16))),
            3 => bytes.truncate(a),
            4 | 5 => {
                let at = self.below(TELLING.len());
                let telling = TELLING.get(at).copied().unwrap_or_default();
                let end = if drawn % 8 == 4 { a } else { (a + telling.len()).min(bytes.len()) };
                bytes.splice(a..end, telling.iter().copied());
            }
            6 => {
                let piece: Vec<u8> = bytes.get(from..to).unwrap_or_default().to_vec();
                let times = 1 + self.below(if piece.len() > 64 { 2 } else { 200 });
                bytes.splice(to..to, piece.repeat(times));
            }
            _ => {
                let at = self.below(seeds.len());
                let other = seeds.get(at).map(Vec::as_slice).unwrap_or_default();
                let start = self.below(other.len() + 1);
                bytes.truncate(a);
                bytes.extend_from_slice(other.get(start..).unwrap_or_default());
            }
        }
        bytes.truncate(BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn inputs_differ_from_each_other_and_are_the_same_at_every_run() {
        let seeds = [b"first".to_vec(), b"second".to_vec()];
        let draw = |name| {
            let mut mutator = Mutator::new(name);
            (0..1000).map(|_| mutator.next(&seeds)).collect::<Vec<_>>()
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        assert!(draw("a").iter().collect::<BTreeSet<_>>().len() > 500);
    }
}
