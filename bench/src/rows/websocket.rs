//! Small WebSocket messages, echoed.

use anyhow::Result;

use super::bench::Bench;
use crate::{
    load::{clients::Clients, closed, websocket},
    peers::{Peer, Proxy, Setup},
};

const CONNECTIONS: usize = 64;
const SIZE: u8 = 64;

/// Returns messages per CPU second, counted in both directions.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let mut clients = Clients::connect(proxy.address, CONNECTIONS)?;
    clients.once(&websocket::upgrade())?;
    let outcome = closed::run(&mut clients, &websocket::message(SIZE), bench.window, || proxy.process.cpu())?;
    Ok(vec![2.0 * outcome.responses as f64 / (outcome.probe as f64 / 1e9)])
}
