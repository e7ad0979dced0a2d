//! Caddy, with a Caddyfile. `GOMAXPROCS` is its number of workers.

use std::process::Command;

use anyhow::Result;

use super::start::{IDLE, Start};

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let (scheme, tls) = match start.setup.certificate {
        Some(certificate) => ("https", format!("tls {} {}", certificate.chain.display(), certificate.key.display())),
        None => ("http", String::new()),
    };
    let config = format!(
        r#"
{{
    admin {admin}
    auto_https off
    servers {{
        metrics
        timeouts {{
            idle 5m
        }}
    }}
}}
{scheme}://:{port} {{
    bind {address}
    {tls}
    log {{
        output file {log} {{
            roll_disabled
        }}
        format json
    }}
    reverse_proxy {endpoints} {{
        lb_policy round_robin
        health_uri /healthz
        health_interval 2s
        header_up Forwarded "for={{http.request.remote.host}};proto={{http.request.scheme}};host={{http.request.host}}"
        header_up Via "1.1 caddy"
        transport http {{
            keepalive 60s
            keepalive_idle_conns {all}
            keepalive_idle_conns_per_host {IDLE}
            compression off
        }}
    }}
}}
"#,
        admin = start.admin,
        port = start.listen.port(),
        address = start.listen.ip(),
        log = start.log(),
        endpoints = start.endpoints(|_, endpoint| format!("{endpoint} ")),
        all = IDLE * start.setup.endpoints.len(),
    );
    let path = start.file("Caddyfile", &config)?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    command.env("GOMAXPROCS", start.setup.workers.to_string());
    command.env("HOME", start.directory).env("XDG_DATA_HOME", start.directory);
    Ok(command)
}
