//! The table of events that the test prints at its end.

use std::fmt;
use std::time::Duration;

/// The cost of an event.
#[derive(Clone, Debug)]
pub struct Row {
    /// The event's name.
    pub event: String,
    /// The longest time without service for visitors by DNS, who try the next address.
    pub through_dns: Duration,
    /// The longest time without service at one address.
    pub one_address: Duration,
    /// How many numbers were returned twice, went backwards or were lost.
    pub wrong: usize,
    /// How many visits by DNS failed in all attempts.
    pub failed: usize,
    /// The number of visits.
    pub visits: usize,
    /// The time until all lost tasks ran elsewhere, if tasks were lost.
    pub elsewhere: Option<Duration>,
    /// How long visits by DNS took, if a machine was dead for a while.
    pub latency: Option<Latency>,
    /// The time until both a mail and an SMS reported it, if they should.
    pub alerted: Option<Duration>,
    /// The time until the swarm had recovered.
    pub recovered: Duration,
}

/// The 99th percentile of the visits that got a number.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Before the machine died.
    pub before: Duration,
    /// While it was dead, once its replicas had been found missing.
    pub dead: Duration,
}

/// All events. Displays itself as a table.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Sets the time until the alert about the last event.
    pub fn set_alerted(&mut self, after: Option<Duration>) {
        if let Some(row) = self.0.last_mut() {
            row.alerted = after;
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:58} {:>9} {:>9} {:>7} {:>7} {:>7} {:>10} {:>8} {:>10} {:>16}",
            "without an answer for 0.2 s or more, the longest",
            "by DNS",
            "1 address",
            "wrong",
            "failed",
            "visits",
            "elsewhere",
            "alerted",
            "recovered",
            "p99, while dead"
        )?;
        for row in &self.0 {
            let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            let latency = row.latency.map_or_else(
                || "-".to_owned(),
                |latency| format!("{} ms, {} ms", latency.before.as_millis(), latency.dead.as_millis()),
            );
            let maybe = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), seconds);
            writeln!(
                f,
                "{:58} {:>9} {:>9} {:>7} {:>7} {:>7} {:>10} {:>8} {:>10} {:>16}",
                row.event,
                seconds(row.through_dns),
                seconds(row.one_address),
                row.wrong,
                row.failed,
                row.visits,
                maybe(row.elsewhere),
                maybe(row.alerted),
                seconds(row.recovered),
                latency
            )?;
        }
        Ok(())
    }
}
