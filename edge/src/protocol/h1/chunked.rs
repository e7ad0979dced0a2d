//! The chunked coding (RFC 9112 section 7.1).
//!
//! Chunks are not passed on. The data is decoded and encoded again, so no extension, no unusual size and no line end of
//! the sender reaches the other side.

/// The most bytes of extensions in one body: no common client uses them, and skipping them costs time.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// The most bytes of trailers in one body.
const MAX_TRAILERS: usize = 16 * 1024;
/// The most hexadecimal digits of a chunk size, leading zeros included.
const MAX_DIGITS: u8 = 16;

/// What comes next in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEvent {
    /// This number of input bytes is data. Report with [`Decoder::consume`] how many of them were used.
    Data(usize),
    /// The input is exhausted.
    More,
    /// The body is complete. Its trailers, if any, are in [`Decoder::trailers`].
    End,
}

/// The chunked coding is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidChunk;

/// Decodes a chunked body.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// The bytes left of the current chunk, or the part of its size that was read.
    left: u64,
    digits: u8,
    extensions: usize,
    /// The lines of the trailer section and the empty line that ends them.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// Blanks after the size; only an extension may follow.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a line of the trailer section.
    TrailerStart,
    Trailer,
    /// After the CR of the last, empty line.
    LastLf,
    End,
}

impl Decoder {
    /// Reads `input`. Returns the number of framing bytes at its start, and what follows them.
    ///
    /// # Errors
    /// The input deviates from the RFC in any way: a bare LF is not a line end here.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, BodyEvent), InvalidChunk> {
        let mut at = 0;
        loop {
            if self.state == State::End {
                return Ok((at, BodyEvent::End));
            }
            let Some(&byte) = input.get(at) else { return Ok((at, BodyEvent::More)) };
            if self.state == State::Data {
                let rest = u64::try_from(input.len() - at).unwrap_or(u64::MAX);
                return Ok((at, BodyEvent::Data(usize::try_from(self.left.min(rest)).unwrap_or(usize::MAX))));
            }
            self.step(byte)?;
            at += 1;
        }
    }

    /// Notes that `bytes` bytes of the data were consumed.
    pub fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
        if self.left == 0 && self.state == State::Data {
            self.state = State::DataCr;
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// The lines of the trailer section and the empty line that ends them; empty without trailers.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn step(&mut self, byte: u8) -> Result<(), InvalidChunk> {
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > MAX_DIGITS {
                    return Err(InvalidChunk);
                }
                let digit = (byte as char).to_digit(16).ok_or(InvalidChunk)?;
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, _) if self.digits == 0 => return Err(InvalidChunk),
            (State::Size | State::Blank, b' ' | b'\t') => self.extension(State::Blank)?,
            (State::Size | State::Blank, b';') => self.extension(State::Extension)?,
            (State::Size | State::Extension, b'\r') => State::SizeLf,
            // Some recipients take these for a line end, so they must not hide a line.
            (State::Extension, b'\n' | 0) => return Err(InvalidChunk),
            (State::Extension, _) => self.extension(State::Extension)?,
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart, b'\n') => return Err(InvalidChunk),
            (State::TrailerStart | State::Trailer, _) => {
                let bare = byte == b'\n' && self.trailers.last() != Some(&b'\r');
                if bare || self.trailers.len() >= MAX_TRAILERS {
                    return Err(InvalidChunk);
                }
                self.trailers.push(byte);
                if byte == b'\n' { State::TrailerStart } else { State::Trailer }
            }
            (State::LastLf, b'\n') => {
                if !self.trailers.is_empty() {
                    self.trailers.extend_from_slice(b"\r\n");
                }
                State::End
            }
            _ => return Err(InvalidChunk),
        };
        Ok(())
    }

    fn extension(&mut self, next: State) -> Result<State, InvalidChunk> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(InvalidChunk) } else { Ok(next) }
    }
}

/// Returns the line that precedes a chunk of `length` bytes.
#[must_use]
pub fn size_line(length: usize) -> SizeLine {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = SizeLine { bytes: [0; 18], start: 16 };
    line.bytes[16..].copy_from_slice(b"\r\n");
    let mut left = length;
    loop {
        line.start -= 1;
        line.bytes[line.start] = DIGITS[left & 15];
        left >>= 4;
        if left == 0 {
            return line;
        }
    }
}

