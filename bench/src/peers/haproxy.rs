//! HAProxy. It cannot log to a file. Its cheapest log is a ring buffer forwarded over TCP, which costs a copy per
//! request instead of a system call.

use std::process::Command;

use anyhow::Result;

use super::launch::Launch;

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let (bind, proto) = match launch.setup.certificate {
        Some(certificate) => (format!(" ssl crt {} alpn h2,http/1.1", certificate.both.display()), "https"),
        None => (String::new(), "http"),
    };
    let config = format!(
        r#"
global
    nbthread {threads}
    maxconn 20000
    # Twice as many open files may exceed the limit, and are never used.
    no strict-limits
    log ring@access local0
    ssl-default-bind-options ssl-min-ver TLSv1.2

ring access
    format raw
    maxlen 2000
    size 4194304
    timeout connect 5s
    timeout server 10s
    server sink {sink}

defaults
    mode http
    log global
    option dontlognull
    {splice}
    timeout client 5m
    timeout http-request 10s
    timeout http-keep-alive 5m
    timeout connect 1s
    timeout server 30s
    timeout tunnel 1h
    http-reuse always

frontend entry
    bind {listen}{bind}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto {proto}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Forwarded for=%[src];proto={proto};host=%[req.hdr(host)]
    http-request add-header Via "%[req.ver] haproxy"
    http-request capture req.hdr(host) len 64
    http-request capture req.hdr(user-agent) len 64
    log-format '{format}'
    default_backend upstream

backend upstream
    balance roundrobin
    option httpchk GET /healthz
    {health}
{endpoints}
frontend stats
    no log
    bind {admin}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /
"#,
        threads = launch.setup.workers,
        sink = launch.environment.sink.address(),
        splice = if launch.setup.splice { "option splice-auto" } else { "" },
        listen = launch.listen,
        health = if launch.setup.health { "default-server check inter 2s rise 2 fall 3" } else { "" },
        format = FORMAT,
        endpoints = launch.endpoints(|at, endpoint| format!("    server s{at} {endpoint}\n")),
        admin = launch.admin,
    );
    let path = launch.file("haproxy.cfg", &config)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(path);
    Ok(command)
}

/// The same keys as the edge's access log.
const FORMAT: &str = concat!(
    r#"{"time":"%t","client":"%ci:%cp","method":"%HM","host":"%[capture.req.hdr(0)]","target":"%HU","#,
    r#""protocol":"%HV","tls":"%sslv","status":%ST,"request_bytes":%U,"response_bytes":%B,"duration_ms":%Ta,"#,
    r#""head_ms":%Tr,"pool":"%b","endpoint":"%si:%sp","attempts":%rc,"error":"%tsc","#,
    r#""user_agent":"%[capture.req.hdr(1)]"}"#,
);
