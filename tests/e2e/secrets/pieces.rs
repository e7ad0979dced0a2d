//! Finds pieces of a secret in the output of a program.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// The letters and digits of a piece. A shorter one may be a coincidence.
const PIECE: usize = 8;

/// The bytes of a piece in hexadecimal, or in decimal, as `{:?}` prints a list of bytes.
const BYTES: usize = 6;

/// The pieces of a secret, in the forms in which a program may display it.
#[derive(Debug)]
pub(crate) struct Pieces(HashSet<String>);

impl Pieces {
    /// Cuts a secret, without the parts of its file that are not secret.
    pub(crate) fn of(secret: &str) -> Self {
        let reverse: String = secret.chars().rev().collect();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let base64 = BASE64_STANDARD_NO_PAD.encode(secret);
        let texts = [(secret.to_owned(), PIECE), (reverse, PIECE), (base64, PIECE), (hex, 2 * BYTES)];
        let mut pieces: HashSet<String> = texts.iter().flat_map(|(text, size)| windows(&normal(text), *size)).collect();
        let bytes = secret.as_bytes();
        let utf16: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
        for bytes in [bytes, &utf16] {
            let decimal = |bytes: &[u8]| bytes.iter().map(ToString::to_string).collect::<String>();
            pieces.extend(bytes.windows(BYTES).map(decimal));
        }
        Self(pieces)
    }

    /// Returns a piece that the output contains.
    pub(crate) fn find(&self, output: &str) -> Option<&str> {
        let output = normal(output);
        self.0.iter().map(String::as_str).find(|piece| output.contains(piece))
    }
}

/// Returns the letters and digits, in lower case: separators and escapes must not hide a piece.
fn normal(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn windows(text: &str, size: usize) -> Vec<String> {
    text.as_bytes().windows(size).map(|window| String::from_utf8_lossy(window).into_owned()).collect()
}

#[test]
fn pieces_are_found_in_every_form_and_not_in_other_text() {
    let secret = "Zq7wXk2vNp9sTb4m";
    let pieces = Pieces::of(secret);
    for leak in [
        "the key Zq7wXk2vNp is wrong",
        "ZQ7WXK2V",
        "m4bTs9pN",
        "[\"Zq7w\", \"Xk2v\"]",
        "[90, 113, 55, 119, 88, 107]",
        "[90, 0, 113, 0, 55, 0]",
        "5a713777586b3",
        "5A 71 37 77 58 6B",
        "WnE3d1hrMnZ",
    ] {
        assert!(pieces.find(leak).is_some(), "{leak}");
    }
    for other in ["", "the key is wrong", "Zq7w Nope", "[90, 113, 55]", "2026-11-30T14:50:00.123456Z"] {
        assert_eq!(pieces.find(other), None, "{other}");
    }
}
