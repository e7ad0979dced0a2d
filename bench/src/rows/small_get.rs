//! Small GETs over keep-alive connections.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{
        clients::{Clients, Request},
        closed::{self, Outcome},
    },
    peers::{Peer, Proxy, Setup},
};

/// Returns CPU microseconds per request, and requests per second.
pub(super) fn cost(bench: &Bench, peer: Peer, connections: usize) -> Result<Vec<f64>> {
    let outcome = load(bench, peer, &Setup::plain(bench.upstream.three_endpoints()), connections)?;
    Ok(vec![microseconds(&outcome), rate(&outcome)])
}

/// Returns requests per second, and requests per CPU second.
pub(super) fn throughput(bench: &Bench, peer: Peer, workers: usize) -> Result<Vec<f64>> {
    let setup = Setup { workers, ..Setup::plain(bench.upstream.three_endpoints()) };
    let outcome = load(bench, peer, &setup, 256)?;
    Ok(vec![rate(&outcome), 1e6 / microseconds(&outcome)])
}

/// Returns CPU microseconds per request of the edge with a pool of `count` endpoints.
///
/// Health checks are off, because their cost depends on time and not on requests. There are as many clients as
/// endpoints of the large pool, so that both pools have about as many connections: with a few clients, each of a
/// thousand endpoints' connections would be used rarely and be cold in the caches, however endpoints are picked.
pub(super) fn endpoints(bench: &Bench, count: u16) -> Result<Vec<f64>> {
    let setup = Setup { health: false, ..Setup::plain(bench.upstream.endpoints(count)) };
    let outcome = load(bench, Peer::Edge, &setup, 1024)?;
    Ok(vec![microseconds(&outcome)])
}

/// Returns the highest rate of HAProxy with one worker, in requests per second.
pub(super) fn haproxy_rate(bench: &Bench) -> Result<f64> {
    Ok(rate(&load(bench, Peer::Haproxy, &Setup::plain(bench.upstream.three_endpoints()), 64)?))
}

fn load(bench: &Bench, peer: Peer, setup: &Setup<'_>, connections: usize) -> Result<Outcome> {
    let proxy = Proxy::start(&bench.environment, peer, setup)?;
    let mut clients = Clients::connect(proxy.address, connections)?;
    let outcome = closed::run(&mut clients, &Request::get("/"), bench.window, || proxy.process.cpu())?;
    bench.check(&proxy)?;
    Ok(outcome)
}

fn microseconds(outcome: &Outcome) -> f64 {
    outcome.probe as f64 / 1000.0 / outcome.responses as f64
}

fn rate(outcome: &Outcome) -> f64 {
    outcome.responses as f64 / outcome.elapsed.as_secs_f64()
}
