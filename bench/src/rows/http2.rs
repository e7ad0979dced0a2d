//! HTTP/2 over TLS in front, HTTP/1.1 behind, loaded by h2load.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::bench::Bench;
use crate::{
    peers::{Peer, Proxy, Setup},
    process::Process,
    tls::{Certificate, Kind},
};

/// Enough requests for as long as a window at this rate.
const RATE: f64 = 30_000.0;

/// Requests a second of CPU, with 100 streams on each of 4 connections.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let certificate = Certificate::make(Kind::EcdsaP256, bench.ground.files.path())?;
    let setup = Setup { certificate: Some(&certificate), ..Setup::plain(bench.upstream.three()) };
    let proxy = Proxy::start(&bench.ground, peer, &setup)?;
    let requests = (RATE * bench.window.length.as_secs_f64()) as u64;
    // The first run warms what there is to warm.
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
    let mut h2load = Process::start("h2load", &bench.ground.cores.load(), &command, &log)?;
    h2load.exit(Duration::from_secs(120))?;
    let text = fs::read_to_string(&log)?;
    let succeeded = text.lines().find_map(|line| {
        let (before, _) = line.strip_prefix("status codes: ")?.split_once(" 2xx")?;
        before.trim().parse::<u64>().ok()
    });
    let succeeded = succeeded.with_context(|| format!("h2load wrote: {text}"))?;
    ensure!(text.contains("protocol: h2"), "it is not HTTP/2: {text}");
    ensure!(succeeded == requests, "{succeeded} of {requests} requests succeeded: {text}");
    Ok(())
}
