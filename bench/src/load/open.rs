//! An open loop: requests are due at a constant rate, whatever the proxy does. Latency is measured from when a request
//! was due, so a stall counts for every request that was due during it. This avoids "coordinated omission".

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::{
    clients::{Clients, Request},
    closed::Window,
};

/// Sends `rate` requests per second, each from the client that has been idle longest. Runs `at_half` once, in the
/// middle of the measurement. Returns latencies in nanoseconds.
pub(crate) fn run(
    clients: &mut Clients,
    request: &Request,
    rate: f64,
    window: Window,
    mut at_half: Option<&mut dyn FnMut() -> Result<()>>,
) -> Result<Histogram<u64>> {
    let mut latencies = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let mut idle: VecDeque<usize> = (0..clients.len()).collect();
    let pause = Duration::from_secs_f64(1.0 / rate);
    let start = Instant::now();
    let (measured, half) = (start + window.warm_up, start + window.warm_up + window.length / 2);
    let end = measured + window.length;
    let mut next = start;
    let mut done = Vec::new();
    loop {
        let now = Instant::now();
        while next <= now && next < end {
            let Some(index) = idle.pop_front() else { break };
            clients.send(index, request, next)?;
            next += pause;
        }
        if next >= end && idle.len() == clients.len() {
            return Ok(latencies);
        }
        ensure!(now < end + Duration::from_secs(30), "responses are missing 30 s after the last request");
        if now >= half
            && let Some(act) = at_half.take()
        {
            act()?;
        }
        // While all clients are busy, only a response can free one.
        let timeout =
            if idle.is_empty() || next >= end { Duration::from_secs(1) } else { next.saturating_duration_since(now) };
        clients.poll(request, Some(timeout), &mut done)?;
        for index in done.drain(..) {
            let due = clients.due(index);
            if due >= measured {
                let latency = u64::try_from(due.elapsed().as_nanos())?;
                latencies.saturating_record(latency);
            }
            idle.push_back(index);
        }
    }
}
