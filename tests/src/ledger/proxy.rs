//! The proxies under test. Each checks its endpoints and is configured as its own documentation recommends; what is not
//! named is its default.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::port;
use crate::process::{Plan, Process};

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The workspace's own.
    Edge,
    /// HAProxy.
    Haproxy,
    /// nginx, the open-source version, which checks endpoints only by the requests that it forwards.
    Nginx,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Edge, Self::Haproxy, Self::Nginx];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }
}

/// A running proxy. Dropping it kills it.
#[derive(Debug)]
pub struct Proxy {
    kind: Kind,
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    /// Starts a proxy for HTTP/1.1, or for HTTP/2 by prior knowledge, in front of these endpoints. It may not listen
    /// yet.
    ///
    /// # Panics
    /// If it is not installed.
    #[must_use]
    pub fn start(kind: Kind, http2: bool, endpoints: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let plan = match kind {
            Kind::Edge => edge(folder.path(), address, endpoints),
            Kind::Haproxy => haproxy(folder.path(), address, http2, endpoints),
            Kind::Nginx => nginx(folder.path(), address, http2, endpoints),
        };
        Self { kind, process: plan.start(), address, _folder: folder }
    }

    /// The address for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it read its configuration again.
    pub(super) fn reload(&mut self) {
        self.process.signal(match self.kind {
            Kind::Edge | Kind::Nginx => Signal::HUP,
            Kind::Haproxy => Signal::USR2,
        });
    }
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file can be written");
    path
}

fn edge(folder: &Path, address: SocketAddr, endpoints: &[SocketAddr]) -> Plan {
    let list: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
    let config = format!(
        "[[listener]]\naddress = \"{address}\"\n[pool.web]\nendpoints = [{}]\n[pool.web.health]\npath = \"/healthz\"\n",
        list.join(", ")
    );
    let flags = ["run", "--admin", "off", "--access-log", "off", "--workers", "2", "--config"];
    Process::ours("edge").args(flags).arg(write(folder, "edge.toml", &config))
}

fn haproxy(folder: &Path, address: SocketAddr, http2: bool, endpoints: &[SocketAddr]) -> Plan {
    let mut servers = String::new();
    for (at, endpoint) in endpoints.iter().enumerate() {
        writeln!(servers, "    server s{at} {endpoint} check").expect("text");
    }
    let config = format!(
        "global
    nbthread 2
    no strict-limits
defaults
    mode http
    option redispatch
    option http-keep-alive
    http-reuse safe
    timeout client 60s
    timeout http-request 10s
    timeout connect 1s
    timeout server 30s
    timeout queue 5s
frontend entry
    bind {address}{proto}
    default_backend web
backend web
    balance roundrobin
    option httpchk GET /healthz
{servers}",
        proto = if http2 { " proto h2" } else { "" },
    );
    Process::of("haproxy").args(["-W", "-db", "-f"]).arg(write(folder, "haproxy.cfg", &config))
}

fn nginx(folder: &Path, address: SocketAddr, http2: bool, endpoints: &[SocketAddr]) -> Plan {
    let mut servers = String::new();
    for endpoint in endpoints {
        writeln!(servers, "        server {endpoint};").expect("text");
    }
    let path = folder.display();
    let config = format!(
        "daemon off;
user root;
worker_processes 2;
pid {path}/nginx.pid;
error_log {path}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    upstream web {{
{servers}        keepalive 32;
    }}
    server {{
        listen {address}{http2};
        location / {{
            proxy_pass http://web;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_connect_timeout 1s;
            proxy_read_timeout 30s;
        }}
    }}
}}
",
        http2 = if http2 { " http2" } else { "" },
    );
    let file = write(folder, "nginx.conf", &config);
    Process::of("nginx").arg("-c").arg(file).args(["-e", "stderr", "-p"]).arg(folder)
}
