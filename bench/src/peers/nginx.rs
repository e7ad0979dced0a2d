//! nginx, the open-source version. It has no active health checks, only passive ones.

use std::process::Command;

use anyhow::Result;

use super::launch::{Launch, MAX_IDLE};

pub(super) fn command(launch: &Launch<'_>) -> Result<Command> {
    let (listen, tls) = match launch.setup.certificate {
        Some(certificate) => (
            format!("{} ssl http2 reuseport backlog=4096", launch.listen),
            format!(
                "ssl_certificate {};\n        ssl_certificate_key {};\n        ssl_protocols TLSv1.2 TLSv1.3;\n        \
                 ssl_session_cache shared:tls:10m;",
                certificate.chain.display(),
                certificate.key.display()
            ),
        ),
        None => (format!("{} reuseport backlog=4096", launch.listen), String::new()),
    };
    let directory = launch.directory.display();
    let config = format!(
        r#"
daemon off;
user root;
worker_processes {workers};
worker_rlimit_nofile 65536;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 30000; }}
http {{
    log_format json escape=json '{FORMAT}';
    access_log {log} json buffer=64k flush=1s;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 100000000;
    server_tokens off;
    map $http_upgrade $upgrade {{ default upgrade; '' ''; }}
    upstream pool {{
{endpoints}
        keepalive {MAX_IDLE};
        keepalive_requests 100000000;
        keepalive_timeout 60s;
    }}
    server {{
        listen {listen};
        {tls}
        client_max_body_size 0;
        location / {{
            proxy_pass http://pool;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection $upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=$http_host";
            proxy_set_header Via "1.1 nginx";
        }}
    }}
    server {{
        listen {admin};
        access_log off;
        location / {{ stub_status; }}
    }}
}}
"#,
        workers = launch.setup.workers,
        log = launch.log(),
        endpoints = launch.endpoints(|_, endpoint| format!("        server {endpoint} max_fails=3 fail_timeout=5s;\n")),
        admin = launch.admin,
    );
    let path = launch.file("nginx.conf", &config)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(path).args(["-e", "stderr", "-p"]).arg(launch.directory);
    Ok(command)
}

/// The same keys as the edge's access log.
const FORMAT: &str = concat!(
    r#"{"time":"$time_iso8601","client":"$remote_addr:$remote_port","method":"$request_method","#,
    r#""host":"$http_host","target":"$request_uri","protocol":"$server_protocol","tls":"$https","#,
    r#""status":$status,"request_bytes":$request_length,"response_bytes":$body_bytes_sent,"#,
    r#""duration_s":$request_time,"head_s":"$upstream_header_time","pool":"pool","endpoint":"$upstream_addr","#,
    r#""error":"","user_agent":"$http_user_agent"}"#,
);
