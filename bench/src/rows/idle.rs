//! The memory of an idle connection.

use std::{thread, time::Duration};

use anyhow::Result;

use super::bench::Bench;
use crate::{
    cpu,
    load::{
        clients::{Clients, Request},
        handshakes::{Resumption, TlsClient},
    },
    peers::{Peer, Proxy, Setup},
    tls::{Certificate, Kind},
};

/// How many connections are open at once.
const CONNECTIONS: usize = 10_000;

/// Returns bytes of memory per connection, each idle after one request.
pub(super) fn plain(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let before = settled(&proxy)?;
    let mut open = Vec::new();
    // A hundred at a time, because a burst of ten thousand would measure the buffers of the burst.
    for _ in 0..CONNECTIONS / 100 {
        let mut clients = Clients::connect(proxy.address, 100)?;
        clients.once(&Request::get("/"))?;
        open.push(clients);
    }
    Ok(vec![settled(&proxy)?.saturating_sub(before) as f64 / CONNECTIONS as f64])
}

/// Does the same as [`plain`] with TLS 1.3.
pub(super) fn tls(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let certificate = Certificate::make(Kind::EcdsaP256, bench.environment.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three_endpoints()) };
    let proxy = Proxy::start(&bench.environment, peer, &setup)?;
    let client = TlsClient::new(&certificate, Resumption::Never)?;
    // The first connection makes the proxy allocate what is allocated only once.
    let first = client.request(proxy.address)?;
    let before = settled(&proxy)?;
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        open.push(client.request(proxy.address)?);
    }
    let after = settled(&proxy)?;
    drop((first, open));
    Ok(vec![after.saturating_sub(before) as f64 / CONNECTIONS as f64])
}

/// Waits until the process's memory no longer changes, at most 4 s, and returns it in bytes.
pub(super) fn settled(proxy: &Proxy) -> Result<u64> {
    let mut last = 0;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(200));
        let now = cpu::memory(proxy.process.pid())?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}
