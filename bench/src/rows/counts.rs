//! Counts, which do not depend on what else the machine does.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::bench::Bench;
use crate::{
    cpu,
    load::{
        clients::{Clients, Request},
        closed,
    },
    peers::{Peer, Proxy, Setup},
    process::Process,
};

const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 64;

/// Returns system calls per request, counted by strace.
pub(super) fn system_calls(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let proxy = Proxy::start(&bench.environment, peer, &Setup::plain(bench.upstream.three_endpoints()))?;
    let request = Request::get("/");
    let mut clients = Clients::connect(proxy.address, CONNECTIONS)?;
    closed::count(&mut clients, &request, REQUESTS)?;

    let (table, log) = (proxy.directory().join("strace.txt"), proxy.directory().join("strace.log"));
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&table);
    let tree = cpu::process_tree(proxy.process.pid());
    for pid in &tree {
        command.arg("-p").arg(pid.to_string());
    }
    let mut strace = Process::start("strace", &bench.environment.cores.load(), &command, &log)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(&log)?.matches("attached").count() < tree.len() {
        ensure!(!strace.has_ended() && Instant::now() < deadline, "strace: {}", fs::read_to_string(&log)?);
        thread::sleep(Duration::from_millis(10));
    }
    closed::count(&mut clients, &request, REQUESTS)?;
    strace.signal(Signal::INT)?;
    strace.wait_for_exit(Duration::from_secs(10))?;
    let text = fs::read_to_string(&table)?;
    let total = text.lines().find(|line| line.ends_with(" total"));
    let total = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
    Ok(vec![total.with_context(|| format!("unexpected output of strace: {text}"))? / REQUESTS as f64])
}

/// Returns instructions per request, counted by valgrind: the difference between a long and a short run.
pub(super) fn instructions(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let (short, long) = (2_000, 8_000);
    let few = executed(bench, peer, short)?;
    let many = executed(bench, peer, long)?;
    Ok(vec![many.saturating_sub(few) as f64 / (long - short) as f64])
}

fn executed(bench: &Bench, peer: Peer, requests: u64) -> Result<u64> {
    let setup = Setup { health: false, ..Setup::plain(bench.upstream.three_endpoints()) };
    let wrapper = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let mut proxy = Proxy::launch(&bench.environment, peer, &setup, &wrapper)?;
    proxy.ready(&setup).with_context(|| format!("under valgrind: {}", proxy.output()))?;
    let mut clients = Clients::connect(proxy.address, CONNECTIONS)?;
    closed::count(&mut clients, &Request::get("/"), requests)?;
    drop(clients);
    proxy.process.signal(Signal::TERM)?;
    proxy.process.wait_for_exit(Duration::from_secs(60))?;
    let text = proxy.output();
    let count = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    let Some(count) = count else { bail!("unexpected output of valgrind: {text}") };
    Ok(count)
}
