//! A proxy that runs.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{
    caddy, edge,
    ground::Ground,
    haproxy, nginx,
    peer::Peer,
    pingora, relay,
    start::{Setup, Start},
};
use crate::{
    load::fleet::{Fleet, Question},
    port,
    process::Process,
};

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
