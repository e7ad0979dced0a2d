//! The command line.

use std::{
    net::{SocketAddr, SocketAddrV4},
    path::PathBuf,
};

use clap::{Parser, Subcommand};

/// Measures the edge and its peers in turn and prints ratios.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Rows to measure, or groups such as "tls" and "app"; all if none is named.
    #[arg(value_name = "ROW")]
    pub(crate) rows: Vec<String>,

    /// List the rows and exit.
    #[arg(long)]
    pub(crate) list: bool,

    /// Number of rounds. Each round measures every peer once; the table shows the medians.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,

    /// Length of one measurement, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,

    /// Compare only with these peers: haproxy, nginx, caddy, pingora, relay.
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// The edge program to measure.
    #[arg(long, env = "BENCH_EDGE")]
    pub(crate) edge: Option<PathBuf>,

    /// The counter program to measure in the app rows.
    #[arg(long, env = "BENCH_APP")]
    pub(crate) app: Option<PathBuf>,

    /// The Pingora proxy that `bench/run` builds.
    #[arg(long, env = "BENCH_PINGORA")]
    pub(crate) pingora: Option<PathBuf>,

    /// A Python with Flask, gunicorn and redis, which `bench/run` installs.
    #[arg(long, env = "BENCH_PYTHON")]
    pub(crate) python: Option<PathBuf>,

    /// The checkout from which the programs were built.
    #[arg(long, env = "BENCH_ROOT", default_value = ".")]
    pub(crate) root: PathBuf,

    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Also write the table to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Draw the ratios to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The other programs in this binary. The benchmark starts them itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The bare relay: the lower bound on a proxy's cost.
    #[command(hide = true)]
    Relay(Relay),
    /// A page that does not count: the lower bound on the counter's cost.
    #[command(hide = true)]
    Constant(Page),
    /// A naive counter: one INCR per request.
    #[command(hide = true)]
    Naive(Page),
}

/// The address of a page, and of its Redis.
#[derive(Debug, clap::Args)]
pub(crate) struct Page {
    #[arg(long)]
    pub(crate) listen: SocketAddrV4,
    #[arg(long)]
    pub(crate) redis: Option<String>,
}

/// The relay's addresses.
#[derive(Debug, clap::Args)]
pub(crate) struct Relay {
    #[arg(long)]
    pub(crate) listen: SocketAddrV4,
    #[arg(long, value_delimiter = ',')]
    pub(crate) to: Vec<SocketAddr>,
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
}
