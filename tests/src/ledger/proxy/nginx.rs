//! nginx, the open-source version: it learns of a failure from requests only. Version 1.22 resolves a name again only
//! if it is in a variable, and has then neither idle connections nor a memory of failures.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::setup::{Backend, NAME, Place, Setup};
use crate::process::{Plan, Process};
use crate::wait::try_eventually;

pub(super) fn plan(setup: &Setup, place: &Place) -> Plan {
    let path = place.path().display();
    let (upstream, to) = match &setup.backend {
        Backend::Addresses(addresses) => {
            let mut upstream = "    upstream web {\n        zone web 64k;\n".to_owned();
            for endpoint in addresses {
                writeln!(upstream, "        server {endpoint};").expect("text");
            }
            (upstream + "        keepalive 64;\n    }\n", "proxy_pass http://web".to_owned())
        }
        Backend::Name { dns, port } => (
            format!("    resolver {dns} valid=1s ipv6=off;\n"),
            format!("set $web {NAME}; proxy_pass http://$web:{port}"),
        ),
    };
    let config = format!(
        "daemon off;
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
{upstream}    server {{
        listen {http1};
        listen {http2} http2;
        location / {{
            {to};
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_connect_timeout 1s;
            proxy_read_timeout 5s;
            proxy_next_upstream error timeout http_500 http_502 http_503 http_504;
        }}
    }}
}}
",
        http1 = place.http1,
        http2 = place.http2,
    );
    let file = place.write("nginx.conf", &config);
    let root = rustix::process::geteuid().is_root();
    let user: &[&str] = if root { &["-g", "user root;"] } else { &[] };
    Process::of("nginx").arg("-c").arg(file).args(["-e", "stderr", "-p"]).arg(place.path()).args(user)
}

/// Starts another master (SIGUSR2), ends the old one (SIGQUIT), and waits until it has ended.
pub(super) async fn replace(folder: &Path, patience: Duration) {
    let Some(old) = pid(folder) else { return };
    if kill_process(old, Signal::USR2).is_err() {
        return;
    }
    let next = async || pid(folder).filter(|pid| *pid != old);
    if try_eventually(patience, next).await.is_some() && kill_process(old, Signal::QUIT).is_ok() {
        // It removes its file last.
        let file = folder.join("nginx.pid.oldbin");
        let _ended = try_eventually(patience, async || (!file.exists()).then_some(())).await;
    }
}

/// Ends the newest master, which no longer is a child of ours once another was replaced.
pub(super) fn end(folder: &Path) {
    if let Some(pid) = pid(folder) {
        kill_process(pid, Signal::TERM).unwrap_or(());
    }
}

fn pid(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("nginx.pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}
