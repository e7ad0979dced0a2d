//! The bare relay, a subcommand of this program.

use std::process::Command;

use anyhow::Result;

use super::launch::Launch;

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let to: Vec<String> = launch.setup.endpoints.iter().map(ToString::to_string).collect();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["relay", "--listen", &launch.listen.to_string(), "--to", &to.join(",")]);
    command.args(["--workers", &launch.setup.workers.to_string()]);
    Ok(command)
}
