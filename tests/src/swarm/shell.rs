//! Runs programs to their end.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The default time limit for a program.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// The `PATH` of root on a Debian host.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the path of a program on the hosts if it is installed.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    std::env::split_paths(PATH).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A program failed.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {status}\n{output}")]
pub struct Failed {
    /// The program and its arguments.
    pub command: String,
    /// How it ended.
    pub status: String,
    /// Its standard output and standard error.
    pub output: String,
}

/// Returns a command that runs a program with `arguments`.
pub fn program<A: AsRef<OsStr>>(name: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

/// Runs a command line of words separated by spaces, without quoting, and returns its standard output.
///
/// # Errors
/// The program fails, or exceeds [`TIMEOUT`].
pub async fn run(line: &str) -> Result<String, Failed> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    Ok(output(program(name, words), TIMEOUT).await?.0)
}

/// Runs a program for at most `within`, and returns its standard output and standard error.
///
/// # Errors
/// The program fails, or exceeds the time limit.
pub async fn output(mut command: Command, within: Duration) -> Result<(String, String), Failed> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let words = std::iter::once(command.as_std().get_program()).chain(command.as_std().get_args());
    let line: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let line = line.join(" ");
    let failed = |status: String, output: String| Failed { command: line.clone(), status, output };
    let ended = match tokio::time::timeout(within, command.output()).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(failed(error.to_string(), String::new())),
        Err(_elapsed) => return Err(failed(format!("still running after {within:?}"), String::new())),
    };
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    if !ended.status.success() {
        return Err(failed(ended.status.to_string(), format!("{stdout}{stderr}")));
    }
    Ok((stdout, stderr))
}
