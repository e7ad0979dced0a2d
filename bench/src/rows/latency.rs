//! Latency under a load that a proxy can well bear.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::{bench::Bench, small};
use crate::{
    load::{
        fleet::{Fleet, Question},
        open,
    },
    peers::{Peer, Proxy, Setup},
};

/// Enough that one is always idle.
pub(super) const CONNECTIONS: usize = 256;

/// Median, p99 and p99.9, in microseconds.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let rate = rate(bench)?;
    let proxy = Proxy::start(&bench.ground, peer, &Setup::plain(bench.upstream.three()))?;
    let mut fleet = Fleet::connect(proxy.address, CONNECTIONS)?;
    let latencies = open::run(&mut fleet, &Question::get("/"), rate, bench.window, None)?;
    bench.check(&proxy)?;
    Ok([0.5, 0.99, 0.999].map(|quantile| microseconds(&latencies, quantile)).into())
}

/// Half of HAProxy's highest rate, measured once in a run: the same for everyone.
pub(super) fn rate(bench: &Bench) -> Result<f64> {
    if let Some(rate) = bench.rate.get() {
        return Ok(*rate);
    }
    let rate = small::haproxy_rate(bench)? / 2.0;
    eprintln!("latency is measured at {rate:.0} requests/s");
    Ok(*bench.rate.get_or_init(|| rate))
}

pub(super) fn microseconds(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1000.0
}
