//! `target/debug/replace`: replaces the edge again and again under load, and prints what became of the requests.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tests::ledger::replacement::Replacement;

/// Replaces the edge by a takeover of its sockets while clients send requests, and counts what fails.
#[derive(Debug, Parser)]
#[command(name = "replace")]
struct Flags {
    /// How often the edge is replaced
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    times: u16,
    /// The requests in a second, as long as every response comes at once
    #[arg(long, default_value = "2000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The requests between two replacements
    #[arg(long, default_value = "2000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    between: u32,
}

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let Flags { times, rate, between } = Flags::parse();
    let between = usize::try_from(between).unwrap_or(usize::MAX);
    let outcome = Replacement { times: times.into(), rate, between }.run().await;
    writeln!(io::stdout(), "{outcome}")?;
    if outcome.totals.failures.is_empty() && outcome.not_ready.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(io::stderr(), "{:#?}\n{:#?}", outcome.totals.failures, outcome.not_ready)?;
    Ok(ExitCode::FAILURE)
}