/// See [`size_line`].
#[derive(Clone, Copy, Debug)]
pub struct SizeLine {
    bytes: [u8; 18],
    start: usize,
}

impl SizeLine {
    /// The line, including its CRLF.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data, trailers, and the number of bytes after the end.
    type Decoded = (Vec<u8>, Vec<u8>, usize);

    /// Decodes a body that arrives in parts cut at `cuts`.
    fn decode(body: &[u8], cuts: &[usize]) -> Result<Option<Decoded>, InvalidChunk> {
        let mut decoder = Decoder::default();
        let mut data = Vec::new();
        let (mut at, mut seen) = (0, 0);
        for end in cuts.iter().map(|cut| cut % (body.len() + 1)).chain([body.len()]) {
            seen = seen.max(end);
            loop {
                let (framing, event) = decoder.next(&body[at..seen])?;
                at += framing;
                match event {
                    BodyEvent::Data(count) => {
                        // Half at a time, as if the other side accepts less.
                        let count = count.div_ceil(2);
                        data.extend_from_slice(&body[at..at + count]);
                        decoder.consume(count);
                        at += count;
                    }
                    BodyEvent::More => break,
                    BodyEvent::End => return Ok(Some((data, decoder.trailers().to_vec(), body.len() - at))),
                }
            }
        }
        Ok(None)
    }

    fn whole(body: &str) -> Result<Option<(String, String)>, InvalidChunk> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok(decode(body.as_bytes(), &[])?.map(|(data, trailers, _)| (text(data), text(trailers))))
    }

    #[test]
    fn chunks_become_their_data_and_trailers_are_kept() {
        let some = |data: &str, trailers: &str| Ok(Some((data.to_owned(), trailers.to_owned())));
        for (body, expected) in [
            ("0\r\n\r\n", some("", "")),
            ("3\r\nabc\r\n0\r\n\r\n", some("abc", "")),
            ("3\r\nabc\r\n00b\r\n0123456789a\r\n0\r\n\r\n", some("abc0123456789a", "")),
            ("3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n", some("abc", "")),
            ("3 ;a\r\nabc\r\n0\r\n\r\n", some("abc", "")),
            ("0\r\nX: y\r\nZ: 1\r\n\r\n", some("", "X: y\r\nZ: 1\r\n\r\n")),
            ("3\r\nabc\r\n0\r\n\r", Ok(None)),
            ("3\r\nab", Ok(None)),
        ] {
            assert_eq!(whole(body), expected, "{body:?}");
        }
    }

    #[test]
    fn any_deviation_from_the_coding_is_rejected() {
        for body in [
            "x\r\n",
            "\r\n",
            ";a\r\n",
            " 3\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x2\r\n",
            "3\nabc",
            "3\r\nabcd",
            "3\r\nabc\n",
            "3\r\nabc\rx",
            "3 \r\n",
            "3 a\r\n",
            "3;a\nb\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "3\rx",
            "00000000000000001\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(whole(body), Err(InvalidChunk), "{body:?}");
        }
        let long = "x".repeat(20_000);
        assert_eq!(whole(&format!("3;{long}\r\n")), Err(InvalidChunk));
        assert_eq!(whole(&format!("0\r\n{long}: 1\r\n\r\n")), Err(InvalidChunk));
        let many = "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n".repeat(600);
        assert_eq!(whole(&many), Err(InvalidChunk), "extensions count over the whole body");
    }

    proptest! {
        #[test]
        fn cuts_between_reads_change_nothing(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
            mut cuts in proptest::collection::vec(any::<usize>(), 0..8),
            behind in proptest::collection::vec(any::<u8>(), 0..10),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(size_line(chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            body.extend_from_slice(&behind);
            cuts.sort_unstable();
            prop_assert_eq!(decode(&body, &cuts), Ok(Some((chunks.concat(), Vec::new(), behind.len()))));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
            let _outcome = decode(&bytes, &[cut]);
        }

        #[test]
        fn a_size_is_written_as_it_is_read(length in any::<usize>()) {
            let (line, expected) = (size_line(length), format!("{length:x}\r\n"));
            prop_assert_eq!(line.as_bytes(), expected.as_bytes());
        }
    }
}
