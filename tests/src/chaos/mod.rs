//! The proof that the count survives the loss of any machine: real processes, faults, and a judge.
//!
//! It works like Jepsen. Clients visit the counters of a [`cluster`] of three hosts and record what they see
//! ([`clients`], [`history`]), while faults of a seeded [`plan`] strike one host or link at a time
//! ([`nemesis`]) through signals and a [`network`] of relays. After each fault the cluster heals, the clients
//! stop, and the stored count is read. Then the [`judge`] decides whether an exact counter can have
//! produced the [`history`], and the [`report`] summarises it. [`broken`] has counters that the judge must convict.
//!
//! The same seed gives the same faults of the same duration. What they hit depends on the machine.

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

use self::cluster::{Counter, NotWhole};
use self::history::History;
use self::judge::{Limits, Verdict};
use self::report::Report;

/// What the counter promises: its deadline of 1.8 s, with a margin for a busy machine, and that it recovers without an
/// operator.
pub const LIMITS: Limits = Limits { hit: Duration::from_secs(4), outage: Duration::from_secs(15) };

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that the judge found.
    pub verdict: Verdict,
    /// Why the run ended early, if it did: the cluster did not become whole.
    pub broke_off: Option<NotWhole>,
    /// The report to print.
    pub report: String,
    history: History,
    /// Logs and data, removed with this value.
    folder: TempDir,
}

impl Outcome {
    /// Whether the counter kept its promises to the end.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.broke_off.is_none()
    }

    /// Keeps the logs, and the history beside them, and returns their folder.
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

/// Runs `rounds` of the plan `seed` on `counter`, or fewer if `go_on` says so, and judges them.
///
/// # Errors
/// There is no folder to run in.
///
/// # Panics
/// A process cannot be started.
pub async fn check(
    counter: Counter,
    seed: u64,
    rounds: usize,
    go_on: impl FnMut(&History) -> bool,
) -> io::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix(&format!("chaos-{seed}-")).tempdir()?;
    let faults = plan::faults(seed).take(rounds);
    let (history, broke_off) = match run::run(folder.path(), counter, faults, seed, go_on).await {
        Ok((history, broke_off)) => (history, broke_off),
        Err(error) => (History::default(), Some(error)),
    };
    let judged = Report::new(seed, &history, LIMITS);
    let mut report = judged.to_string();
    let verdict = judged.verdict;
    if let Some(error) = &broke_off {
        report += &format!("BROKEN OFF in round {}: {error}\n", history.rounds.len() + 1);
    }
    Ok(Outcome { verdict, broke_off, report, history, folder })
}
