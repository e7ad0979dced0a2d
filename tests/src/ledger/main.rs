//! `cargo run --release -p tests --bin ledger -- --write`: runs every scenario on the edge, HAProxy and nginx, and
//! writes the table of docs/resilience.md.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures_util::future::join_all;
use tests::ledger::proxy::Kind;
use tests::ledger::results::{Results, Row};
use tests::ledger::scenario::{self, Scenario};
use tests::ledger::{Load, endpoint, table};
use tests::netns;

/// Records the fate of every request while the endpoints of a proxy fail. The proxies run at the same time, each in
/// front of its own endpoints.
#[derive(Debug, Parser)]
#[command(name = "ledger")]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only scenarios whose name contains one of these words
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The requests of each run to each proxy, half of them POSTs, half of them HTTP/2
    #[arg(long, default_value = "20000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// The requests per second to each proxy, as long as every response comes at once
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Only pools of these numbers of endpoints
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=16))]
    pools: Vec<u8>,
    /// The proxies
    #[arg(long, default_value = "edge,haproxy,nginx", value_delimiter = ',', value_parser = kind)]
    proxies: Vec<Kind>,
    /// The file that keeps the results of all runs
    #[arg(long, default_value = "target/ledger.json")]
    results: PathBuf,
    /// Writes the table of all results into docs/resilience.md
    #[arg(long)]
    write: bool,
    /// Runs nothing: tells in which cells of the results the edge is not the best, and with --write writes the table
    #[arg(long)]
    no_run: bool,
    /// Lists the scenarios
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as an endpoint: the program starts this itself.
    #[command(hide = true)]
    Endpoint { address: SocketAddr },
}

/// The pace of a connection, in milliseconds. [`scenario`] knows it.
const PACE: u64 = 40;

const PAGE: &str = "docs/resilience.md";

fn kind(name: &str) -> Result<Kind, String> {
    let mut kinds = Kind::ALL.into_iter();
    kinds.find(|kind| kind.name().eq_ignore_ascii_case(name)).ok_or_else(|| "edge, haproxy or nginx".to_owned())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let flags = Flags::parse();
    if let Some(Command::Endpoint { address }) = flags.command {
        return endpoint::serve(address).await;
    }
    let mut out = io::stdout();
    let scenarios: Vec<&Scenario> = scenario::ALL.iter().filter(|scenario| flags.wants(scenario)).collect();
    if flags.list {
        return scenarios.iter().try_for_each(|scenario| writeln!(out, "{}: {:?}", scenario.name, scenario.pools));
    }
    if !flags.no_run {
        match netns::restarted() {
            Ok(Some(status)) => std::process::exit(status.code().unwrap_or(1)),
            Ok(None) => {}
            Err(why) => writeln!(io::stderr(), "no own network: {why}")?,
        }
        for scenario in scenarios {
            match scenario.is_possible() {
                Ok(()) => flags.run(scenario, &mut out).await?,
                Err(why) => writeln!(out, "SKIPPED: {}: {why}", scenario.name)?,
            }
        }
    }
    let results = Results::read(&flags.results)?;
    for cell in table::worse(&results) {
        writeln!(out, "not the best: {cell}")?;
    }
    if flags.write {
        write(Path::new(PAGE), &results)?;
    }
    Ok(())
}

impl Flags {
    fn wants(&self, scenario: &Scenario) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| scenario.name.contains(part.as_str()))
    }

    /// Runs a scenario with each of its pools on all proxies, and keeps the results.
    async fn run(&self, scenario: &Scenario, out: &mut impl Write) -> io::Result<()> {
        let connections = u64::from(self.rate) * PACE / 1000;
        let load = Load {
            requests: usize::try_from(self.requests).unwrap_or(usize::MAX),
            connections: usize::try_from(connections).unwrap_or(usize::MAX).max(2),
            pace: Duration::from_millis(PACE),
            in_bursts: false,
        };
        for pool in scenario.pools.iter().filter(|pool| self.pools.is_empty() || self.pools.contains(pool)) {
            writeln!(out, "{}, {pool}", scenario.name)?;
            let kinds: Vec<Kind> = self.proxies.iter().copied().filter(|kind| scenario.is_for(*kind)).collect();
            let totals = join_all(kinds.iter().map(|kind| scenario.run(*kind, *pool, load))).await;
            let cells: BTreeMap<_, _> = kinds.into_iter().zip(totals).collect();
            for (kind, totals) in &cells {
                writeln!(out, "    {}: {totals:?}", kind.name())?;
            }
            let mut results = Results::read(&self.results)?;
            let versions = cells.keys().filter_map(|kind| Some((*kind, kind.version()?)));
            results.versions.extend(versions);
            results.enter(Row { scenario: scenario.name.to_owned(), pool: *pool, rate: self.rate, cells });
            results.write(&self.results)?;
        }
        Ok(())
    }
}

fn write(page: &Path, results: &Results) -> io::Result<()> {
    let text = std::fs::read_to_string(page)?;
    let new = table::insert(&text, results).ok_or_else(|| io::Error::other(format!("{PAGE} has no markers")))?;
    std::fs::write(page, new)
}
