//! One start of a proxy: its task, and what its configuration is written with.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::ground::Ground;
use crate::tls::Certificate;

/// Idle connections that a proxy may keep to each endpoint, for proxies that have such a setting.
pub(super) const IDLE: usize = 1024;

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

/// One start of a proxy, as its own file sees it.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) ground: &'a Ground,
    pub(super) setup: &'a Setup<'a>,
    /// The folder of this start.
    pub(super) directory: &'a Path,
    pub(super) listen: SocketAddr,
    /// For metrics.
    pub(super) admin: SocketAddr,
}

impl Start<'_> {
    /// Writes a file of this start and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Where the access log goes.
    pub(super) fn log(&self) -> String {
        self.directory.join("access.log").display().to_string()
    }

    /// All endpoints, each written by `line`.
    pub(super) fn endpoints(&self, line: impl Fn(usize, &SocketAddr) -> String) -> String {
        self.setup.endpoints.iter().enumerate().map(|(at, endpoint)| line(at, endpoint)).collect()
    }
}
