//! Starts proxies.

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
    environment::Environment,
    haproxy,
    launch::{Launch, Setup},
    nginx,
    peer::Peer,
    pingora, relay,
};
use crate::{
    load::clients::{Clients, Request},
    port,
    process::Process,
};

/// A running proxy. Dropping it terminates the process and removes its files.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// The last field, so that it is dropped after the process that writes to it.
    directory: TempDir,
}

impl Proxy {
    /// Starts a proxy and waits until it forwards.
    pub(crate) fn start(environment: &Environment, peer: Peer, setup: &Setup<'_>) -> Result<Self> {
        let mut proxy = Self::launch(environment, peer, setup, &[])?;
        proxy.ready(setup).with_context(|| format!("{}, with the output: {}", peer.name(), proxy.output()))?;
        Ok(proxy)
    }

    /// Starts a proxy, under `wrapper` if that is not empty, without waiting for it.
    pub(crate) fn launch(environment: &Environment, peer: Peer, setup: &Setup<'_>, wrapper: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix_in(peer.name(), environment.files.path())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let launch = Launch { environment, setup, directory: directory.path(), listen: address, admin };
        let command = match peer {
            Peer::Edge => edge::command(&launch),
            Peer::Haproxy => haproxy::command(&launch),
            Peer::Nginx => nginx::command(&launch),
            Peer::Caddy => caddy::command(&launch),
            Peer::Pingora => pingora::command(&launch),
            Peer::Relay => relay::command(&launch),
            _ => bail!("{} is not a proxy", peer.name()),
        }?;
        let cpus = if setup.workers > 1 { environment.cores.all() } else { environment.cores.proxy() };
        let command = wrapped(wrapper, command);
        let process = Process::start(peer.name(), &cpus, &command, &directory.path().join("output.txt"))?;
        Ok(Self { peer, process, address, directory })
    }

    /// The proxy's output.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output.txt")).unwrap_or_default()
    }

    /// The proxy's own folder.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until the proxy responds or, with TLS, until it accepts connections.
    pub(crate) fn ready(&mut self, setup: &Setup<'_>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let tried = Clients::connect(self.address, 1).and_then(|mut clients| {
                if setup.certificate.is_some() { Ok(()) } else { clients.once(&Request::get("/")) }
            });
            match tried {
                Ok(()) => return Ok(()),
                Err(_) if self.process.has_ended() => bail!("the program has exited"),
                Err(error) if Instant::now() > deadline => return Err(error).context("no response"),
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
