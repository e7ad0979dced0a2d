//! A proxy built with Pingora, in `bench/pingora`, since Pingora is a library.

use std::process::Command;

use anyhow::{Context, Result};

use super::start::{IDLE, Start};

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let program = start.ground.pingora.as_ref().context("no --pingora is given")?;
    let to: Vec<String> = start.setup.endpoints.iter().map(ToString::to_string).collect();
    let mut command = Command::new(program);
    command.args([start.listen.to_string(), start.admin.to_string(), start.setup.workers.to_string()]);
    command.args([IDLE.to_string(), start.log(), to.join(",")]);
    Ok(command)
}
