//! What the inspector tells the edge about a stream: a field that it adds to the stream's header block.
//!
//! A table of streams would need entries removed that nobody asks for, because h2 refuses or resets some streams
//! without a word. A message that travels with the block needs none. Its value begins with a random token that exists
//! only in the memory of the connection, so no client can forge it.

use http::{HeaderMap, HeaderName};

use super::fault::Fault;

/// The name of the field.
const NAME: HeaderName = HeaderName::from_static("edge-inspection");
/// The code of a path, which follows it.
const PATH: u8 = b'p';
/// The code of the first of [`Fault::ALL`].
const FIRST_FAULT: u8 = b'A';

/// What the edge does with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It refuses the request, or the body that ends with these trailers.
    Refuse(Fault),
    /// It uses this path. h2 knows another one.
    Path(String),
}

/// The secret of one connection.
#[derive(Clone, Debug)]
pub struct Token([u8; 32]);

impl Token {
    /// Makes a token of random numbers.
    #[must_use]
    pub fn new(random: [u64; 2]) -> Self {
        let mut token = [0; 32];
        let nibbles = random.iter().flat_map(|number| number.to_be_bytes()).flat_map(|byte| [byte >> 4, byte & 0xf]);
        for (place, nibble) in token.iter_mut().zip(nibbles) {
            *place = b'a' + nibble;
        }
        Self(token)
    }

    /// Returns the mark that the fields contain, and removes it.
    pub fn take(&self, fields: &mut HeaderMap) -> Option<Mark> {
        let marked = fields.get_all(NAME).iter().find_map(|value| value.as_bytes().strip_prefix(&self.0));
        let mark = parse(marked?)?;
        fields.remove(NAME);
        Some(mark)
    }

    /// The name and value of the field that says what is wrong.
    #[must_use]
    pub(super) fn refuse(&self, fault: Fault) -> (&'static [u8], Vec<u8>) {
        self.field(FIRST_FAULT + fault as u8, &[])
    }

    /// The name and value of the field that says which path was requested.
    #[must_use]
    pub(super) fn path(&self, path: &[u8]) -> (&'static [u8], Vec<u8>) {
        self.field(PATH, path)
    }

    fn field(&self, code: u8, rest: &[u8]) -> (&'static [u8], Vec<u8>) {
        (b"edge-inspection", [&self.0[..], &[code], rest].concat())
    }
}

fn parse(bytes: &[u8]) -> Option<Mark> {
    let (code, rest) = bytes.split_first()?;
    if *code == PATH {
        return String::from_utf8(rest.to_vec()).ok().map(Mark::Path);
    }
    let fault = Fault::ALL.get(usize::from(code.checked_sub(FIRST_FAULT)?))?;
    Some(Mark::Refuse(*fault))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fields(value: &[u8]) -> HeaderMap {
        [(NAME, HeaderValue::from_bytes(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn a_mark_says_what_is_wrong() {
        let token = Token::new([1, u64::MAX]);
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index, "{fault}");
            let mut fields = fields(&token.refuse(fault).1);
            assert_eq!(token.take(&mut fields), Some(Mark::Refuse(fault)), "{fault}");
            assert!(fields.is_empty());
        }
        let path = "/\"<>`{}\u{e9}";
        assert_eq!(token.take(&mut fields(&token.path(path.as_bytes()).1)), Some(Mark::Path(path.to_owned())));
    }

    #[test]
    fn a_client_cannot_forge_a_mark() {
        let token = Token::new([1, 2]);
        let forged = Token::new([1, 3]).path(b"/x").1;
        for value in [&forged[..], b"", b"p/x", b"aaaa"] {
            let mut fields = fields(value);
            assert_eq!(token.take(&mut fields), None);
            assert_eq!(fields.len(), 1, "it is a field like any other");
        }
        let mut both = fields(&forged);
        both.append(NAME, HeaderValue::from_bytes(&token.refuse(Fault::Value).1).unwrap());
        assert_eq!(token.take(&mut both), Some(Mark::Refuse(Fault::Value)));
    }
}
