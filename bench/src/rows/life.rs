//! A proxy's beginning, and a change of its configuration.

use std::time::Instant;

use anyhow::Result;
use rustix::process::Signal;

use super::{bench::Bench, latency, row::Side};
use crate::{
    load::{
        fleet::{Fleet, Question},
        open,
    },
    peers::{Peer, Proxy, Setup},
};

/// Milliseconds from the start of the process to the first answered request.
pub(super) fn start(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let setup = Setup::plain(bench.upstream.three());
    let begin = Instant::now();
    let proxy = Proxy::start(&bench.ground, peer, &setup)?;
    let took = begin.elapsed();
    drop(proxy);
    Ok(vec![took.as_secs_f64() * 1000.0])
}

/// p99.9 in microseconds, with a SIGHUP in the middle of the load for one side. No connection may break.
pub(super) fn reload(bench: &Bench, side: Side) -> Result<Vec<f64>> {
    let rate = latency::rate(bench)?;
    let proxy = Proxy::start(&bench.ground, Peer::Edge, &Setup::plain(bench.upstream.three()))?;
    let mut fleet = Fleet::connect(proxy.address, latency::CONNECTIONS)?;
    let mut signal = || proxy.process.signal(Signal::HUP);
    let at_half: Option<&mut dyn FnMut() -> Result<()>> = if side == Side::Ours { Some(&mut signal) } else { None };
    let latencies = open::run(&mut fleet, &Question::get("/"), rate, bench.window, at_half)?;
    Ok(vec![latency::microseconds(&latencies, 0.999)])
}
