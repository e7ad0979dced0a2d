//! The highest load that the proxy can take: every connection sends its next request as soon as it has the response.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::fleet::{Fleet, Question};

/// The length of a window, and of the warm-up before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
}

/// The outcome of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Complete responses.
    pub(crate) answers: u64,
    /// Bytes in both directions.
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// Growth of the probe.
    pub(crate) probe: u64,
}

/// Loads `fleet`. `probe` is read at the window's beginning and end.
pub(crate) fn run(
    fleet: &mut Fleet,
    question: &Question,
    window: Window,
    probe: impl Fn() -> Result<u64>,
) -> Result<Outcome> {
    timed(fleet, question, window, probe, None)
}

/// As [`run`], and adds each request's latency in nanoseconds to `latencies`.
pub(crate) fn timed(
    fleet: &mut Fleet,
    question: &Question,
    window: Window,
    probe: impl Fn() -> Result<u64>,
    latencies: Option<&mut Histogram<u64>>,
) -> Result<Outcome> {
    let start = Instant::now();
    for index in 0..fleet.len() {
        fleet.ask(index, question, start)?;
    }
    drive(fleet, question, start + window.warm_up, None)?;
    let (begin, bytes, before) = (Instant::now(), fleet.moved(), probe()?);
    let answers = drive(fleet, question, begin + window.length, latencies)?;
    let (after, elapsed) = (probe()?, begin.elapsed());
    let bytes = fleet.moved() - bytes;
    ensure!(bytes > 0, "not one answer within {elapsed:?}");
    Ok(Outcome { answers, bytes, elapsed, probe: after - before })
}

/// Exactly `count` requests, warm connections or not.
pub(crate) fn count(fleet: &mut Fleet, question: &Question, count: u64) -> Result<()> {
    let start = Instant::now();
    let mut sent = 0;
    let mut answered = 0;
    for index in 0..fleet.len() {
        if sent < count {
            fleet.ask(index, question, start)?;
            sent += 1;
        }
    }
    let mut done = Vec::new();
    while answered < count {
        ensure!(start.elapsed() < Duration::from_secs(600), "{answered} of {count} answers after ten minutes");
        fleet.turn(question, Some(Duration::from_secs(1)), &mut done)?;
        for index in done.drain(..) {
            answered += 1;
            if sent < count {
                fleet.ask(index, question, start)?;
                sent += 1;
            }
        }
    }
    Ok(())
}

fn drive(
    fleet: &mut Fleet,
    question: &Question,
    until: Instant,
    mut latencies: Option<&mut Histogram<u64>>,
) -> Result<u64> {
    let mut answers = 0;
    let mut done = Vec::new();
    loop {
        let now = Instant::now();
        if now >= until {
            return Ok(answers);
        }
        fleet.turn(question, Some(until - now), &mut done)?;
        for index in done.drain(..) {
            answers += 1;
            let now = Instant::now();
            if let Some(latencies) = latencies.as_deref_mut() {
                latencies.saturating_record(u64::try_from(now.duration_since(fleet.due(index)).as_nanos())?);
            }
            fleet.ask(index, question, now)?;
        }
    }
}
