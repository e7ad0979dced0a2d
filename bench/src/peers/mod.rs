//! The proxies: each gets the same task, configured as its own documentation advises for it.
//!
//! The task: keep-alive on both sides, `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded` and `Via` set, one
//! line of JSON logged for each request, endpoints checked every two seconds, metrics kept.

mod caddy;
mod edge;
mod haproxy;
mod nginx;
mod pingora;
mod relay;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tempfile::TempDir;

use crate::{
    load::fleet::{Fleet, Question},
    pin::Cores,
    port,
    process::Process,
    sink::Sink,
    tls::Certificate,
};

/// Idle connections that a proxy may keep to each endpoint, for proxies that have such a setting.
const IDLE: usize = 1024;

/// A proxy, or a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    Edge,
    Haproxy,
    Nginx,
    Caddy,
    Pingora,
    Relay,
    /// The counter with one Redis.
    App,
    /// The counter with a Redis and its replicas.
    Replicated,
    /// A page that does not count.
    Constant,
    /// An `INCR` for each request.
    Naive,
    /// The tutorial's program under gunicorn.
    Flask,
}

impl Peer {
    /// Its name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Pingora => "pingora",
            Self::Relay => "relay",
            Self::App => "app",
            Self::Replicated => "app, replicated",
            Self::Constant => "constant",
            Self::Naive => "naive",
            Self::Flask => "flask",
        }
    }
}

/// The task of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) endpoints: Vec<SocketAddr>,
    /// Threads or processes that forward. One is pinned to the proxy's core, more run on all cores.
    pub(crate) workers: usize,
    /// TLS with this certificate instead of plain HTTP.
    pub(crate) certificate: Option<&'a Certificate>,
    /// Whether bodies are large, so that splicing them inside the kernel pays.
    pub(crate) splice: bool,
    /// Whether endpoints are checked.
    pub(crate) health: bool,
}

impl Setup<'_> {
    /// Plain HTTP, one worker.
    pub(crate) fn plain(endpoints: Vec<SocketAddr>) -> Self {
        Self { endpoints, workers: 1, certificate: None, splice: false, health: true }
    }
}

/// What all proxies of a run share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) cores: Cores,
    pub(crate) edge: PathBuf,
    pub(crate) pingora: Option<PathBuf>,
    pub(crate) app: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Where HAProxy's log goes.
    pub(crate) sink: Sink,
    /// The files of this run.
    pub(crate) files: TempDir,
}

/// One start of a proxy, as its own file sees it.
#[derive(Debug)]
struct Start<'a> {
    ground: &'a Ground,
    setup: &'a Setup<'a>,
    /// The folder of this start.
    directory: &'a Path,
    listen: SocketAddr,
    /// For metrics.
    admin: SocketAddr,
}

impl Start<'_> {
    /// Writes a file of this start and returns its path.
    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Where the access log goes.
    fn log(&self) -> String {
        self.directory.join("access.log").display().to_string()
    }

    /// All endpoints, each written by `line`.
    fn endpoints(&self, line: impl Fn(usize, &SocketAddr) -> String) -> String {
        self.setup.endpoints.iter().enumerate().map(|(at, endpoint)| line(at, endpoint)).collect()
    }
}

/// A running proxy. Dropping it ends the process and removes its files.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Dropped after the process that writes to it.
    directory: TempDir,
}

impl Proxy {
    /// Starts it and waits until it forwards.
    pub(crate) fn start(ground: &Ground, peer: Peer, setup: &Setup<'_>) -> Result<Self> {
        let mut proxy = Self::launch(ground, peer, setup, &[])?;
        proxy.ready(setup).with_context(|| format!("{}, which wrote: {}", peer.name(), proxy.output()))?;
        Ok(proxy)
    }

    /// Starts it, under `wrapper` if there is one, and does not wait.
    pub(crate) fn launch(ground: &Ground, peer: Peer, setup: &Setup<'_>, wrapper: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix_in(peer.name(), ground.files.path())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let start = Start { ground, setup, directory: directory.path(), listen: address, admin };
        let command = match peer {
            Peer::Edge => edge::command(&start),
            Peer::Haproxy => haproxy::command(&start),
            Peer::Nginx => nginx::command(&start),
            Peer::Caddy => caddy::command(&start),
            Peer::Pingora => pingora::command(&start),
            Peer::Relay => relay::command(&start),
            _ => bail!("{} is no proxy", peer.name()),
        }?;
        let cpus = if setup.workers > 1 { ground.cores.every() } else { ground.cores.proxy() };
        let command = wrapped(wrapper, command);
        let process = Process::start(peer.name(), &cpus, &command, &directory.path().join("output.txt"))?;
        Ok(Self { peer, process, address, directory })
    }

    /// Its output.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output.txt")).unwrap_or_default()
    }

    /// Its own folder.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until it responds; with TLS, until it accepts connections.
    pub(crate) fn ready(&mut self, setup: &Setup<'_>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let tried = Fleet::connect(self.address, 1).and_then(|mut fleet| {
                if setup.certificate.is_some() { Ok(()) } else { fleet.once(&Question::get("/")) }
            });
            match tried {
                Ok(()) => return Ok(()),
                Err(_) if self.process.has_ended() => bail!("it has ended"),
                Err(error) if Instant::now() > deadline => return Err(error).context("it does not answer"),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

fn wrapped(wrapper: &[&str], command: Command) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(key, value);
        }
    }
    outer
}
