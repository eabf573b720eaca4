//! XML that no S3 client sends: document types and CDATA sections.
//!
//! The protocol crate skips both. A document type does no harm then (its entities are unknown, so they are refused), but a key
//! that stands partly in a CDATA section would be read without that part, and another object than the one named be deleted.

/// Looks for `<!` that begins no comment, in a document that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Markup {
    seen: Seen,
}

/// Where in `<!--` the last byte was.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Seen {
    #[default]
    Nothing,
    /// `<`
    Bracket,
    /// `<!`
    Mark,
    /// `<!-`
    Dash,
    /// Something else after `<!`: it stays so.
    Declaration,
}

impl Markup {
    /// Takes the next piece; whether there was a declaration so far.
    pub(super) fn update(&mut self, piece: &[u8]) -> bool {
        for byte in piece {
            self.seen = match (self.seen, byte) {
                (Seen::Declaration, _) => break,
                (Seen::Bracket, b'!') => Seen::Mark,
                (Seen::Mark, b'-') => Seen::Dash,
                (Seen::Dash, b'-') => Seen::Nothing,
                (Seen::Mark | Seen::Dash, _) => Seen::Declaration,
                (_, b'<') => Seen::Bracket,
                _ => Seen::Nothing,
            };
        }
        self.seen == Seen::Declaration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_wherever_the_pieces_are_cut() {
        for (text, found) in [
            ("<Delete><Key>a&lt;!b</Key></Delete>", false),
            ("<?xml version='1.0'?><!-- a - b --><Delete/>", false),
            ("<<!-- odd -->", false),
            ("<!DOCTYPE Delete>", true),
            ("<Key>a<![CDATA[b]]></Key>", true),
            ("<!->", true),
            ("<!- -", true),
        ] {
            for cut in 0..=text.len() {
                let (first, rest) = text.as_bytes().split_at(cut);
                let mut markup = Markup::default();
                let early = markup.update(first);
                assert_eq!(markup.update(rest), found, "{text} cut at {cut}");
                assert!(found || !early);
            }
        }
    }
}
