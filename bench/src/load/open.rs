//! A constant rate, whatever the proxy does. Latency is measured from when a request should have been
//! sent, so a proxy that stalls pays for every request of that time ("coordinated omission").

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use super::{
    closed::Window,
    fleet::{Fleet, Question},
};

/// Sends `rate` requests a second for the window, each on the connection that has been idle longest. Latencies
/// are in nanoseconds. `at_half` runs once, in the middle of the window.
pub(crate) fn run(
    fleet: &mut Fleet,
    question: &Question,
    rate: f64,
    window: Window,
    mut at_half: Option<&mut dyn FnMut() -> Result<()>>,
) -> Result<Histogram<u64>> {
    let mut latencies = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let mut idle: VecDeque<usize> = (0..fleet.len()).collect();
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
            fleet.ask(index, question, next)?;
            next += pause;
        }
        if next >= end && idle.len() == fleet.len() {
            return Ok(latencies);
        }
        ensure!(now < end + Duration::from_secs(30), "answers are missing 30 s after the last request");
        if now >= half
            && let Some(act) = at_half.take()
        {
            act()?;
        }
        // While all connections are busy, only a response frees one.
        let timeout =
            if idle.is_empty() || next >= end { Duration::from_secs(1) } else { next.saturating_duration_since(now) };
        fleet.turn(question, Some(timeout), &mut done)?;
        for index in done.drain(..) {
            let due = fleet.due(index);
            if due >= measured {
                let latency = u64::try_from(due.elapsed().as_nanos())?;
                latencies.saturating_record(latency);
            }
            idle.push_back(index);
        }
    }
}
