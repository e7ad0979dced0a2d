//! Frames of HTTP/2: their heads, and the header block that a HEADERS frame contains (RFC 9113 sections 4.1 and 6.2).

use std::ops::Range;

/// The length of a frame's head in bytes.
pub const HEAD: usize = 9;
/// The longest payload that the edge accepts, in bytes: it announces no other `SETTINGS_MAX_FRAME_SIZE`.
pub const MAX_PAYLOAD: usize = 16_384;

/// The types of frames that the edge tells apart (RFC 9113 section 6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of RFC 9113 section 6")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const CONTINUATION: u8 = 9;
}

/// The flags of frames that the edge looks at.
pub mod flag {
    #![allow(missing_docs, reason = "the names of RFC 9113 section 6")]
    /// Of SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The length of the payload in bytes.
    pub length: usize,
    /// The type; see [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream, or 0 for the connection.
    pub stream: u32,
}

impl FrameHead {
    /// Parses the head of a frame.
    #[must_use]
    pub fn parse(bytes: &[u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2),
            kind,
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Writes the head. A length above 24 bits is an error of the caller, and is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
    }
}

/// Where the payload of a HEADERS frame has its part of the header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The bytes of the payload without priority and padding.
    pub range: Range<usize>,
    /// The stream depends on itself, which is an error of the stream (RFC 7540 section 5.3.1).
    pub depends_on_itself: bool,
}

/// Finds the header block in the payload of a HEADERS frame. `None` if padding or priority do not fit, which is an
/// error of the connection.
#[must_use]
pub fn fragment(head: &FrameHead, payload: &[u8]) -> Option<Fragment> {
    let mut start = 0;
    let mut padding = 0;
    if head.has(flag::PADDED) {
        padding = usize::from(*payload.first()?);
        start = 1;
    }
    let mut depends_on_itself = false;
    if head.has(flag::PRIORITY) {
        let dependency: [u8; 4] = payload.get(start..start + 4)?.try_into().ok()?;
        payload.get(start + 4)?;
        depends_on_itself = u32::from_be_bytes(dependency) & 0x7fff_ffff == head.stream;
        start += 5;
    }
    let end = payload.len().checked_sub(padding).filter(|end| *end >= start)?;
    Some(Fragment { range: start..end, depends_on_itself })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(flags: u8) -> FrameHead {
        FrameHead { length: 0, kind: kind::HEADERS, flags, stream: 3 }
    }

    #[test]
    fn a_head_is_parsed_and_written() {
        let bytes = [0x01, 0x02, 0x03, 1, 5, 0x80, 0, 0, 7];
        let head = FrameHead::parse(&bytes);
        assert_eq!(head, FrameHead { length: 0x1_0203, kind: 1, flags: 5, stream: 7 });
        let mut out = Vec::new();
        head.write(&mut out);
        assert_eq!(out, [0x01, 0x02, 0x03, 1, 5, 0, 0, 0, 7], "the reserved bit is not sent");
    }

    #[test]
    fn the_block_is_found_between_priority_and_padding() {
        let both = flag::PADDED | flag::PRIORITY;
        for (flags, payload, expected) in [
            (0, &b"ab"[..], Some(0..2)),
            (0, b"", Some(0..0)),
            (flag::PADDED, b"\x01ab\0", Some(1..3)),
            (flag::PADDED, b"\x03ab\0", Some(1..1)),
            (flag::PADDED, b"\x04ab\0", None),
            (flag::PADDED, b"", None),
            (flag::PRIORITY, b"\0\0\0\x01\x10ab", Some(5..7)),
            (flag::PRIORITY, b"\0\0\0\x01", None),
            (both, b"\x01\0\0\0\x01\x10ab\0", Some(6..8)),
            (both, b"\x01\0\0\0\x01\x10", None),
        ] {
            assert_eq!(fragment(&headers(flags), payload).map(|found| found.range), expected, "{payload:?}");
        }
    }

    #[test]
    fn a_stream_that_depends_on_itself_is_recognized() {
        let found = |on: u8| fragment(&headers(flag::PRIORITY), &[0x80, 0, 0, on, 0]).unwrap().depends_on_itself;
        assert!(found(3) && !found(1));
    }
}
