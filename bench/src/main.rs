//! Compares the edge with its peers: nginx, HAProxy, Caddy, Pingora and a bare relay.
//!
//! `bench/run` starts this program. It pins itself, with the load and the upstream, to one core and each proxy to
//! another, measures them in turn, and prints ratios. README.md says how to read them.

mod args;
mod cpu;
mod load;
mod machine;
mod page;
mod peers;
mod pin;
mod port;
mod process;
mod redis;
mod relay;
mod report;
mod rows;
mod run;
mod sink;
mod stats;
mod tls;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        Some(Command::Relay(relay)) => relay::run(relay),
        Some(Command::Constant(page)) => page::constant(page),
        Some(Command::Naive(page)) => page::naive(page),
        None => run::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
