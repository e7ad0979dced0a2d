//! HTTP/2 over TLS from clients, HTTP/1.1 to the upstream. The load is h2load's.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::{
    peers::{Peer, Proxy, Setup},
    process::Process,
    tls::{Certificate, Kind},
};

/// The rate that sizes the load: as many requests as take about the measurement's length. Requests per second.
const RATE: f64 = 30_000.0;

/// Returns requests per CPU second, with 100 streams on each of 4 connections.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let certificate = Certificate::make(Kind::EcdsaP256, bench.environment.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three_endpoints()) };
    let proxy = Proxy::start(&bench.environment, peer, &setup)?;
    let requests = (RATE * bench.window.length.as_secs_f64()) as u64;
    // A warm-up.
    load(bench, &proxy, 1000)?;
    let before = proxy.process.cpu()?;
    load(bench, &proxy, requests)?;
    let used = proxy.process.cpu()? - before;
    bench.check(&proxy)?;
    Ok(vec![requests as f64 / (used as f64 / 1e9)])
}

fn load(bench: &Bench, proxy: &Proxy, requests: u64) -> Result<()> {
    let log = proxy.directory().join("h2load.txt");
    let mut command = Command::new("h2load");
    command.args(["--clients=4", "--max-concurrent-streams=100", "--threads=1"]);
    command.args([format!("--requests={requests}"), format!("https://{}/", proxy.address)]);
    let mut h2load = Process::start("h2load", &bench.environment.cores.load(), &command, &log)?;
    h2load.wait_for_exit(Duration::from_secs(120))?;
    let text = fs::read_to_string(&log)?;
    let succeeded = text.lines().find_map(|line| {
        let (before, _) = line.strip_prefix("status codes: ")?.split_once(" 2xx")?;
        before.trim().parse::<u64>().ok()
    });
    let succeeded = succeeded.with_context(|| format!("unexpected output of h2load: {text}"))?;
    ensure!(text.contains("protocol: h2"), "the protocol is not HTTP/2: {text}");
    ensure!(succeeded == requests, "{succeeded} of {requests} requests succeeded: {text}");
    Ok(())
}
