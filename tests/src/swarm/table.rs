//! What each event cost, for the end of the test's output.

use std::fmt;
use std::time::Duration;

/// One event.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened.
    pub event: String,
    /// The longest time that nobody was served who goes by DNS and tries the next address.
    pub through_dns: Duration,
    /// The longest time that one address alone did not serve, and the address's host.
    pub one_address: Duration,
    /// Numbers that were answered twice, or lost.
    pub wrong: usize,
    /// Visits that were made and have failed in spite of all tries, of those who go by DNS.
    pub failed: usize,
    /// How many visits there were.
    pub visits: usize,
    /// From the event until all that was lost ran elsewhere, where something was lost.
    pub elsewhere: Option<Duration>,
    /// From the event until mail and SMS had told of it, where they were to.
    pub told: Option<Duration>,
    /// From the event until everything was as before.
    pub whole: Duration,
}

/// All events. Displays itself as a table.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Of the last event, how long it took until it was told.
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
