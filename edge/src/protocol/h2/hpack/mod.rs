//! HPACK, the compression of HTTP/2's header fields (RFC 7541): the decoder, and literals without compression.

mod decoder;
mod huffman;
mod table;

pub use self::decoder::{Decoder, Error};

/// Writes a field as a literal that enters no table (RFC 7541 section 6.2.2).
pub fn write_literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    write_string(out, name);
    write_string(out, value);
}

/// Writes a string without the Huffman code (RFC 7541 section 5.2).
fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    write_integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// Writes an integer in the lower `prefix` bits of a byte that begins with `pattern` (RFC 7541 section 5.1).
fn write_integer(out: &mut Vec<u8>, pattern: u8, prefix: u8, value: usize) {
    let max = (1 << prefix) - 1;
    let byte = |value: usize| u8::try_from(value & 0xff).unwrap_or_default();
    if value < max {
        return out.push(pattern | byte(value));
    }
    out.push(pattern | byte(max));
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(byte(rest));
}

/// An encoder for tests, which does what each test asks for and checks nothing.
#[cfg(test)]
pub(super) mod encode {
    use super::{huffman, write_integer, write_string};

    /// How a literal is represented.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Indexing {
        Incremental,
        Without,
        Never,
    }

    /// A field of the tables.
    pub(crate) fn indexed(out: &mut Vec<u8>, index: usize) {
        write_integer(out, 0x80, 7, index);
    }

    /// A literal whose name is in the tables, or that has a name of its own.
    pub(crate) fn literal(out: &mut Vec<u8>, indexing: Indexing, name: Result<usize, &[u8]>, value: &[u8], code: bool) {
        let (pattern, prefix) = match indexing {
            Indexing::Incremental => (0x40, 6),
            Indexing::Without => (0, 4),
            Indexing::Never => (0x10, 4),
        };
        write_integer(out, pattern, prefix, name.unwrap_or(0));
        if let Err(name) = name {
            string(out, name, code);
        }
        string(out, value, code);
    }

    /// A new size of the dynamic table.
    pub(crate) fn size(out: &mut Vec<u8>, size: usize) {
        write_integer(out, 0x20, 5, size);
    }

    fn string(out: &mut Vec<u8>, text: &[u8], code: bool) {
        if code {
            let coded = huffman::encode(text);
            write_integer(out, 0x80, 7, coded.len());
            out.extend_from_slice(&coded);
        } else {
            write_string(out, text);
        }
    }
}
