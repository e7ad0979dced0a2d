//! What a proxy is started with, and what it shares with those that take its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The name of the endpoints in DNS, if a proxy finds them there.
pub(in crate::ledger) const NAME: &str = "tasks.web";

/// Where a proxy finds its endpoints.
#[derive(Clone, Debug)]
pub(in crate::ledger) enum Backend {
    /// At these addresses.
    Addresses(Vec<SocketAddr>),
    /// At the addresses of [`NAME`], which this name server knows, on this port.
    Name {
        /// The name server.
        dns: SocketAddr,
        /// The port of all endpoints.
        port: u16,
    },
}

/// What a proxy is started with.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Setup {
    pub(in crate::ledger) backend: Backend,
    /// How another proxy takes its place, if one will.
    pub(in crate::ledger) hand_over: Option<HandOver>,
    /// Whether names are resolved ten times a second, so that a short run sees what it needs to see.
    pub(in crate::ledger) is_short: bool,
}

/// How an edge takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// Both bind the port (`reuse_port`).
    ReusePort,
    /// Both inherit the socket, as from systemd.
    Inherited,
    /// The new one takes the sockets of the old one over a Unix socket (`takeover`), and ends it.
    Takeover,
}

impl HandOver {
    /// The key of the listener that it takes.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::ReusePort => "reuse_port = true\n",
            Self::Inherited | Self::Takeover => "",
        }
    }

    /// The flags that it takes.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::ReusePort | Self::Inherited => &[],
            Self::Takeover => &["--takeover", "takeover.sock"],
        }
    }

    /// Whether the predecessor ends only when it is told to.
    pub(super) fn needs_a_signal(self) -> bool {
        self != Self::Takeover
    }
}

/// What a proxy and those that replace it share.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: TempDir,
    /// For HTTP/1.1.
    pub(super) http1: SocketAddr,
    /// For HTTP/2 by prior knowledge. The same unless the proxy cannot tell the protocols apart.
    pub(super) http2: SocketAddr,
    /// The socket that each edge inherits, if so.
    pub(super) socket: Option<std::net::TcpListener>,
}

impl Place {
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}
