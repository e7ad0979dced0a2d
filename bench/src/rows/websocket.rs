//! Small WebSocket messages, there and back.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{closed, fleet::Fleet, websocket},
    peers::{Peer, Proxy, Setup},
};

const CONNECTIONS: usize = 64;
const SIZE: u8 = 64;

/// Messages a second of CPU, both ways counted.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.ground, peer, &Setup::plain(bench.upstream.three()))?;
    let mut fleet = Fleet::connect(proxy.address, CONNECTIONS)?;
    fleet.once(&websocket::upgrade())?;
    let outcome = closed::run(&mut fleet, &websocket::message(SIZE), bench.window, || proxy.process.cpu())?;
    Ok(vec![2.0 * outcome.answers as f64 / (outcome.probe as f64 / 1e9)])
}
