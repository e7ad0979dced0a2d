//! Measures rows: edge and peer in turn, round by round.

use std::{
    cell::OnceCell,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::{Aim, Metric, Row, Side, table::ALL};
use crate::{
    args::Args,
    load::closed::Window,
    machine::Machine,
    peers::{Ground, Peer, Proxy},
    pin::Cores,
    process,
    redis::{Cluster, Redis},
    report::{Line, Report},
    sink::Sink,
    stats::Spread,
    upstream::Upstream,
};

/// What every row measures with.
pub(crate) struct Bench {
    pub(crate) ground: Ground,
    pub(crate) upstream: Upstream,
    pub(crate) window: Window,
    pub(crate) rounds: u32,
    /// Requests a second at which latency is measured, once it is known.
    pub(crate) rate: OnceCell<f64>,
    /// For the counter, once it is needed.
    pub(crate) redis: OnceCell<Redis>,
    pub(crate) cluster: OnceCell<Cluster>,
}

/// Measures what the command line asks for.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for row in ALL {
            println!("{:24} {}", row.name, row.title);
        }
        return Ok(());
    }
    let rows = chosen(&args.rows)?;
    let bench = Bench::new(args)?;
    let mut report =
        Report::new(Machine::new(bench.ground.cores.count(), &bench.ground.edge), bench.rounds, bench.window.length);
    for row in rows {
        let wanted = |peer: &&Peer| args.peers.is_empty() || args.peers.iter().any(|name| name == peer.name());
        let peers: Vec<Peer> = row.peers.iter().filter(wanted).copied().collect();
        measure(&bench, row, &peers, &mut report);
    }
    report.finish(args)
}

/// The rows of these names. A name's beginning stands for all rows that begin with it: `tls`, `app`.
fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    let is = |row: &Row, name: &str| {
        row.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for name in names {
        ensure!(ALL.iter().any(|row| is(row, name)), "there is no row {name:?}; see --list");
    }
    Ok(ALL.iter().filter(|row| names.is_empty() || names.iter().any(|name| is(row, name))).collect())
}

impl Bench {
    fn new(args: &Args) -> Result<Self> {
        let cores = Cores::new()?;
        many_files()?;
        let files = TempDir::with_prefix("bench.")?;
        end_on_interrupt(files.path().to_owned())?;
        cores.pin_load()?;
        if !cores.apart() {
            eprintln!("bench: one core only: proxy and load share it");
        }
        let edge = args.edge.clone().context("which edge? --edge or BENCH_EDGE")?;
        let ground = Ground {
            cores,
            edge,
            pingora: args.pingora.clone(),
            app: args.app.clone(),
            python: args.python.clone(),
            root: args.root.clone(),
            sink: Sink::start()?,
            files,
        };
        let length = Duration::from_secs_f64(args.seconds);
        let window = Window { warm_up: length.min(Duration::from_millis(500)), length };
        Ok(Self {
            ground,
            upstream: Upstream::start()?,
            window,
            rounds: args.rounds,
            rate: OnceCell::new(),
            redis: OnceCell::new(),
            cluster: OnceCell::new(),
        })
    }

    /// Whether a proxy did all of its task, the access log above all.
    pub(crate) fn check(&self, proxy: &Proxy) -> Result<()> {
        if proxy.peer == Peer::Haproxy {
            ensure!(self.ground.sink.lines() > 0, "HAProxy's log lines do not arrive");
        } else if proxy.peer != Peer::Relay {
            let log = proxy.directory().join("access.log");
            let deadline = Instant::now() + Duration::from_secs(3);
            while log.metadata().map_or(0, |file| file.len()) == 0 {
                if Instant::now() > deadline {
                    bail!("{} logs no requests", proxy.peer.name());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }
}

/// Raises the limit of open files to the maximum, for this process and its children.
fn many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// A peer that fails is a line of the table; the run continues.
fn measure(bench: &Bench, row: &Row, peers: &[Peer], report: &mut Report) {
    let mut failed: Vec<(Peer, String)> = Vec::new();
    // For each peer, the edge's figures and its own: one pair per round.
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
    let ratio = Spread::of(&ratios)?;
    let aim: Option<Aim> = metric.aims.iter().find(|(of, _)| *of == peer).map(|(_, aim)| *aim);
    Some(Line::new(
        row,
        metric,
        row.against.unwrap_or(peer.name()),
        Spread::of(&ours)?,
        Spread::of(&theirs)?,
        ratio,
        aim,
    ))
}

/// Ends the proxies and removes the files when the benchmark is interrupted.
fn end_on_interrupt(files: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (interrupt, terminate) = {
        let _guard = runtime.enter();
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        let (mut interrupt, mut terminate) = (interrupt, terminate);
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        process::end_all();
        std::fs::remove_dir_all(files).ok();
        std::process::exit(130);
    });
    Ok(())
}
