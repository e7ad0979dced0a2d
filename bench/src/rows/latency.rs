//! Latency under a moderate load.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::{bench::Bench, small_get};
use crate::{
    load::{
        clients::{Clients, Request},
        open,
    },
    peers::{Peer, Proxy, Setup},
};

/// Enough that a client is always idle.
pub(super) const CONNECTIONS: usize = 256;

/// Returns median, p99 and p99.9, in microseconds.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let rate = rate(bench)?;
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let mut clients = Clients::connect(proxy.address, CONNECTIONS)?;
    let latencies = open::run(&mut clients, &Request::get("/"), rate, bench.window, None)?;
    bench.check(&proxy)?;
    Ok([0.5, 0.99, 0.999].map(|quantile| microseconds(&latencies, quantile)).into())
}

/// Returns the rate for all peers: half of HAProxy's highest rate, measured once per run. Requests per second.
pub(super) fn rate(bench: &Bench) -> Result<f64> {
    if let Some(rate) = bench.rate.get() {
        return Ok(*rate);
    }
    let rate = small_get::haproxy_rate(bench)? / 2.0;
    eprintln!("measuring latency at {rate:.0} requests/s");
    Ok(*bench.rate.get_or_init(|| rate))
}

pub(super) fn microseconds(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1000.0
}
