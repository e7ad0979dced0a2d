//! Compares the counter with other programs that serve the same page, each on one core. Redis runs on the load's core.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tempfile::TempDir;

use super::{bench::Bench, latency::microseconds};
use crate::{
    load::{
        clients::{Clients, Request},
        closed,
    },
    peers::Peer,
    port,
    process::Process,
    redis::{Cluster, Redis},
};

const CONNECTIONS: usize = 256;

/// Returns requests per second, median and p99 latency in microseconds, and Redis commands per request.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
    let command = command(bench, peer, address)?;
    let redis = if peer == Peer::Replicated { &cluster(bench)?.master } else { redis(bench)? };
    let directory = TempDir::with_prefix_in("app", bench.environment.files.path())?;
    let log = directory.path().join("output.txt");
    let mut process = Process::start(peer.name(), &bench.environment.cores.proxy(), &command, &log)?;
    ready(&mut process, address).with_context(|| {
        format!("{}, with the output: {}", peer.name(), std::fs::read_to_string(&log).unwrap_or_default())
    })?;

    let mut clients = Clients::connect(address, CONNECTIONS)?;
    let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let request = Request::get("/");
    let outcome = closed::timed(&mut clients, &request, bench.window, || redis.commands(), Some(&mut latencies))?;
    Ok(vec![
        outcome.responses as f64 / outcome.elapsed.as_secs_f64(),
        microseconds(&latencies, 0.5),
        microseconds(&latencies, 0.99),
        outcome.probe as f64 / outcome.responses as f64,
    ])
}

fn command(bench: &Bench, peer: Peer, address: SocketAddr) -> Result<Command> {
    let environment = &bench.environment;
    let listen = address.to_string();
    let itself = |name: &str| -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([name, "--listen", &listen]);
        Ok(command)
    };
    let app = || -> Result<Command> {
        let mut command = Command::new(environment.app.as_ref().context("--app is missing")?);
        command.args(["--listen", &listen, "--log", "warn"]);
        Ok(command)
    };
    let mut command = match peer {
        Peer::App => app()?,
        Peer::Replicated => app()?,
        Peer::Constant => itself("constant")?,
        Peer::Naive => itself("naive")?,
        Peer::Flask => {
            let mut command = Command::new(environment.python.as_ref().context("--python is missing")?);
            // Threads, because gunicorn's sync workers do not support keep-alive.
            command.args(["-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "16"]);
            command.args(["--keep-alive", "300", "--log-level", "warning", "--bind", &listen, "--chdir"]);
            command.arg(environment.root.join("tests/fixtures/flask")).arg("app:app");
            command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", redis(bench)?.port.to_string());
            command
        }
        _ => bail!("{} is not a counter", peer.name()),
    };
    let url = || -> Result<String> { Ok(format!("redis://127.0.0.1:{}", redis(bench)?.port)) };
    match peer {
        Peer::App => command.args(["--redis-url", &url()?]),
        Peer::Naive => command.args(["--redis", &url()?]),
        Peer::Replicated => {
            let help = Command::new(command.get_program()).arg("--help").output()?.stdout;
            ensure!(
                String::from_utf8_lossy(&help).contains("--redis-sentinels"),
                "this app has no option --redis-sentinels"
            );
            command.args(["--redis-sentinels", &cluster(bench)?.sentinels(), "--redis-master", "counter"])
        }
        _ => &mut command,
    };
    Ok(command)
}

fn redis(bench: &Bench) -> Result<&Redis> {
    if bench.redis.get().is_none() {
        let redis = Redis::start(&bench.environment, &[])?;
        return Ok(bench.redis.get_or_init(|| redis));
    }
    bench.redis.get().context("no Redis")
}

fn cluster(bench: &Bench) -> Result<&Cluster> {
    if bench.cluster.get().is_none() {
        let cluster = Cluster::start(&bench.environment)?;
        return Ok(bench.cluster.get_or_init(|| cluster));
    }
    bench.cluster.get().context("no cluster")
}

/// Waits until the program responds.
fn ready(process: &mut Process, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Clients::connect(address, 1).and_then(|mut clients| clients.once(&Request::get("/"))) {
            Ok(()) => return Ok(()),
            Err(_) if process.has_ended() => bail!("the program has exited"),
            Err(error) if Instant::now() > deadline => return Err(error).context("no response"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
