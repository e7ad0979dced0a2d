//! A closed loop: every connection sends its next request as soon as it has received the response. This is the highest
//! load that the proxy can serve.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::clients::{Clients, Request};

/// The length of a measurement, and of the warm-up before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
}

/// The outcome of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The number of complete responses.
    pub(crate) responses: u64,
    /// The number of bytes in both directions.
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// The increase of the probe, for example of CPU time in nanoseconds.
    pub(crate) probe: u64,
}

/// Runs the load on `clients`. Reads `probe` at the beginning and at the end of the measurement.
pub(crate) fn run(
    clients: &mut Clients,
    request: &Request,
    window: Window,
    probe: impl Fn() -> Result<u64>,
) -> Result<Outcome> {
    timed(clients, request, window, probe, None)
}

/// Does the same as [`run`], and adds each request's latency in nanoseconds to `latencies`.
pub(crate) fn timed(
    clients: &mut Clients,
    request: &Request,
    window: Window,
    probe: impl Fn() -> Result<u64>,
    latencies: Option<&mut Histogram<u64>>,
) -> Result<Outcome> {
    let start = Instant::now();
    for index in 0..clients.len() {
        clients.send(index, request, start)?;
    }
    drive(clients, request, start + window.warm_up, None)?;
    let (begin, bytes, before) = (Instant::now(), clients.transferred(), probe()?);
    let responses = drive(clients, request, begin + window.length, latencies)?;
    let (after, elapsed) = (probe()?, begin.elapsed());
    let bytes = clients.transferred() - bytes;
    ensure!(bytes > 0, "no response within {elapsed:?}");
    Ok(Outcome { responses, bytes, elapsed, probe: after - before })
}

/// Sends exactly `count` requests, without a warm-up, and waits for their responses.
pub(crate) fn count(clients: &mut Clients, request: &Request, count: u64) -> Result<()> {
    let start = Instant::now();
    let mut sent = 0;
    let mut received = 0;
    for index in 0..clients.len() {
        if sent < count {
            clients.send(index, request, start)?;
            sent += 1;
        }
    }
    let mut done = Vec::new();
    while received < count {
        ensure!(start.elapsed() < Duration::from_secs(600), "{received} of {count} responses after ten minutes");
        clients.poll(request, Some(Duration::from_secs(1)), &mut done)?;
        for index in done.drain(..) {
            received += 1;
            if sent < count {
                clients.send(index, request, start)?;
                sent += 1;
            }
        }
    }
    Ok(())
}

fn drive(
    clients: &mut Clients,
    request: &Request,
    until: Instant,
    mut latencies: Option<&mut Histogram<u64>>,
) -> Result<u64> {
    let mut responses = 0;
    let mut done = Vec::new();
    loop {
        let now = Instant::now();
        if now >= until {
            return Ok(responses);
        }
        clients.poll(request, Some(until - now), &mut done)?;
        for index in done.drain(..) {
            responses += 1;
            let now = Instant::now();
            if let Some(latencies) = latencies.as_deref_mut() {
                latencies.saturating_record(u64::try_from(now.duration_since(clients.due(index)).as_nanos())?);
            }
            clients.send(index, request, now)?;
        }
    }
}
