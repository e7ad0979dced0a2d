//! Large bodies, in both directions.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{
        closed,
        fleet::{Fleet, Question},
    },
    peers::{Peer, Proxy, Setup},
};

/// CPU milliseconds per GiB of responses.
pub(super) fn down(bench: &Bench, peer: Peer, size: u64, connections: usize) -> Result<Vec<f64>> {
    sample(bench, peer, &Question::get(&format!("/bytes/{size}")), connections)
}

/// CPU milliseconds per GiB of uploads.
pub(super) fn up(bench: &Bench, peer: Peer, size: u64, connections: usize) -> Result<Vec<f64>> {
    sample(bench, peer, &Question::post(size), connections)
}

fn sample(bench: &Bench, peer: Peer, question: &Question, connections: usize) -> Result<Vec<f64>> {
    let setup = Setup { splice: true, ..Setup::plain(bench.upstream.three()) };
    let proxy = Proxy::start(&bench.ground, peer, &setup)?;
    let mut fleet = Fleet::connect(proxy.address, connections)?;
    let outcome = closed::run(&mut fleet, question, bench.window, || proxy.process.cpu())?;
    bench.check(&proxy)?;
    let gib = outcome.bytes as f64 / f64::from(1 << 30);
    Ok(vec![outcome.probe as f64 / 1e6 / gib])
}
