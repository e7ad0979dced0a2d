//! The cost of an idle connection.

use std::{thread, time::Duration};

use anyhow::Result;

use super::bench::Bench;
use crate::{
    cpu,
    load::{
        fleet::{Fleet, Question},
        handshakes::{Client, Resumption},
    },
    peers::{Peer, Proxy, Setup},
    tls::{Certificate, Kind},
};

/// All of them open at once.
const CONNECTIONS: usize = 10_000;

/// Bytes of memory for a connection that has had one request.
pub(super) fn plain(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.ground, peer, &Setup::plain(bench.upstream.three()))?;
    let before = settled(&proxy)?;
    let mut fleets = Vec::new();
    // A hundred at a time: a burst of ten thousand would measure its own buffers.
    for _ in 0..CONNECTIONS / 100 {
        let mut fleet = Fleet::connect(proxy.address, 100)?;
        fleet.once(&Question::get("/"))?;
        fleets.push(fleet);
    }
    Ok(vec![settled(&proxy)?.saturating_sub(before) as f64 / CONNECTIONS as f64])
}

/// The same with TLS 1.3.
pub(super) fn tls(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let certificate = Certificate::make(Kind::EcdsaP256, bench.ground.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three()) };
    let proxy = Proxy::start(&bench.ground, peer, &setup)?;
    let client = Client::new(&certificate, Resumption::Never)?;
    // The first one pays for what is allocated once.
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

/// The process's memory once it no longer changes.
fn settled(proxy: &Proxy) -> Result<u64> {
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
