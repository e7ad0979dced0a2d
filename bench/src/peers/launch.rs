//! A proxy's task, and what its configuration is generated from.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::environment::Environment;
use crate::tls::Certificate;

/// The limit of idle connections per endpoint, for proxies that have such a setting.
pub(super) const MAX_IDLE: usize = 1024;

/// The task of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) endpoints: Vec<SocketAddr>,
    /// The number of threads or processes that forward. A single one is pinned to the proxy's core; more run on all
    /// cores.
    pub(crate) workers: usize,
    /// The certificate for TLS; `None` for plain HTTP.
    pub(crate) certificate: Option<&'a Certificate>,
    /// Whether bodies are large enough that splicing them in the kernel pays.
    pub(crate) splice: bool,
    /// Whether the proxy checks the health of endpoints.
    pub(crate) health: bool,
}

impl Setup<'_> {
    /// Plain HTTP with one worker and health checks.
    pub(crate) fn plain(endpoints: Vec<SocketAddr>) -> Self {
        Self { endpoints, workers: 1, certificate: None, splice: false, health: true }
    }
}

/// One launch of a proxy: what each peer's module generates the command and configuration from.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) environment: &'a Environment,
    pub(super) setup: &'a Setup<'a>,
    /// The folder of this launch.
    pub(super) directory: &'a Path,
    pub(super) listen: SocketAddr,
    /// The address for metrics.
    pub(super) admin: SocketAddr,
}

impl Launch<'_> {
    /// Writes a file of this launch and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The path of the access log.
    pub(super) fn log(&self) -> String {
        self.directory.join("access.log").display().to_string()
    }

    /// All endpoints, each formatted by `line`.
    pub(super) fn endpoints(&self, line: impl Fn(usize, &SocketAddr) -> String) -> String {
        self.setup.endpoints.iter().enumerate().map(|(at, endpoint)| line(at, endpoint)).collect()
    }
}
