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
    /// Rows to measure, or groups of them such as "tls" and "app"; all if none is named.
    #[arg(value_name = "ROW")]
    pub(crate) rows: Vec<String>,

    /// Only list the rows.
    #[arg(long)]
    pub(crate) list: bool,

    /// How often each peer is measured. The table shows the median of the rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,

    /// Length of one measurement in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,

    /// Measure against these peers only: haproxy, nginx, caddy, pingora, relay.
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// The edge to measure.
    #[arg(long, env = "BENCH_EDGE")]
    pub(crate) edge: Option<PathBuf>,

    /// The counter to measure in the app rows.
    #[arg(long, env = "BENCH_APP")]
    pub(crate) app: Option<PathBuf>,

    /// The Pingora proxy, built by `bench/run`.
    #[arg(long, env = "BENCH_PINGORA")]
    pub(crate) pingora: Option<PathBuf>,

    /// A Python with Flask, gunicorn and redis, made by `bench/run`.
    #[arg(long, env = "BENCH_PYTHON")]
    pub(crate) python: Option<PathBuf>,

    /// The checkout that the programs are from.
    #[arg(long, env = "BENCH_ROOT", default_value = ".")]
    pub(crate) root: PathBuf,

    /// Write the figures here too, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the table here too, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Draw the ratios here, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The other programs in this binary, which the benchmark starts itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The bare relay: the floor that no proxy can reach.
    #[command(hide = true)]
    Relay(Relay),
    /// The counter's floor: a page that does not count.
    #[command(hide = true)]
    Constant(Page),
    /// The obvious counter: an INCR for each request.
    #[command(hide = true)]
    Naive(Page),
}

/// A page's address.
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
