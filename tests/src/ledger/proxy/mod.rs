//! The proxies under test. Each checks its endpoints if it can, and is configured as its own documentation recommends;
//! what is not named is its default. The time-outs are the same for all: 1 s to connect, 5 s for a response.

mod edge;
mod haproxy;
mod nginx;
mod setup;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use self::setup::HandOver;
use self::setup::Place;
pub(super) use self::setup::{Backend, NAME, Setup};
use crate::port;
use crate::process::{Plan, Process};
use crate::wait::try_eventually;

/// How long a replaced proxy may take to end before it is left alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// The workspace's own.
    Edge,
    /// HAProxy.
    Haproxy,
    /// nginx, the open-source version, which checks endpoints only by the requests that it forwards.
    Nginx,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Edge, Self::Haproxy, Self::Nginx];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    /// The version of the installed program; `None` without one.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let mut command = match self {
            Self::Edge => Command::new(crate::process::binary("edge")),
            Self::Haproxy => Command::new("haproxy"),
            Self::Nginx => Command::new("nginx"),
        };
        let output = command.arg(if self == Self::Edge { "--version" } else { "-v" }).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let mut words = text.split([' ', '/', '-', '\n']);
        let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
        Some(version.to_owned())
    }
}

/// A running proxy. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Proxy {
    kind: Kind,
    setup: Setup,
    process: Process,
    /// Replaced ones that have not ended.
    replaced: Vec<Process>,
    place: Place,
}

impl Proxy {
    /// Starts a proxy. It may not listen yet.
    pub(super) fn start(kind: Kind, setup: Setup) -> Self {
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let http1 = address();
        let http2 = if kind == Kind::Nginx { address() } else { http1 };
        let inherits = kind == Kind::Edge && setup.hand_over == Some(HandOver::Inherited);
        let socket = inherits.then(|| std::net::TcpListener::bind(http1).expect("a free port"));
        let place = Place { folder: tempfile::tempdir().expect("a folder"), http1, http2, socket };
        let process = plan(kind, &setup, &place, None).start();
        Self { kind, setup, process, replaced: Vec::new(), place }
    }

    /// The address for clients of HTTP/1.1 or HTTP/2.
    pub(super) fn address(&self, is_http2: bool) -> SocketAddr {
        if is_http2 { self.place.http2 } else { self.place.http1 }
    }

    /// Makes it read its configuration again.
    pub(super) fn reload(&mut self) {
        self.process.signal(match self.kind {
            Kind::Edge | Kind::Nginx => Signal::HUP,
            Kind::Haproxy => Signal::USR2,
        });
    }

    /// Starts another in its place, ends it, and waits until it has ended.
    pub(super) async fn replace(&mut self) {
        if self.kind == Kind::Nginx {
            return nginx::replace(self.place.path(), PATIENCE).await;
        }
        let mut next = plan(self.kind, &self.setup, &self.place, Some(&self.process)).start();
        if self.kind == Kind::Edge {
            next.line("\"listening\"").await;
        }
        let mut old = std::mem::replace(&mut self.process, next);
        // HAProxy's successor ends its predecessor itself.
        if self.kind == Kind::Edge && self.setup.hand_over.is_some_and(HandOver::needs_a_signal) {
            old.terminate();
        }
        let ended = try_eventually(PATIENCE, async || old.exited()).await;
        if ended.is_none() {
            self.replaced.push(old);
        }
    }

    /// Ends it, and the processes that it started.
    pub(super) async fn end(mut self) {
        if self.kind == Kind::Nginx {
            nginx::end(self.place.path());
        }
        self.process.terminate();
        let _ended = try_eventually(PATIENCE / 2, async || self.process.exited()).await;
    }
}

fn plan(kind: Kind, setup: &Setup, place: &Place, before: Option<&Process>) -> Plan {
    match kind {
        Kind::Edge => edge::plan(setup, place),
        Kind::Haproxy => haproxy::plan(setup, place, before),
        Kind::Nginx => nginx::plan(setup, place),
    }
}
