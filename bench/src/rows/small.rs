//! Small GETs over keep-alive connections.

use anyhow::Result;

use super::run::Bench;
use crate::{
    load::{
        closed,
        fleet::{Fleet, Question},
    },
    peers::{Peer, Proxy, Setup},
};

/// CPU microseconds a request, and requests a second.
pub(super) fn sample(bench: &Bench, peer: Peer, connections: usize) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.ground, peer, &Setup::plain(bench.upstream.three()))?;
    let mut fleet = Fleet::connect(proxy.address, connections)?;
    let outcome = closed::run(&mut fleet, &Question::get("/"), bench.window, || proxy.process.cpu())?;
    bench.check(&proxy)?;
    let answers = outcome.answers as f64;
    Ok(vec![outcome.probe as f64 / 1000.0 / answers, answers / outcome.elapsed.as_secs_f64()])
}
