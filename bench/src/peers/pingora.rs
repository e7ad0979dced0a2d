//! The proxy in `bench/pingora`. Pingora itself is a library.

use std::process::Command;

use anyhow::{Context, Result};

use super::launch::{Launch, MAX_IDLE};

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let program = launch.environment.pingora.as_ref().context("--pingora is missing")?;
    let to: Vec<String> = launch.setup.endpoints.iter().map(ToString::to_string).collect();
    let mut command = Command::new(program);
    command.args([launch.listen.to_string(), launch.admin.to_string(), launch.setup.workers.to_string()]);
    command.args([MAX_IDLE.to_string(), launch.log(), to.join(",")]);
    Ok(command)
}
