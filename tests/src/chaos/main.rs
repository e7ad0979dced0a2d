//! `tests/run chaos`: runs the checker for any number of rounds, on the app or on a counter that it must convict.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use tests::chaos::broken::{self, Mistake};
use tests::chaos::cluster::Counter;
use tests::chaos::{Outcome, check};
use tests::process::binary;

/// Injects faults into a cluster of three hosts, and judges what its clients observe.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    /// The number of faults. Each takes about five seconds, and every second one causes a failover.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// The seed of the plan: the same seed gives the same faults [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Judge a counter with this mistake instead of the app
    #[arg(long, value_parser = mistakes())]
    mistake: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a counter with a mistake: the checker starts this itself.
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
