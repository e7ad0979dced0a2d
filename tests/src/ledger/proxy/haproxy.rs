//! HAProxy, as its configuration manual recommends: checks, passive checks (`observe`), redispatch, and retries of all
//! errors that may be retried, which the manual wants to be limited to requests that may be repeated.

use std::fmt::Write as _;

use super::setup::{Backend, NAME, Place, Setup};
use crate::process::{Plan, Process};

pub(super) fn plan(setup: &Setup, place: &Place, before: Option<&Process>) -> Plan {
    let folder = place.path().display();
    let mut resolvers = String::new();
    let mut servers = String::new();
    match &setup.backend {
        Backend::Addresses(addresses) => {
            for (at, endpoint) in addresses.iter().enumerate() {
                writeln!(servers, "    server s{at} {endpoint}").expect("text");
            }
        }
        Backend::Name { dns, port } => {
            let interval = if setup.is_short { "100ms" } else { "1s" };
            resolvers = format!(
                "resolvers names
    nameserver one {dns}
    accepted_payload_size 8192
    timeout resolve {interval}
    timeout retry {interval}
    hold valid {interval}
"
            );
            // The others keep the defaults: the last addresses stay for 30 s after NXDOMAIN, errors and time-outs.
            servers = format!(
                "    server-template web 10 {NAME}:{port} resolvers names init-addr none resolve-prefer ipv4\n"
            );
        }
    }
    let config = format!(
        "global
    nbthread 2
    no strict-limits
    stats socket {folder}/haproxy.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    retries 3
    option redispatch 1
    retry-on all-retryable-errors
    option http-keep-alive
    http-reuse safe
    timeout client 60s
    timeout http-request 10s
    timeout connect 1s
    timeout server 5s
    timeout queue 1s
    timeout check 1s
    default-server check inter 2s fastinter 500ms fall 3 rise 2 observe layer7 error-limit 5 on-error mark-down
{resolvers}frontend entry
    bind {address}
    default_backend web
backend web
    balance roundrobin
    http-request disable-l7-retry unless METH_GET
    option httpchk GET /healthz
{servers}",
        address = place.http1,
    );
    let file = place.write("haproxy.cfg", &config);
    // A process that is replaced by another has no master, which would be replaced as well.
    let master: &[&str] = if setup.hand_over.is_some() { &["-db"] } else { &["-W", "-db"] };
    let plan = Process::of("haproxy").args(master).arg("-f").arg(file);
    match before {
        None => plan,
        Some(before) => plan
            .arg("-x")
            .arg(place.path().join("haproxy.sock"))
            .args(["-sf", &before.pid().as_raw_nonzero().to_string()]),
    }
}
