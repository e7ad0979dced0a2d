//! The part of WebSocket (RFC 6455) that an exchange of small text frames requires.

use super::clients::Request;

/// The server's side of the handshake, for the key that [`upgrade`] sends: the RFC's own example.
pub(crate) const ACCEPTANCE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
connection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The client's side of the handshake.
pub(crate) fn upgrade() -> Request {
    Request::http(
        "GET /websocket HTTP/1.1\r\nhost: www.example.com\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        0,
    )
}

/// A text frame of `size` bytes, at most 125, masked as clients must. The server's frame has no mask.
pub(crate) fn message(size: u8) -> Request {
    let size = size.min(125);
    let mut frame = vec![0x81, 0x80 | size];
    frame.extend_from_slice(&MASK);
    frame.extend((0..size).map(|at| b'm' ^ MASK[usize::from(at) % 4]));
    let response_length = frame.len() - MASK.len();
    Request::raw(frame, response_length as u64)
}

/// Appends the echo of the first complete frame of `bytes` to `out`. Returns the frame's length.
pub(crate) fn echo(bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let size = usize::from(head[1] & 0x7f);
    let (mask, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..size)?;
    out.extend_from_slice(&[head[0], head[1] & 0x7f]);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Some(6 + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_echoed_unmasked_once_it_is_complete() {
        let frame = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
        let mut out = Vec::new();
        assert_eq!(echo(&frame[..7], &mut out), None);
        assert_eq!(echo(&frame, &mut out), Some(8));
        assert_eq!(out, [0x81, 2, b'h', b'i']);
    }
}
