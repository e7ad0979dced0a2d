//! `tests/run chaos`: the checker for any number of rounds, and the counters that it must convict.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use tests::chaos::broken::{self, Mistake};
use tests::chaos::cluster::Counter;
use tests::chaos::{Outcome, check};
use tests::process::binary;

/// Strikes a cluster of three hosts with faults, and judges what its clients saw.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    /// The number of faults. Each takes about five seconds, and every second one causes a failover. The
    /// run ends with the last.
    #[arg(long, default_value = "25", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// The plan of faults: the same seed, the same faults [default: any]
    #[arg(long)]
    seed: Option<u64>,
    /// Judge a counter with this mistake instead of the app.
    #[arg(long, value_parser = mistakes())]
    mistake: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a counter with a mistake; what the checker starts by itself.
    #[command(hide = true)]
    Serve {
        #[arg(value_parser = mistakes())]
        mistake: String,
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, env = "REDIS_SENTINELS", value_delimiter = ',')]
        sentinels: Vec<String>,
    },
}

fn mistakes() -> PossibleValuesParser {
    PossibleValuesParser::new(Mistake::ALL.map(|(name, _)| name))
}

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let flags = Flags::parse();
    if let Some(Command::Serve { mistake, listen, sentinels }) = flags.command {
        let named = Mistake::ALL.into_iter().find(|(name, _)| *name == mistake);
        let Some((_, mistake)) = named else { return Ok(ExitCode::FAILURE) };
        match broken::serve(mistake, listen, sentinels).await? {}
    }
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let counter = match flags.mistake {
        Some(mistake) => Counter { program: binary("chaos"), arguments: vec!["serve".to_owned(), mistake] },
        None => Counter { program: binary("app"), arguments: Vec::new() },
    };
    let rounds = flags.rounds;
    writeln!(io::stdout(), "seed {seed}, {rounds} rounds")?;
    let progress = |history: &tests::chaos::history::History| {
        let Some(round) = history.rounds.last() else { return true };
        let (number, at) = (history.rounds.len(), round.ended.as_secs_f64());
        // Progress for the reader.
        writeln!(io::stdout(), "{at:7.1} s  {number:4}  {}, {} failovers", round.fault, round.promotions).is_ok()
    };
    let outcome: Outcome = check(counter, seed, rounds as usize, progress).await?;
    write!(io::stdout(), "\n{}", outcome.report)?;
    if outcome.holds() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(io::stdout(), "logs and history: {}", outcome.keep()?.display())?;
    Ok(ExitCode::FAILURE)
}
