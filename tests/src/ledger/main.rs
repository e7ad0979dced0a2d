//! `cargo run -p tests --bin ledger`: runs every scenario on the edge, HAProxy and nginx, and prints a table.

use std::io::{self, Write};
use std::time::Duration;

use clap::Parser;
use tests::ledger::Load;
use tests::ledger::proxy::{Kind, Proxy};
use tests::ledger::scenario::{self, Scenario};

/// Records the fate of every request while the endpoints of a proxy fail.
#[derive(Debug, Parser)]
#[command(name = "ledger")]
struct Flags {
    /// Only scenarios whose name contains this
    scenario: Option<String>,
    /// The requests of each run, half of them POSTs
    #[arg(long, default_value = "20000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// The requests in a second, as long as every response comes at once
    #[arg(long, default_value = "2000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The numbers of endpoints
    #[arg(long, default_value = "3", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=16))]
    endpoints: Vec<u8>,
    /// Clients speak HTTP/2
    #[arg(long)]
    http2: bool,
    /// The proxies
    #[arg(long, default_value = "edge,haproxy,nginx", value_delimiter = ',', value_parser = kind)]
    proxies: Vec<Kind>,
}

/// The connections of the load.
const CONNECTIONS: u32 = 40;

fn kind(name: &str) -> Result<Kind, String> {
    let mut kinds = Kind::ALL.into_iter();
    kinds.find(|kind| kind.name().eq_ignore_ascii_case(name)).ok_or_else(|| "edge, haproxy or nginx".to_owned())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let load = Load {
        requests: usize::try_from(flags.requests).unwrap_or(usize::MAX),
        connections: usize::try_from(CONNECTIONS).unwrap_or(usize::MAX),
        pace: Duration::from_secs(1) * CONNECTIONS / flags.rate,
        http2: flags.http2,
    };
    let mut out = io::stdout();
    let names: Vec<&str> = flags.proxies.iter().map(|kind| kind.name()).collect();
    writeln!(out, "| what happens | endpoints | {} |", names.join(" | "))?;
    writeln!(out, "| --- | ---: |{}", " --- |".repeat(names.len()))?;
    for scenario in scenario::ALL.iter().filter(|scenario| is_wanted(scenario, flags.scenario.as_deref())) {
        for count in &flags.endpoints {
            write!(out, "| {} | {count} |", scenario.name)?;
            for kind in &flags.proxies {
                let start = async |endpoints: &[_]| Proxy::start(*kind, load.http2, endpoints);
                let totals = scenario.run(start, usize::from(*count), load).await;
                write!(out, " {totals} |")?;
                out.flush()?;
                if !totals.failures.is_empty() {
                    writeln!(io::stderr(), "{}, {}: {:?}", scenario.name, kind.name(), totals.failures)?;
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn is_wanted(scenario: &Scenario, name: Option<&str>) -> bool {
    name.is_none_or(|name| scenario.name.contains(name))
}
