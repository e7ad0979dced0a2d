//! One line of the table.

use std::fmt;

use serde::Serialize;

use crate::{
    rows::{Aim, Metric, Row},
    stats::Summary,
};

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) row: String,
    pub(crate) title: String,
    pub(crate) metric: String,
    pub(crate) peer: String,
    pub(crate) ours: Summary,
    pub(crate) theirs: Summary,
    /// Ours divided by theirs, round by round.
    pub(crate) ratio: Summary,
    /// For example "<= 0.85".
    pub(crate) aim: Option<String>,
    pub(crate) met: Option<bool>,
    #[serde(skip)]
    pub(super) bound: Option<Aim>,
}

impl Line {
    pub(crate) fn new(
        row: &Row,
        metric: &Metric,
        peer: &str,
        ours: Summary,
        theirs: Summary,
        ratio: Summary,
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
            met: aim.map(|aim| aim.is_met(ratio.median)),
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

fn ratio(summary: &Summary) -> String {
    format!("{:.3} ({:.3} to {:.3})", summary.median, summary.low, summary.high)
}

fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    }
}

/// Formats a figure with about four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
