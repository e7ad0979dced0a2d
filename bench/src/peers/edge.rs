//! The edge, with a configuration file.

use std::process::Command;

use anyhow::Result;

use super::start::{IDLE, Start};

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let tls = start.setup.certificate.map_or_else(String::new, |certificate| {
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
max_idle = {IDLE}
{health}
[limits]
max_connections = 15000

[timeouts]
keep_alive = "5min"
"#,
        workers = start.setup.workers,
        admin = start.admin,
        log = start.log(),
        listen = start.listen,
        health = if start.setup.health {
            "[pool.upstream.health]\npath = \"/healthz\"\ninterval = \"2s\"\n"
        } else {
            "health = false\n"
        },
        endpoints = start.endpoints(|_, endpoint| format!("\"{endpoint}\", ")),
    );
    let path = start.file("edge.toml", &config)?;
    let mut command = Command::new(&start.ground.edge);
    command.args(["run", "--log", "warn", "--config"]).arg(path);
    Ok(command)
}
