//! Caddy, configured by a Caddyfile. `GOMAXPROCS` sets its number of workers.

use std::process::Command;

use anyhow::Result;

use super::launch::{Launch, MAX_IDLE};

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let (scheme, tls) = match launch.setup.certificate {
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
            keepalive_idle_conns_per_host {MAX_IDLE}
            compression off
        }}
    }}
}}
"#,
        admin = launch.admin,
        port = launch.listen.port(),
        address = launch.listen.ip(),
        log = launch.log(),
        endpoints = launch.endpoints(|_, endpoint| format!("{endpoint} ")),
        all = MAX_IDLE * launch.setup.endpoints.len(),
    );
    let path = launch.file("Caddyfile", &config)?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
    command.env("GOMAXPROCS", launch.setup.workers.to_string());
    command.env("HOME", launch.directory).env("XDG_DATA_HOME", launch.directory);
    Ok(command)
}
