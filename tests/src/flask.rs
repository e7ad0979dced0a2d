//! The tutorial's Flask application, the peer that our counter must agree with.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpStream;

use crate::process::Process;
use crate::redis::Redis;
use crate::wait::{SOON, eventually};
use crate::{port, python};

/// The application under Flask's own server, one process. Dropping it ends it.
#[derive(Debug)]
pub struct Flask {
    address: SocketAddr,
    /// Ends it when dropped.
    _process: Process,
}

impl Flask {
    /// Starts it on top of `redis`. The first call on a machine installs Flask from the package
    /// registry into a virtual environment in the target directory.
    ///
    /// # Panics
    /// When Python's `venv` module is missing, a package cannot be installed, or it does not start.
    pub async fn start(redis: &Redis) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let mut process = python::program("flask", "app.py")
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", redis.port().to_string())
            .env("PORT", address.port().to_string())
            .start();
        process.line("Running on").await;
        eventually("Flask's listening", SOON, async || TcpStream::connect(address).await.is_ok()).await;
        Self { address, _process: process }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
