//! Large request and response bodies.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{
        clients::{Clients, Request},
        closed,
    },
    peers::{Peer, Proxy, Setup},
};

/// Returns CPU milliseconds per GiB of responses.
pub(super) fn down(bench: &Bench, peer: Peer, size: u64, connections: usize) -> Result<Vec<f64>> {
    sample(bench, peer, &Request::get(&format!("/bytes/{size}")), connections)
}

/// Returns CPU milliseconds per GiB of uploads.
pub(super) fn up(bench: &Bench, peer: Peer, size: u64, connections: usize) -> Result<Vec<f64>> {
    sample(bench, peer, &Request::post(size), connections)
}

fn sample(bench: &Bench, peer: Peer, request: &Request, connections: usize) -> Result<Vec<f64>> {
    let setup = Setup { splice: true, ..Setup::plain(bench.upstream.three_endpoints()) };
    let proxy = Proxy::start(&bench.environment, peer, &setup)?;
    let mut clients = Clients::connect(proxy.address, connections)?;
    let outcome = closed::run(&mut clients, request, bench.window, || proxy.process.cpu())?;
    bench.check(&proxy)?;
    let gib = outcome.bytes as f64 / f64::from(1 << 30);
    Ok(vec![outcome.probe as f64 / 1e6 / gib])
}
