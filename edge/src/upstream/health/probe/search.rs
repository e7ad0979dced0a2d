//! Searches a body for a text while it arrives.
//!
//! Pure: pieces of the body go in. It keeps no more of the body than the text is long.

use memchr::memmem;

/// The number of bytes of a body that are searched. A longer one is no health page.
pub(in crate::upstream) const MAX_BODY: usize = 64 * 1024;

/// The search for one text.
#[derive(Debug)]
pub(in crate::upstream) struct Search<'a> {
    text: &'a [u8],
    /// The last bytes, in which the text may begin.
    tail: Vec<u8>,
    read: usize,
    found: bool,
}

impl<'a> Search<'a> {
    /// Begins a search. An empty text is found at once.
    pub(in crate::upstream) fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), tail: Vec::new(), read: 0, found: text.is_empty() }
    }

    /// Searches the next piece of the body, but nothing beyond the first [`MAX_BODY`] bytes.
    pub(in crate::upstream) fn feed(&mut self, piece: &[u8]) {
        let piece = piece.get(..MAX_BODY - self.read).unwrap_or(piece);
        self.read += piece.len();
        if self.found {
            return;
        }
        self.tail.extend_from_slice(piece);
        self.found = memmem::find(&self.tail, self.text).is_some();
        let keep = self.text.len().saturating_sub(1);
        self.tail.drain(..self.tail.len().saturating_sub(keep));
    }

    /// Whether the text is in what was searched.
    pub(in crate::upstream) fn is_found(&self) -> bool {
        self.found
    }

    /// The number of bytes that were searched.
    pub(in crate::upstream) fn read(&self) -> usize {
        self.read
    }

    /// Whether more of the body changes nothing.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.found || self.read == MAX_BODY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_beyond_the_limit_is_searched() {
        for (before, expected) in
            [(MAX_BODY - 2, true), (MAX_BODY - 1, false), (MAX_BODY, false), (MAX_BODY + 9, false)]
        {
            let body = ["x".repeat(before).as_bytes(), b"ok"].concat();
            for size in [1000, MAX_BODY * 2] {
                let mut search = Search::new("ok");
                body.chunks(size).for_each(|piece| search.feed(piece));
                assert_eq!(search.is_found(), expected, "{before} in pieces of {size}");
                assert!(search.is_over() && search.read() <= MAX_BODY);
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_is_found_however_the_body_is_cut(
            text in "[ab]{1,4}", pieces in prop::collection::vec("[ab]{0,5}", 0..8),
        ) {
            let mut search = Search::new(&text);
            pieces.iter().for_each(|piece| search.feed(piece.as_bytes()));
            prop_assert_eq!(search.is_found(), pieces.concat().contains(&text));
            prop_assert!(search.tail.len() < text.len());
        }
    }
}
