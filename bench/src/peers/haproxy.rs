//! HAProxy. It cannot log to a file; a ring buffer that is forwarded over TCP is its cheapest log, and costs a copy
//! instead of a system call for each request.

use std::process::Command;

use anyhow::Result;

use super::start::Start;

pub(super) fn command(start: &Start<'_>) -> Result<Command> {
    let (bind, proto) = match start.setup.certificate {
        Some(certificate) => (format!(" ssl crt {} alpn h2,http/1.1", certificate.both.display()), "https"),
        None => (String::new(), "http"),
    };
    let config = format!(
        r#"
global
    nbthread {threads}
    maxconn 20000
    # Twice that many open files may be more than are allowed here, and more than are ever used.
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
        threads = start.setup.workers,
        sink = start.ground.sink.address(),
        splice = if start.setup.splice { "option splice-auto" } else { "" },
        listen = start.listen,
        health = if start.setup.health { "default-server check inter 2s rise 2 fall 3" } else { "" },
        format = FORMAT,
        endpoints = start.endpoints(|at, endpoint| format!("    server s{at} {endpoint}\n")),
        admin = start.admin,
    );
    let path = start.file("haproxy.cfg", &config)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(path);
    Ok(command)
}

/// The keys of the edge's own log.
const FORMAT: &str = concat!(
    r#"{"time":"%t","client":"%ci:%cp","method":"%HM","host":"%[capture.req.hdr(0)]","target":"%HU","#,
    r#""protocol":"%HV","tls":"%sslv","status":%ST,"request_bytes":%U,"response_bytes":%B,"duration_ms":%Ta,"#,
    r#""head_ms":%Tr,"pool":"%b","endpoint":"%si:%sp","attempts":%rc,"error":"%tsc","#,
    r#""user_agent":"%[capture.req.hdr(1)]"}"#,
);
