//! The tutorial's Flask application, run as the peer that ours must agree with.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::net::TcpStream;

use crate::port;
use crate::process::Process;
use crate::redis::Redis;
use crate::wait::{SOON, eventually};

/// The application under Flask's own server, one process. Dropping it ends it.
#[derive(Debug)]
pub struct Flask {
    address: SocketAddr,
    /// Held for its end.
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
        let mut process = Process::of(environment().join("bin/python"))
            .arg(fixture("app.py"))
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", redis.port().to_string())
            .env("PORT", address.port().to_string())
            .start();
        process.line("Running on").await;
        eventually("Flask's listening", SOON, async || TcpStream::connect(address).await.is_ok()).await;
        Self { address, _process: process }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/flask").join(name)
}

/// The virtual environment, made when it is missing or the requirements have changed.
fn environment() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("a target directory");
    let directory = target.join("flask");
    // Several test programs may come here at once; the lock ends with the file's scope.
    let lock = File::create(target.join("flask.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let wanted = fs::read_to_string(fixture("requirements.txt")).expect("the requirements");
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|have| have == wanted) {
        return directory;
    }
    run(bounded("python3").args(["-m", "venv", "--clear"]).arg(&directory));
    run(bounded(directory.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--requirement"])
        .arg(fixture("requirements.txt")));
    fs::write(&installed, wanted).expect("a file in the target directory");
    directory
}

/// A command that is killed when it takes longer than any download should.
fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "300"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("timeout is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
}
