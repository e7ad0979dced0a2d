//! Decodes header blocks (RFC 7541 section 3).

use std::ops::ControlFlow;

use super::{
    huffman,
    table::{MAX_SIZE, Table},
};

/// The longest integer that is accepted, in bytes. As much as h2 accepts, and enough for 28 bits.
const MAX_INTEGER: usize = 5;
/// How much memory for strings a connection keeps between two blocks, in bytes. Most fields need less.
const KEPT: usize = 512;

/// The block cannot be decoded, and neither can those after it: the connection has to end (RFC 9113 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error;

/// The state of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The name and the value of a literal.
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::new(), scratch: Vec::new() }
    }
}

impl Decoder {
    /// Decodes a whole block and passes its fields to `each`, until that breaks. Then the decoder is of no further use,
    /// because it has not seen the rest of the block.
    ///
    /// # Errors
    /// If the block is malformed.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut input = Input(block);
        let mut may_resize = true;
        let mut flow = ControlFlow::Continue(());
        while let Some(first) = input.0.first()
            && flow.is_continue()
        {
            match first.leading_zeros() {
                // An indexed field.
                0 => {
                    let (name, value) = self.table.get(input.integer(7)?).ok_or(Error)?;
                    flow = each(name, value);
                }
                // A literal that enters the table.
                1 => flow = self.literal(&mut input, 6, true, &mut each)?,
                // A new size of the table, which must precede the fields (RFC 7541 section 4.2).
                2 => {
                    let size = input.integer(5)?;
                    if !may_resize || size > MAX_SIZE {
                        return Err(Error);
                    }
                    self.table.resize(size);
                    continue;
                }
                // Other literals.
                _ => flow = self.literal(&mut input, 4, false, &mut each)?,
            }
            may_resize = false;
        }
        if self.scratch.capacity() > KEPT {
            self.scratch = Vec::new();
        }
        Ok(flow)
    }

    fn literal(
        &mut self,
        input: &mut Input<'_>,
        prefix: u8,
        insert: bool,
        each: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        self.scratch.clear();
        match input.integer(prefix)? {
            0 => input.string(&mut self.scratch)?,
            index => self.scratch.extend_from_slice(self.table.get(index).ok_or(Error)?.0),
        }
        let end = self.scratch.len();
        input.string(&mut self.scratch)?;
        let (name, value) = self.scratch.split_at(end);
        let flow = each(name, value);
        if insert {
            self.table.insert(name, value);
        }
        Ok(flow)
    }
}

