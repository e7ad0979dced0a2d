//! The cost of each event, for the end of the test's output.

use std::fmt;
use std::time::Duration;

/// One event.
#[derive(Clone, Debug)]
pub struct Row {
    /// The event.
    pub event: String,
    /// The longest time without service for visitors by DNS, who try the next address.
    pub through_dns: Duration,
    /// The longest time without service at one address.
    pub one_address: Duration,
    /// Numbers that were returned twice, went backwards or were lost.
    pub wrong: usize,
    /// Visits by DNS that failed in all attempts.
    pub failed: usize,
    /// The number of visits.
    pub visits: usize,
    /// The time until all lost tasks ran elsewhere, where tasks were lost.
    pub elsewhere: Option<Duration>,
    /// The time until both mail and SMS had reported it, where they should.
    pub told: Option<Duration>,
    /// The time until everything was as before.
    pub whole: Duration,
}

/// All events. Displays itself as a table.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Sets how long the alert about the last event took.
    pub fn told(&mut self, after: Option<Duration>) {
        if let Some(row) = self.0.last_mut() {
            row.told = after;
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:58} {:>9} {:>9} {:>7} {:>7} {:>7} {:>10} {:>8} {:>8}",
            "without an answer for 0.2 s or more, the longest",
            "by DNS",
            "1 address",
            "wrong",
            "failed",
            "visits",
            "elsewhere",
            "told",
            "whole"
        )?;
        for row in &self.0 {
            let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            let maybe = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), seconds);
            writeln!(
                f,
                "{:58} {:>9} {:>9} {:>7} {:>7} {:>7} {:>10} {:>8} {:>8}",
                row.event,
                seconds(row.through_dns),
                seconds(row.one_address),
                row.wrong,
                row.failed,
                row.visits,
                maybe(row.elsewhere),
                maybe(row.told),
                seconds(row.whole)
            )?;
        }
        Ok(())
    }
}
