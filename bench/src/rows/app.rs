//! The counter beside others that serve the same page, each on one core. Redis is on the load's core.

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
        closed,
        fleet::{Fleet, Question},
    },
    peers::Peer,
    port,
    process::Process,
    redis::{Cluster, Redis},
};

const CONNECTIONS: usize = 256;

/// Requests per second, median and p99 in microseconds, Redis commands per request.
pub(super) fn sample(bench: &Bench, peer: Peer) -> Result<Vec<f64>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
    let command = command(bench, peer, address)?;
    let redis = if peer == Peer::Replicated { &cluster(bench)?.master } else { redis(bench)? };
    let directory = TempDir::with_prefix_in("app", bench.ground.files.path())?;
    let log = directory.path().join("output.txt");
    let mut process = Process::start(peer.name(), &bench.ground.cores.proxy(), &command, &log)?;
    ready(&mut process, address).with_context(|| {
        format!("{}, which wrote: {}", peer.name(), std::fs::read_to_string(&log).unwrap_or_default())
    })?;

    let mut fleet = Fleet::connect(address, CONNECTIONS)?;
    let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?;
    let question = Question::get("/");
    let outcome = closed::timed(&mut fleet, &question, bench.window, || redis.commands(), Some(&mut latencies))?;
    Ok(vec![
        outcome.answers as f64 / outcome.elapsed.as_secs_f64(),
        microseconds(&latencies, 0.5),
        microseconds(&latencies, 0.99),
        outcome.probe as f64 / outcome.answers as f64,
    ])
}

fn command(bench: &Bench, peer: Peer, address: SocketAddr) -> Result<Command> {
    let ground = &bench.ground;
    let listen = address.to_string();
    let itself = |name: &str| -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([name, "--listen", &listen]);
        Ok(command)
    };
    let app = || -> Result<Command> {
        let mut command = Command::new(ground.app.as_ref().context("no --app is given")?);
        command.args(["--listen", &listen, "--log", "warn"]);
        Ok(command)
    };
    let mut command = match peer {
        Peer::App => app()?,
        Peer::Replicated => app()?,
        Peer::Constant => itself("constant")?,
        Peer::Naive => itself("naive")?,
        Peer::Flask => {
            let mut command = Command::new(ground.python.as_ref().context("no --python is given")?);
            // Threads, because its plain workers have no keep-alive.
            command.args(["-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "16"]);
            command.args(["--keep-alive", "300", "--log-level", "warning", "--bind", &listen, "--chdir"]);
            command.arg(ground.root.join("tests/fixtures/flask")).arg("app:app");
            command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", redis(bench)?.port.to_string());
            command
        }
        _ => bail!("{} is no counter", peer.name()),
    };
    let url = || -> Result<String> { Ok(format!("redis://127.0.0.1:{}", redis(bench)?.port)) };
    match peer {
        Peer::App => command.args(["--redis-url", &url()?]),
        Peer::Naive => command.args(["--redis", &url()?]),
        Peer::Replicated => {
            let help = Command::new(command.get_program()).arg("--help").output()?.stdout;
            ensure!(
                String::from_utf8_lossy(&help).contains("--redis-sentinels"),
                "this app knows no --redis-sentinels"
            );
            command.args(["--redis-sentinels", &cluster(bench)?.sentinels(), "--redis-master", "counter"])
        }
        _ => &mut command,
    };
    Ok(command)
}

fn redis(bench: &Bench) -> Result<&Redis> {
    if bench.redis.get().is_none() {
        let redis = Redis::start(&bench.ground, &[])?;
        return Ok(bench.redis.get_or_init(|| redis));
    }
    bench.redis.get().context("no Redis")
}

fn cluster(bench: &Bench) -> Result<&Cluster> {
    if bench.cluster.get().is_none() {
        let cluster = Cluster::start(&bench.ground)?;
        return Ok(bench.cluster.get_or_init(|| cluster));
    }
    bench.cluster.get().context("no cluster")
}

/// Waits until it responds with a number.
fn ready(process: &mut Process, address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Fleet::connect(address, 1).and_then(|mut fleet| fleet.once(&Question::get("/"))) {
            Ok(()) => return Ok(()),
            Err(_) if process.has_ended() => bail!("it has ended"),
            Err(error) if Instant::now() > deadline => return Err(error).context("it does not answer"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
