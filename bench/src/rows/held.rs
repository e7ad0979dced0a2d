//! The memory that clients make a proxy hold: heads that are not finished, and responses that are not read.

use std::{io::Write, net::TcpStream};

use anyhow::Result;

use super::{bench::Bench, idle::settled};
use crate::peers::{Peer, Proxy, Setup};

/// How many clients do not finish their head.
const HEADS: usize = 2_000;
/// How many HTTP/2 clients read nothing, with [`STREAMS`] responses each.
const UNREAD: usize = 60;
/// How many streams each of them opens.
const STREAMS: u32 = 100;

/// Returns bytes of memory for each head that is not finished.
pub(super) fn heads(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let before = settled(&proxy)?;
    let mut open = Vec::with_capacity(HEADS);
    for _ in 0..HEADS {
        let mut client = TcpStream::connect(proxy.address)?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Unfinished: ")?;
        open.push(client);
    }
    Ok(vec![settled(&proxy)?.saturating_sub(before) as f64 / HEADS as f64])
}

/// Returns MB of memory for the responses that HTTP/2 clients do not read.
pub(super) fn unread(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let before = settled(&proxy)?;
    let mut open = Vec::with_capacity(UNREAD);
    for _ in 0..UNREAD {
        let mut client = TcpStream::connect(proxy.address)?;
        client.write_all(&requests())?;
        open.push(client);
    }
    Ok(vec![settled(&proxy)?.saturating_sub(before) as f64 / 1e6])
}

/// Returns what an HTTP/2 client sends that asks for much and grants no window for it (RFC 9113 sections 3.4, 4.1 and
/// 6.5.2; RFC 7541 section 6.2.2 and appendix A).
fn requests() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    frame(&mut bytes, 4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    // `:method: GET`, `:scheme: http`, and literals with the names `:path` and `:authority`.
    let mut fields = vec![0x82, 0x86];
    for (name, value) in [(4, "/bytes/1048576"), (1, "a.example")] {
        fields.extend([name, value.len() as u8]);
        fields.extend_from_slice(value.as_bytes());
    }
    for stream in 0..STREAMS {
        // END_STREAM and END_HEADERS.
        frame(&mut bytes, 1, 5, 2 * stream + 1, &fields);
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}
