//! Reads a body event by event, whatever its framing.

use super::{
    chunked::{BodyEvent, Decoder, InvalidChunk},
    framing::Framing,
};
use crate::io::buffer::Buffer;

/// Reads a body out of a [`Buffer`].
#[derive(Debug)]
pub struct Reader(Remaining);

/// What is still to come of a body.
#[derive(Debug)]
enum Remaining {
    Nothing,
    /// At least one byte.
    Bytes(u64),
    Chunks(Decoder),
    UntilClose,
}

impl Reader {
    /// Creates a reader at the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => Remaining::Nothing,
            Framing::Length(length) => Remaining::Bytes(length),
            Framing::Chunked => Remaining::Chunks(Decoder::default()),
            Framing::Close => Remaining::UntilClose,
        })
    }

    /// Returns the next event in `buffer`. Consumes framing, but not data, which [`consume`](Self::consume) does.
    ///
    /// # Errors
    /// The chunked coding is malformed.
    pub fn next(&mut self, buffer: &mut Buffer) -> Result<BodyEvent, InvalidChunk> {
        let available = buffer.data().len();
        match &mut self.0 {
            Remaining::Nothing => Ok(BodyEvent::End),
            Remaining::Bytes(_) | Remaining::UntilClose if available == 0 => Ok(BodyEvent::More),
            Remaining::Bytes(left) => {
                Ok(BodyEvent::Data(usize::try_from(*left).map_or(available, |left| available.min(left))))
            }
            Remaining::UntilClose => Ok(BodyEvent::Data(available)),
            Remaining::Chunks(decoder) => {
                let (framing, event) = decoder.next(buffer.data())?;
                buffer.consume(framing);
                Ok(event)
            }
        }
    }

    /// Consumes `count` bytes of the data.
    pub fn consume(&mut self, buffer: &mut Buffer, count: usize) {
        buffer.consume(count);
        self.skip(count as u64);
    }

    /// Skips `count` bytes of data that went through a pipe instead of a buffer.
    pub fn skip(&mut self, count: u64) {
        match &mut self.0 {
            Remaining::Nothing | Remaining::UntilClose => {}
            Remaining::Bytes(left) => match left.saturating_sub(count) {
                0 => self.0 = Remaining::Nothing,
                less => *left = less,
            },
            Remaining::Chunks(decoder) => decoder.consume(usize::try_from(count).unwrap_or(usize::MAX)),
        }
    }

    /// Handles the end of the stream. Returns whether the body is complete.
    pub fn end_of_stream(&mut self) -> bool {
        if matches!(self.0, Remaining::UntilClose) {
            self.0 = Remaining::Nothing;
        }
        matches!(self.0, Remaining::Nothing)
    }

    /// The number of bytes still to come, if known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.0 {
            Remaining::Nothing => Some(0),
            Remaining::Bytes(left) => Some(left),
            Remaining::Chunks(_) | Remaining::UntilClose => None,
        }
    }

    /// Whether the body is complete, as far as the bytes read so far show.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Remaining::Nothing => true,
            Remaining::Chunks(decoder) => decoder.is_done(),
            Remaining::Bytes(_) | Remaining::UntilClose => false,
        }
    }

    /// The lines of the trailer section and the empty line that ends them; empty without trailers.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.0 {
            Remaining::Chunks(decoder) => decoder.trailers(),
            Remaining::Nothing | Remaining::Bytes(_) | Remaining::UntilClose => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the body in steps of at most three bytes.
    fn read(framing: Framing, bytes: &[u8]) -> (String, BodyEvent, String) {
        let (mut reader, mut buffer) = (Reader::new(framing), Buffer::with(bytes));
        let mut data = Vec::new();
        loop {
            match reader.next(&mut buffer).unwrap() {
                BodyEvent::Data(count) => {
                    let count = count.min(3);
                    data.extend_from_slice(&buffer.data()[..count]);
                    reader.consume(&mut buffer, count);
                }
                end => {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    return (text(&data), end, text(buffer.data()));
                }
            }
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        for (framing, bytes, data, end, rest) in [
            (Framing::None, "next", "", BodyEvent::End, "next"),
            (Framing::Length(5), "12345next", "12345", BodyEvent::End, "next"),
            (Framing::Length(5), "1234", "1234", BodyEvent::More, ""),
            (Framing::Chunked, "5\r\n12345\r\n0\r\n\r\nnext", "12345", BodyEvent::End, "next"),
            (Framing::Close, "12345", "12345", BodyEvent::More, ""),
        ] {
            assert_eq!(read(framing, bytes.as_bytes()), (data.into(), end, rest.into()), "{framing:?} {bytes}");
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_a_body_only_without_other_framing() {
        for (framing, whole) in
            [(Framing::Close, true), (Framing::None, true), (Framing::Length(1), false), (Framing::Chunked, false)]
        {
            assert_eq!(Reader::new(framing).end_of_stream(), whole, "{framing:?}");
        }
    }
}
