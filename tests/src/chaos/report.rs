//! Summarises a run: figures and a verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::history::{History, Outcome};
use super::judge::{Limits, NOTICEABLE, Verdict, judge, longest_outages};

/// How many violations of one invariant are shown; the history contains all of them.
const SHOWN: usize = 5;

/// A summary of a run. Its `Display` is the whole report.
#[derive(Debug)]
pub struct Report<'a> {
    seed: u64,
    history: &'a History,
    /// What the judge found.
    pub verdict: Verdict,
}

impl<'a> Report<'a> {
    /// Judges a history produced by the plan `seed`.
    #[must_use]
    pub fn new(seed: u64, history: &'a History, limits: Limits) -> Self {
        Self { seed, history, verdict: judge(history, limits) }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let History { hits, rounds } = self.history;
        let unsent = hits.iter().filter(|hit| hit.outcome == Outcome::Unsent).count();
        let lasted = rounds.last().map_or(Duration::ZERO, |round| round.ended);
        let counted = rounds.last().map_or(0, |round| round.after);
        let promotions: usize = rounds.iter().map(|round| round.promotions).sum();
        writeln!(f, "seed         {}", self.seed)?;
        writeln!(f, "rounds       {} in {:.0} s", rounds.len(), lasted.as_secs_f64())?;
        writeln!(f, "failovers    {promotions}")?;
        writeln!(f, "visits       {}, {unsent} of them never sent", hits.len())?;
        writeln!(f, "acknowledged {}", self.history.acknowledged())?;
        writeln!(f, "counted      {counted}")?;
        writeln!(f, "ambiguous    {}", self.history.ambiguous())?;
        let slowest = hits.iter().map(super::history::Hit::took).max().unwrap_or_default();
        writeln!(f, "slowest      {:.2} s", slowest.as_secs_f64())?;
        writeln!(f)?;
        self.table(f)?;
        writeln!(f)?;
        for (name, violations) in self.verdict.invariants() {
            let verdict = if violations.is_empty() { "holds" } else { "BROKEN" };
            writeln!(f, "{verdict:7} {name}")?;
            for violation in violations.iter().take(SHOWN) {
                writeln!(f, "        {violation}")?;
            }
            if violations.len() > SHOWN {
                writeln!(f, "        and {} more", violations.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

impl Report<'_> {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&str, (usize, Vec<Duration>)> = BTreeMap::new();
        for (round, longest) in self.history.rounds.iter().zip(longest_outages(self.history)) {
            let (promotions, outages) = kinds.entry(round.kind).or_default();
            *promotions += round.promotions;
            outages.push(longest);
        }
        writeln!(f, "without an answer for {} ms or more, the longest of each round", NOTICEABLE.as_millis())?;
        writeln!(f, "{:30} {:>6} {:>9} {:>8} {:>8}", "fault", "rounds", "failovers", "median", "longest")?;
        let mut all = (0, Vec::new());
        for (kind, (promotions, mut outages)) in kinds {
            row(f, kind, promotions, &mut outages)?;
            all.0 += promotions;
            all.1.extend(outages);
        }
        row(f, "all", all.0, &mut all.1)
    }
}

fn row(f: &mut fmt::Formatter<'_>, kind: &str, promotions: usize, outages: &mut [Duration]) -> fmt::Result {
    outages.sort_unstable();
    let median = outages.get(outages.len() / 2).copied().unwrap_or_default().as_secs_f64();
    let longest = outages.last().copied().unwrap_or_default().as_secs_f64();
    writeln!(f, "{kind:30} {:>6} {promotions:>9} {median:>6.2} s {longest:>6.2} s", outages.len())
}
