//! A proxy's start and reload.

use std::time::Instant;

use anyhow::Result;
use rustix::process::Signal;

use super::{bench::Bench, latency, row::Side};
use crate::{
    load::{
        clients::{Clients, Request},
        open,
    },
    peers::{Peer, Proxy, Setup},
};

/// Returns the time from the start of the process to the first response, in milliseconds.
pub(super) fn start(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let setup = Setup::plain(bench.upstream.three_endpoints());
    let begin = Instant::now();
    let proxy = Proxy::start(&bench.environment, peer, &setup)?;
    let took = begin.elapsed();
    drop(proxy);
    Ok(vec![took.as_secs_f64() * 1000.0])
}

/// Returns p99.9 in microseconds. On our side the edge receives a SIGHUP in the middle of the load. A broken connection
/// is an error.
pub(super) fn reload(bench: &Bench, side: Side) -> Result<Vec<f64>> {
    let rate = latency::rate(bench)?;
    let proxy = Proxy::start(&bench.environment, Peer::Edge, &Setup::plain(bench.upstream.three_endpoints()))?;
    let mut clients = Clients::connect(proxy.address, latency::CONNECTIONS)?;
    let mut signal = || proxy.process.signal(Signal::HUP);
    let at_half: Option<&mut dyn FnMut() -> Result<()>> = if side == Side::Ours { Some(&mut signal) } else { None };
    let latencies = open::run(&mut clients, &Request::get("/"), rate, bench.window, at_half)?;
    Ok(vec![latency::microseconds(&latencies, 0.999)])
}
