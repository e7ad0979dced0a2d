//! Writes the figures as a table, as JSON and as a chart.

mod line;
mod svg;

use std::{fmt, fs, time::Duration};

use anyhow::Result;
use serde::Serialize;

pub(crate) use self::line::Line;
use crate::{args::Args, machine::Machine, peers::Peer, rows::Row};

/// All lines of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rounds: u32,
    seconds: f64,
    lines: Vec<Line>,
    /// The row, the peer, and why the figure is missing.
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
