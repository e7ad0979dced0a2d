//! Small GETs over keep-alive connections.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{
        closed::{self, Outcome},
        fleet::{Fleet, Question},
    },
    peers::{Peer, Proxy, Setup},
};

/// CPU microseconds per request, and requests per second.
pub(super) fn cost(bench: &Bench, peer: Peer, connections: usize) -> Result<Vec<f64>> {
    let outcome = load(bench, peer, &Setup::plain(bench.upstream.three()), connections)?;
    Ok(vec![microseconds(&outcome), rate(&outcome)])
}

/// Requests per second, and requests per second of CPU.
pub(super) fn throughput(bench: &Bench, peer: Peer, workers: usize) -> Result<Vec<f64>> {
    let setup = Setup { workers, ..Setup::plain(bench.upstream.three()) };
    let outcome = load(bench, peer, &setup, 256)?;
    Ok(vec![rate(&outcome), 1e6 / microseconds(&outcome)])
}

/// CPU microseconds per request of the edge with a pool of `count` endpoints. They are not checked: the cost of
/// checks depends on time, not on requests. With as many clients as endpoints, both pools have about as many
/// connections: those of a few clients to a thousand endpoints would be colder, whoever picks them.
pub(super) fn endpoints(bench: &Bench, count: u16) -> Result<Vec<f64>> {
    let setup = Setup { health: false, ..Setup::plain(bench.upstream.many(count)) };
    let outcome = load(bench, Peer::Edge, &setup, 1024)?;
    Ok(vec![microseconds(&outcome)])
}

/// The highest rate that HAProxy reaches with one worker, in requests per second.
pub(super) fn haproxy_rate(bench: &Bench) -> Result<f64> {
    Ok(rate(&load(bench, Peer::Haproxy, &Setup::plain(bench.upstream.three()), 64)?))
}

fn load(bench: &Bench, peer: Peer, setup: &Setup<'_>, connections: usize) -> Result<Outcome> {
    let proxy = Proxy::start(&bench.ground, peer, setup)?;
    let mut fleet = Fleet::connect(proxy.address, connections)?;
    let outcome = closed::run(&mut fleet, &Question::get("/"), bench.window, || proxy.process.cpu())?;
    bench.check(&proxy)?;
    Ok(outcome)
}

fn microseconds(outcome: &Outcome) -> f64 {
    outcome.probe as f64 / 1000.0 / outcome.answers as f64
}

fn rate(outcome: &Outcome) -> f64 {
    outcome.answers as f64 / outcome.elapsed.as_secs_f64()
}
