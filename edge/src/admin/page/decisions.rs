//! The section of recent decisions.

use std::{fmt, time::SystemTime};

use super::{
    format::{Escaped, count, relative_time},
    parts::{MANY, folded, section, table},
};
use crate::admin::{DecisionReport, Status};

/// Writes the decisions, the newest first, of which most are folded up; nothing if there are none.
pub(super) fn decisions(out: &mut String, status: &Status) -> fmt::Result {
    let all = &status.decisions;
    if all.is_empty() {
        return Ok(());
    }
    let (newest, older) = all.split_at(all.len().min(MANY));
    section(out, "Recent decisions", |out| {
        rows(out, newest, status.now)?;
        let summary = format!("{} older ones", older.len());
        folded(out, "decisions", &summary, !older.is_empty(), |out| rows(out, older, status.now))
    })
}

fn rows(out: &mut String, decisions: &[DecisionReport], now: SystemTime) -> fmt::Result {
    let columns = [("Last", ""), ("Pool", ""), ("Endpoint", ""), ("What", ""), ("Why", ""), ("Times", "n")];
    table(out, &columns, decisions, |decision| {
        let endpoint = decision.endpoint.map(|endpoint| endpoint.to_string());
        let replica = decision.replica.as_ref().map(|replica| format!("replica {}", Escaped(replica)));
        let subject: Vec<_> = endpoint.into_iter().chain(replica).collect();
        let class = if decision.is_warning { "warn" } else { "idle" };
        let label = decision.decision.replace('_', " ");
        [
            relative_time(decision.at, now),
            Escaped(&decision.pool).to_string(),
            if subject.is_empty() { "–".to_owned() } else { subject.join(" ") },
            format!("<span class=\"state {class}\">{label}</span> <small>{}</small>", Escaped(decision.what)),
            format!("<small>{}</small>", Escaped(&decision.reason)),
            count(decision.count),
        ]
    })
}
