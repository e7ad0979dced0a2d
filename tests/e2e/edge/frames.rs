//! An HTTP/2 client that writes its frames itself, for requests that no library sends.

use std::net::SocketAddr;

use tests::wait::{SOON, deadline};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const CONTINUATION: u8 = 9;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// How a stream or the connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A complete response with this status and body.
    Response(u16, String),
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// `GOAWAY` with this code.
    GoAway(u32),
    Closed,
}

/// A connection.
pub(super) struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects with prior knowledge.
    pub(super) async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("an accepted connection");
        stream.set_nodelay(true).expect("a socket option");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("a connection");
        let mut frames = Self { stream };
        frames.send(&frame(SETTINGS, 0, 0, b"")).await;
        frames
    }

    /// Sends bytes. The server may have closed.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        deadline("the write", SOON, self.stream.write_all(bytes)).await.unwrap_or(());
    }

    /// Sends a request with this path and these further fields, and its end.
    pub(super) async fn request(&mut self, stream: u32, path: &[u8], fields: &[(&[u8], &[u8])]) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(path, fields))).await;
    }

    /// Reads until this stream or the connection ends. Forgets what other streams get meanwhile.
    pub(super) async fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Some((kind, flags, on, payload)) = deadline("a frame", SOON, self.read()).await else {
                return Outcome::Closed;
            };
            let code =
                |at: usize| payload.get(at..at + 4).map_or(0, |code| u32::from_be_bytes(code.try_into().unwrap()));
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, b"")).await,
                GOAWAY if code(4) != 0 => return Outcome::GoAway(code(4)),
                _ if on != stream => {}
                RST_STREAM => return Outcome::Reset(code(0)),
                // The edge encodes these as indices of the static table.
                HEADERS if status == 0 => {
                    status = match payload.first() {
                        Some(0x88) => 200,
                        Some(0x8c) => 400,
                        Some(0x8d) => 404,
                        other => panic!("{other:x?} is not a status that this client knows"),
                    };
                }
                DATA => body.extend(payload),
                _ => {}
            }
            if [HEADERS, DATA].contains(&kind) && on == stream && flags & END_STREAM != 0 {
                return Outcome::Response(status, String::from_utf8_lossy(&body).into_owned());
            }
        }
    }

    /// Reads a frame: type, flags, stream and payload. `None` at the end of the connection.
    async fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2)];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes([s0, s1, s2, s3]), payload))
    }
}

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a GET with this path and these further fields.
pub(super) fn block(path: &[u8], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    // GET and http, from the static table.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(&b":path"[..], path), (b":authority", b"a.example")].iter().chain(fields) {
        literal(&mut block, name, value);
    }
    block
}

/// Writes a field that enters the dynamic table.
pub(super) fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x40);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text"));
        block.extend_from_slice(text);
    }
}