/// The rest of a block.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or(Error)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Reads an integer (RFC 7541 section 5.1).
    fn integer(&mut self, prefix: u8) -> Result<usize, Error> {
        let max = u8::MAX >> (8 - prefix);
        let first = self.byte()? & max;
        let mut value = usize::from(first);
        if first < max {
            return Ok(value);
        }
        for at in 0..MAX_INTEGER - 1 {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error)
    }

    /// Reads a string (RFC 7541 section 5.2) and appends it to `out`.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let is_coded = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Error)?;
        self.0 = rest;
        if is_coded {
            huffman::decode(text, out).map_err(|_| Error)
        } else {
            out.extend_from_slice(text);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::encode::{Indexing, indexed, literal, size},
        *,
    };

    type Fields = Vec<(String, String)>;

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let flow = decoder.decode(block, |name, value| {
            fields.push((text(name), text(value)));
            ControlFlow::Continue(())
        })?;
        assert!(flow.is_continue());
        Ok(fields)
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// RFC 7541 appendices C.3 and C.4: three requests on one connection, as text and in the Huffman code.
    #[test]
    fn the_examples_of_the_specification_are_decoded() {
        let plain = [
            &b"\x82\x86\x84\x41\x0fwww.example.com"[..],
            b"\x82\x86\x84\xbe\x58\x08no-cache",
            b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        ];
        let coded = [
            &b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..],
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            for (block, scheme, path, more, kept) in [
                (blocks[0], "http", "/", &[][..], 57),
                (blocks[1], "http", "/", &[("cache-control", "no-cache")], 110),
                (blocks[2], "https", "/index.html", &[("custom-key", "custom-value")], 164),
            ] {
                let begin =
                    [(":method", "GET"), (":scheme", scheme), (":path", path), (":authority", "www.example.com")];
                assert_eq!(decode(&mut decoder, block), Ok(fields(&[&begin, more].concat())));
                assert_eq!(decoder.table.size(), kept);
            }
        }
    }

    #[test]
    fn every_representation_is_decoded() {
        let mut decoder = Decoder::default();
        for code in [false, true] {
            let mut block = Vec::new();
            literal(&mut block, Indexing::Incremental, Err(b"x-a"), b"1", code);
            literal(&mut block, Indexing::Without, Ok(62), b"2", code);
            literal(&mut block, Indexing::Never, Ok(58), b"curl", code);
            literal(&mut block, Indexing::Never, Err(b"\xff\0"), b"\x01", code);
            indexed(&mut block, 62);
            let found = decode(&mut decoder, &block).unwrap();
            let odd = ("\u{fffd}\0", "\u{1}");
            assert_eq!(found, fields(&[("x-a", "1"), ("x-a", "2"), ("user-agent", "curl"), odd, ("x-a", "1")]));
        }
    }

    #[test]
    fn the_size_of_the_table_may_change_before_the_fields_only() {
        let mut decoder = Decoder::default();
        let mut block = Vec::new();
        size(&mut block, 0);
        size(&mut block, MAX_SIZE);
        literal(&mut block, Indexing::Incremental, Err(b"x-a"), b"1", false);
        assert!(decode(&mut decoder, &block).is_ok());
        let mut late = b"\x82".to_vec();
        size(&mut late, 0);
        assert_eq!(decode(&mut decoder, &late), Err(Error));
        let mut large = Vec::new();
        size(&mut large, MAX_SIZE + 1);
        assert_eq!(decode(&mut decoder, &large), Err(Error));
    }

    #[test]
    fn malformed_blocks_are_rejected() {
        for block in [
            // Index 0, and one that is not in the tables.
            &b"\x80"[..],
            b"\xbe",
            b"\x7f\x00\x00",
            // Integers that do not end, or are too long.
            b"\xff",
            b"\xff\xff\xff\xff\xff\x00",
            b"\xff\x80\x80\x80\x80\x00",
            // Strings that end early.
            b"\x00",
            b"\x00\x01",
            b"\x00\x01a",
            b"\x00\x01a\x02b",
            // Wrong padding of the Huffman code.
            b"\x00\x01a\x81\xff\xff",
            b"\x00\x01a\x81\x18",
        ] {
            assert_eq!(decode(&mut Decoder::default(), block), Err(Error), "{block:x?}");
        }
    }

    #[test]
    fn a_name_may_be_of_the_field_that_leaves_for_it() {
        let mut decoder = Decoder::default();
        let mut block = Vec::new();
        literal(&mut block, Indexing::Incremental, Err(b"x-old"), &[b'1'; 4000], false);
        literal(&mut block, Indexing::Incremental, Ok(62), &[b'2'; 4000], false);
        indexed(&mut block, 62);
        let found = decode(&mut decoder, &block).unwrap();
        assert_eq!((found[2].0.as_str(), found[2].1.as_str()), ("x-old", "2".repeat(4000).as_str()));
        assert!(decoder.scratch.capacity() <= KEPT, "an idle connection keeps little");
    }

    #[test]
    fn decoding_ends_when_the_caller_has_seen_enough() {
        let mut count = 0;
        let flow = Decoder::default().decode(&[0x82; 100], |_, _| {
            count += 1;
            if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((flow, count), (Ok(ControlFlow::Break(())), 3));
    }
}
