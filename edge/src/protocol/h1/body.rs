//! A body as it comes, piece by piece, whatever says where it ends.

use super::{
    chunked::{BodyEvent, Decoder, NotChunks},
    framing::Framing,
};
use crate::io::buffer::Buffer;

/// Reads a body out of a [`Buffer`].
#[derive(Debug)]
pub struct Reader(Rest);

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Nothing,
    /// At least one byte.
    Bytes(u64),
    Chunks(Decoder),
    ToTheEnd,
}

impl Reader {
    /// At the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => Rest::Nothing,
            Framing::Length(length) => Rest::Bytes(length),
            Framing::Chunked => Rest::Chunks(Decoder::default()),
            Framing::Close => Rest::ToTheEnd,
        })
    }

    /// What comes next in `buffer`. Framing is used up, data is not: [`taken`](Self::taken) does that.
    ///
    /// # Errors
    /// When it is not the chunked coding.
    pub fn next(&mut self, buffer: &mut Buffer) -> Result<BodyEvent, NotChunks> {
        let here = buffer.data().len();
        match &mut self.0 {
            Rest::Nothing => Ok(BodyEvent::End),
            Rest::Bytes(_) | Rest::ToTheEnd if here == 0 => Ok(BodyEvent::More),
            Rest::Bytes(left) => Ok(BodyEvent::Data(usize::try_from(*left).map_or(here, |left| here.min(left)))),
            Rest::ToTheEnd => Ok(BodyEvent::Data(here)),
            Rest::Chunks(decoder) => {
                let (framing, piece) = decoder.next(buffer.data())?;
                buffer.consume(framing);
                Ok(piece)
            }
        }
    }

    /// So many bytes of the data were used.
    pub fn taken(&mut self, buffer: &mut Buffer, count: usize) {
        buffer.consume(count);
        self.passed(count as u64);
    }

    /// So many bytes of data went by without having been in a buffer.
    pub fn passed(&mut self, count: u64) {
        match &mut self.0 {
            Rest::Nothing | Rest::ToTheEnd => {}
            Rest::Bytes(left) => match left.saturating_sub(count) {
                0 => self.0 = Rest::Nothing,
                less => *left = less,
            },
            Rest::Chunks(decoder) => decoder.taken(usize::try_from(count).unwrap_or(usize::MAX)),
        }
    }

    /// The other side has finished. Whether that is where the body ends.
    pub fn end_of_stream(&mut self) -> bool {
        if matches!(self.0, Rest::ToTheEnd) {
            self.0 = Rest::Nothing;
        }
        matches!(self.0, Rest::Nothing)
    }

    /// Bytes that are still to come, if that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match self.0 {
            Rest::Nothing => Some(0),
            Rest::Bytes(left) => Some(left),
            Rest::Chunks(_) | Rest::ToTheEnd => None,
        }
    }

    /// Whether there is nothing more to come, as far as that is known without looking further.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Rest::Nothing => true,
            Rest::Chunks(decoder) => decoder.is_done(),
            Rest::Bytes(_) | Rest::ToTheEnd => false,
        }
    }

    /// The lines behind the last chunk with the empty line that ends them; empty if there are none.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.0 {
            Rest::Chunks(decoder) => decoder.trailers(),
            Rest::Nothing | Rest::Bytes(_) | Rest::ToTheEnd => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all that is there by pieces of at most three bytes.
    fn read(framing: Framing, bytes: &[u8]) -> (String, BodyEvent, String) {
        let (mut reader, mut buffer) = (Reader::new(framing), Buffer::with(bytes));
        let mut data = Vec::new();
        loop {
            match reader.next(&mut buffer).unwrap() {
                BodyEvent::Data(count) => {
                    let count = count.min(3);
                    data.extend_from_slice(&buffer.data()[..count]);
                    reader.taken(&mut buffer, count);
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
    fn the_end_of_the_stream_is_the_end_of_the_body_only_where_nothing_else_is() {
        for (framing, whole) in
            [(Framing::Close, true), (Framing::None, true), (Framing::Length(1), false), (Framing::Chunked, false)]
        {
            assert_eq!(Reader::new(framing).end_of_stream(), whole, "{framing:?}");
        }
    }
}
