//! The edge, configured by a file.

use std::process::Command;

use anyhow::Result;

use super::launch::{Launch, MAX_IDLE};

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let tls = launch.setup.certificate.map_or_else(String::new, |certificate| {
        let (chain, key) = (certificate.chain.display(), certificate.key.display());
        format!("[listener.tls]\ncertificates = [{{ certificate = \"{chain}\", key = \"{key}\" }}]\n")
    });
    let config = format!(
        r#"
workers = {workers}
admin = "{admin}"
access_log = "{log}"

[[listener]]
address = "{listen}"
{tls}
[pool.upstream]
endpoints = [{endpoints}]
max_idle = {MAX_IDLE}
{health}
[limits]
max_connections = 15000
connections_per_client = 0

[timeouts]
keep_alive = "5min"
"#,
        workers = launch.setup.workers,
        admin = launch.admin,
        log = launch.log(),
        listen = launch.listen,
        health = if launch.setup.health {
            "[pool.upstream.health]\npath = \"/healthz\"\ninterval = \"2s\"\n"
        } else {
            "health = false\n"
        },
        endpoints = launch.endpoints(|_, endpoint| format!("\"{endpoint}\", ")),
    );
    let path = launch.file("edge.toml", &config)?;
    let mut command = Command::new(&launch.environment.edge);
    command.args(["run", "--log", "warn", "--config"]).arg(path);
    Ok(command)
}
