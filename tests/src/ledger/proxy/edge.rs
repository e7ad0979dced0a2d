//! The edge.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use super::setup::{Backend, HandOver, NAME, Place, Setup};
use crate::process::{Plan, Process, binary};

pub(super) fn plan(setup: &Setup, place: &Place) -> Plan {
    let mut config = format!("[[listener]]\naddress = \"{}\"\n", place.http1);
    config += setup.hand_over.map_or("", HandOver::key);
    match &setup.backend {
        Backend::Addresses(addresses) => {
            let list: Vec<String> = addresses.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
            writeln!(config, "[pool.web]\nendpoints = [{}]", list.join(", ")).expect("text");
        }
        Backend::Name { dns, port } => {
            let interval = if setup.is_short { "100ms" } else { "1s" };
            writeln!(config, "[dns]\nservers = \"{dns}\"\ninterval = \"{interval}\"").expect("text");
            writeln!(config, "[pool.web]\nendpoints = \"{NAME}:{port}\"").expect("text");
        }
    }
    // What the others are told as well.
    config += "retry_statuses = [500, \"502-504\"]\n[pool.web.ejection]\nconsecutive_errors = 5\n";
    config += "[pool.web.health]\npath = \"/healthz\"\n[pool.web.timeouts]\nresponse = \"5s\"\n";
    let flags = ["run", "--admin", "off", "--access-log", "off", "--workers", "2", "--config"];
    let file = place.write("edge.toml", &config);
    let plan = match &place.socket {
        None => Process::ours("edge"),
        Some(socket) => {
            let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=edge.socket; \
                          exec \"$@\"";
            let socket = OwnedFd::from(socket.try_clone().expect("a socket can be duplicated"));
            Process::of("sh").args(["-c", script, "sh"]).arg(binary("edge")).stdin(socket)
        }
    };
    // The folder is the working directory, so that flags may name files in it.
    let plan = plan.current_dir(place.path()).args(flags).arg(file);
    plan.args(setup.hand_over.map_or(&[][..], HandOver::flags))
}
