//! TLS 1.3 handshakes.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::handshakes::{self, Client, Resumption},
    peers::{Peer, Proxy, Setup},
    tls::{Certificate, Kind},
};

const CLIENTS: usize = 8;

/// Handshakes a second of CPU, each on a connection of its own that carries nothing else.
pub(super) fn sample(bench: &Bench, peer: Peer, kind: Kind, resumption: Resumption) -> Result<Vec<f64>> {
    let certificate = Certificate::make(kind, bench.ground.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three()) };
    let proxy = Proxy::start(&bench.ground, peer, &setup)?;
    // Each client has its own tickets.
    let clients: Result<Vec<Client>> = (0..CLIENTS).map(|_| Client::new(&certificate, resumption)).collect();
    let outcome = handshakes::run(&clients?, proxy.address, resumption, bench.window, || proxy.process.cpu())?;
    Ok(vec![outcome.answers as f64 / (outcome.probe as f64 / 1e9)])
}
