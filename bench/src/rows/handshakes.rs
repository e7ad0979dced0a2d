//! TLS 1.3 handshakes.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::handshakes::{self, Resumption, TlsClient},
    peers::{Peer, Proxy, Setup},
    tls::{Certificate, Kind},
};

const CLIENTS: usize = 8;

/// Returns handshakes per CPU second, each on a connection of its own that carries nothing else.
pub(super) fn sample(bench: &Bench, peer: Peer, kind: Kind, resumption: Resumption) -> Result<Vec<f64>> {
    let certificate = Certificate::make(kind, bench.environment.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three_endpoints()) };
    let proxy = Proxy::start(&bench.environment, peer, &setup)?;
    // Each client has its own tickets.
    let clients: Result<Vec<TlsClient>> = (0..CLIENTS).map(|_| TlsClient::new(&certificate, resumption)).collect();
    let outcome = handshakes::run(&clients?, proxy.address, resumption, bench.window, || proxy.process.cpu())?;
    Ok(vec![outcome.responses as f64 / (outcome.probe as f64 / 1e9)])
}
