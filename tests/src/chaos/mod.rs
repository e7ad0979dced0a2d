//! Checks that the count survives the loss of any machine: real processes, faults, and a judge.
//!
//! It works like Jepsen. Clients visit the counters of a [`cluster`] of three hosts and record what they see
//! ([`clients`], [`history`]), while faults of a seeded [`plan`] strike one host or link at a time, or two sentinels
//! ([`nemesis`]), through signals, clocks ([`crate::clock`]) and a [`network`] of relays. After each fault the cluster
//! heals, the clients stop, and the stored count is read. Then the [`judge`] decides whether an exact counter can have
//! produced the [`history`], and the [`report`] summarises it. [`broken`] has counters that the judge must convict.
//!
//! The same seed gives the same faults with the same durations. What a fault interrupts depends on the machine's
//! timing.

pub mod broken;
pub mod clients;
pub mod cluster;
pub mod history;
pub mod judge;
pub mod nemesis;
pub mod network;
pub mod plan;
pub mod report;
pub mod run;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use self::cluster::{Counter, Unhealthy};
use self::history::History;
use self::judge::{Limits, Verdict};
use self::plan::Fault;
use self::report::Report;

/// The counter's promises: its deadline of 1.8 s, with a margin for a busy machine, and recovery without an operator.
pub const LIMITS: Limits = Limits { hit: Duration::from_secs(4), outage: Duration::from_secs(15) };

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that the judge found.
    pub verdict: Verdict,
    /// Why the run ended early: the cluster did not recover.
    pub aborted: Option<Unhealthy>,
    /// The report, for printing.
    pub report: String,
    history: History,
    /// Contains logs and data. Dropping this value removes it.
    folder: TempDir,
}

impl Outcome {
    /// Returns whether the counter kept its promises to the end.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.aborted.is_none()
    }

    /// Writes the history beside the logs, keeps both, and returns their folder.
    ///
    /// # Errors
    /// The history cannot be written.
    pub fn keep(self) -> io::Result<PathBuf> {
        let folder = self.folder.keep();
        let mut file = BufWriter::new(File::create(folder.join("history.jsonl"))?);
        self.history.write(&mut file)?;
        file.flush()?;
        Ok(folder)
    }
}

/// Runs `rounds` of the plan `seed` on `counter`, or fewer if `keep_going` returns false, and judges them.
///
/// # Errors
/// No folder can be created for the run.
///
/// # Panics
/// A process cannot be started.
pub async fn check(
    counter: Counter,
    seed: u64,
    rounds: usize,
    keep_going: impl FnMut(&History) -> bool,
) -> io::Result<Outcome> {
    check_faults(counter, seed, plan::faults(seed).take(rounds), LIMITS, keep_going).await
}

/// Runs these faults on `counter`, one per round, or fewer if `keep_going` returns false, and judges them by `limits`.
/// The seed is that of the clients.
///
/// # Errors
/// No folder can be created for the run.
///
/// # Panics
/// A process cannot be started.
pub async fn check_faults(
    counter: Counter,
    seed: u64,
    faults: impl IntoIterator<Item = Fault>,
    limits: Limits,
    keep_going: impl FnMut(&History) -> bool,
) -> io::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix(&format!("chaos-{seed}-")).tempdir()?;
    let (history, aborted) = match run::run(folder.path(), counter, faults, seed, keep_going).await {
        Ok((history, aborted)) => (history, aborted),
        Err(error) => (History::default(), Some(error)),
    };
    let judged = Report::new(seed, &history, limits);
    let mut report = judged.to_string();
    let verdict = judged.verdict;
    if let Some(error) = &aborted {
        report += &format!("ABORTED in round {}: {error}\n", history.rounds.len() + 1);
    }
    Ok(Outcome { verdict, aborted, report, history, folder })
}
