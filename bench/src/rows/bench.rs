//! What all rows share: the programs, the upstream and the length of a measurement.

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
    peers::{Environment, Peer, Proxy},
    pin::Cores,
    process,
    redis::{Cluster, Redis},
    sink::Sink,
    upstream::Upstream,
};

/// What all rows share.
pub(crate) struct Bench {
    pub(crate) environment: Environment,
    pub(crate) upstream: Upstream,
    pub(crate) window: Window,
    pub(crate) rounds: u32,
    /// The rate at which latency is measured, in requests per second. Measured on first use.
    pub(crate) rate: OnceCell<f64>,
    /// The counter's Redis. Started on first use.
    pub(crate) redis: OnceCell<Redis>,
    /// The replicated counter's Redis servers. Started on first use.
    pub(crate) cluster: OnceCell<Cluster>,
}

impl Bench {
    /// Pins this thread and starts the upstream and the log receiver.
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let cores = Cores::new()?;
        raise_open_file_limit()?;
        let files = TempDir::with_prefix("bench.")?;
        process::end_on_interrupt(files.path().to_owned())?;
        cores.pin_load()?;
        if !cores.are_separate() {
            eprintln!("bench: proxy and load share the only core");
        }
        let edge = args.edge.clone().context("no edge to measure: set --edge or BENCH_EDGE")?;
        let environment = Environment {
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
            environment,
            upstream: Upstream::start()?,
            window,
            rounds: args.rounds,
            rate: OnceCell::new(),
            redis: OnceCell::new(),
            cluster: OnceCell::new(),
        })
    }

    /// Checks that a proxy has written its access log.
    pub(crate) fn check(&self, proxy: &Proxy) -> Result<()> {
        if proxy.peer == Peer::Haproxy {
            ensure!(self.environment.sink.lines() > 0, "HAProxy's log lines did not arrive");
        } else if proxy.peer != Peer::Relay {
            let log = proxy.directory().join("access.log");
            let deadline = Instant::now() + Duration::from_secs(3);
            while log.metadata().map_or(0, |file| file.len()) == 0 {
                if Instant::now() > deadline {
                    bail!("{} did not log any request", proxy.peer.name());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }
}

/// Raises the soft limit of open files to the hard limit, for this process and its children.
fn raise_open_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}
