//! The bare relay: this program itself.

use std::process::Command;

use anyhow::Result;

use super::start::Start;

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let to: Vec<String> = start.setup.endpoints.iter().map(ToString::to_string).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["relay", "--listen", &start.listen.to_string(), "--to", &to.join(",")]);
    command.args(["--workers", &start.setup.workers.to_string()]);
    Ok(command)
}
