//! Measures rows: edge and peer in turn, round by round.

use anyhow::{Context, Result, ensure};

use crate::{
    args::Args,
    machine::Machine,
    peers::Peer,
    report::{Line, Report},
    rows::{Aim, Bench, Metric, ROWS, Row, Side},
    stats::Summary,
};

/// Measures the rows that the command line names, or lists all.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for row in ROWS {
            println!("{:24} {}", row.name, row.title);
        }
        return Ok(());
    }
    let rows = chosen(&args.rows)?;
    let bench = Bench::new(args)?;
    let mut report = Report::new(
        Machine::new(bench.environment.cores.count(), &bench.environment.edge),
        bench.rounds,
        bench.window.length,
    );
    for row in rows {
        let wanted = |peer: &&Peer| args.peers.is_empty() || args.peers.iter().any(|name| name == peer.name());
        let peers: Vec<Peer> = row.peers.iter().filter(wanted).copied().collect();
        measure(&bench, row, &peers, &mut report);
    }
    report.finish(args)
}

/// Returns the rows of these names. A prefix such as `tls` or `app` selects all rows that begin with it.
fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    let is = |row: &Row, name: &str| {
        row.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for name in names {
        ensure!(ROWS.iter().any(|row| is(row, name)), "unknown row {name:?}; see --list");
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| is(row, name))).collect())
}

/// Measures one row and adds its lines to the report. If a peer fails, the report says why and the run continues.
fn measure(bench: &Bench, row: &Row, peers: &[Peer], report: &mut Report) {
    let mut failed: Vec<(Peer, String)> = Vec::new();
    // For each peer one pair per round: our figures and the peer's.
    let mut figures: Vec<Vec<(Vec<f64>, Vec<f64>)>> = vec![Vec::new(); peers.len()];
    let rounds = if row.once { 1 } else { bench.rounds };
    for round in 1..=rounds {
        eprintln!("{} {round}/{rounds}", row.name);
        for (peer, pairs) in peers.iter().zip(&mut figures) {
            if failed.iter().any(|(other, _)| other == peer) {
                continue;
            }
            let ours = (row.sample)(bench, row.ours, Side::Ours).context("ours");
            let pair = ours.and_then(|ours| Ok((ours, (row.sample)(bench, *peer, Side::Theirs)?)));
            match pair {
                Ok(pair) => pairs.push(pair),
                Err(error) => failed.push((*peer, format!("{error:#}"))),
            }
        }
    }
    for (peer, pairs) in peers.iter().zip(&figures) {
        if let Some((_, why)) = failed.iter().find(|(other, _)| other == peer) {
            eprintln!("{} {}: {why}", row.name, peer.name());
            report.fail(row, *peer, why);
            continue;
        }
        for (at, metric) in row.metrics.iter().enumerate() {
            if let Some(line) = line(row, metric, *peer, at, pairs) {
                eprintln!("{line}");
                report.add(line);
            }
        }
    }
}

fn line(row: &Row, metric: &Metric, peer: Peer, at: usize, pairs: &[(Vec<f64>, Vec<f64>)]) -> Option<Line> {
    let ours: Vec<f64> = pairs.iter().filter_map(|(ours, _)| ours.get(at)).copied().collect();
    let theirs: Vec<f64> = pairs.iter().filter_map(|(_, theirs)| theirs.get(at)).copied().collect();
    if theirs.iter().all(|figure| *figure == 0.0) {
        return None;
    }
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let ratio = Summary::of(&ratios)?;
    let aim: Option<Aim> = metric.aims.iter().find(|(of, _)| *of == peer).map(|(_, aim)| *aim);
    Some(Line::new(
        row,
        metric,
        row.peer_label.unwrap_or(peer.name()),
        Summary::of(&ours)?,
        Summary::of(&theirs)?,
        ratio,
        aim,
    ))
}
