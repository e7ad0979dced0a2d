//! The figures as a table, as JSON and as a picture.

mod svg;

use std::{fmt, fs, time::Duration};

use anyhow::Result;
use serde::Serialize;

use crate::{
    args::Args,
    machine::Machine,
    peers::Peer,
    rows::{Aim, Metric, Row},
    stats::Spread,
};

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) row: String,
    pub(crate) title: String,
    pub(crate) metric: String,
    pub(crate) peer: String,
    pub(crate) ours: Spread,
    pub(crate) theirs: Spread,
    /// Ours divided by theirs, for each round.
    pub(crate) ratio: Spread,
    /// Such as "<= 0.85".
    pub(crate) aim: Option<String>,
    pub(crate) met: Option<bool>,
    #[serde(skip)]
    bound: Option<Aim>,
}

impl Line {
    pub(crate) fn new(
        row: &Row,
        metric: &Metric,
        peer: &str,
        ours: Spread,
        theirs: Spread,
        ratio: Spread,
        aim: Option<Aim>,
    ) -> Self {
        Self {
            row: row.name.to_owned(),
            title: row.title.to_owned(),
            metric: metric.name.to_owned(),
            peer: peer.to_owned(),
            ours,
            theirs,
            ratio,
            aim: aim.map(|aim| match aim {
                Aim::AtMost(bound) => format!("<= {bound:.2}"),
                Aim::AtLeast(bound) => format!(">= {bound:.2}"),
            }),
            met: aim.map(|aim| aim.met(ratio.median)),
            bound: aim,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, metric, peer, .. } = self;
        let (ours, theirs) = (number(self.ours.median), number(self.theirs.median));
        let ratio = ratio(&self.ratio);
        let aim = self.aim.as_deref().unwrap_or("");
        let met = met(self.met);
        write!(f, "| {row} | {metric} | {peer} | {ours} | {theirs} | {ratio} | {aim} | {met} |")
    }
}

/// All lines of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rounds: u32,
    seconds: f64,
    lines: Vec<Line>,
    /// Row, peer, and the reason for the missing figure.
    missing: Vec<(String, String, String)>,
}

impl Report {
    pub(crate) fn new(machine: Machine, rounds: u32, length: Duration) -> Self {
        Self { machine, rounds, seconds: length.as_secs_f64(), lines: Vec::new(), missing: Vec::new() }
    }

    pub(crate) fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Records that a figure is missing.
    pub(crate) fn fail(&mut self, row: &Row, peer: Peer, why: &str) {
        self.missing.push((row.name.to_owned(), peer.name().to_owned(), why.to_owned()));
    }

    /// Prints the table and writes the files.
    pub(crate) fn finish(&self, args: &Args) -> Result<()> {
        let table = self.to_string();
        print!("{table}");
        if let Some(path) = &args.markdown {
            fs::write(path, &table)?;
        }
        if let Some(path) = &args.json {
            fs::write(path, serde_json::to_string_pretty(self)? + "\n")?;
        }
        if let Some(path) = &args.svg {
            fs::write(path, svg::draw(&self.lines))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel, versions } = &self.machine;
        writeln!(f, "{cores} cores of {cpu}, Linux {kernel}; {} rounds of {} s.", self.rounds, self.seconds)?;
        let versions: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        writeln!(f, "Versions: {}.\n", versions.join(", "))?;
        writeln!(f, "| row | figure | peer | ours | theirs | ratio (min to max) | aim | met |")?;
        writeln!(f, "| --- | --- | --- | ---: | ---: | ---: | --- | --- |")?;
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        for (row, peer, why) in &self.missing {
            writeln!(f, "\nNo figure for {row} against {peer}: {}", why.lines().next().unwrap_or_default())?;
        }
        Ok(())
    }
}

fn ratio(spread: &Spread) -> String {
    format!("{:.3} ({:.3} to {:.3})", spread.median, spread.low, spread.high)
}

fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    }
}

/// With the significant digits only.
fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
