//! The tutorial's Flask application, whose responses the counter must match.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpStream;

use crate::process::Process;
use crate::redis::Redis;
use crate::wait::{SOON, eventually};
use crate::{port, python};

/// The application in Flask's own server. Dropping it ends the process.
#[derive(Debug)]
pub struct Flask {
    address: SocketAddr,
    /// Ends the process when dropped.
    _process: Process,
}

impl Flask {
    /// Starts the application with `redis`. The first call on a machine installs Flask from the package registry into a
    /// virtual environment in the target directory.
    ///
    /// # Panics
    /// If Python's `venv` module is missing, a package cannot be installed, or the application does not start.
    pub async fn start(redis: &Redis) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let mut process = python::program("flask", "app.py")
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", redis.port().to_string())
            .env("PORT", address.port().to_string())
            .start();
        process.line("Running on").await;
        eventually("a listening Flask", SOON, async || TcpStream::connect(address).await.is_ok()).await;
        Self { address, _process: process }
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
