//! What every row measures with.

use std::{
    cell::OnceCell,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::{
    args::Args,
    load::closed::Window,
    peers::{Ground, Peer, Proxy},
    pin::Cores,
    process,
    redis::{Cluster, Redis},
    sink::Sink,
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

impl Bench {
    /// Starts what all rows share.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let cores = Cores::new()?;
        many_files()?;
        let files = TempDir::with_prefix("bench.")?;
        process::end_on_interrupt(files.path().to_owned())?;
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
