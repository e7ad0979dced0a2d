mod files;
mod problems;
mod usage;
mod values;

use std::ffi::OsString;

use super::{Command, Settings, parse};
use crate::config::{Config, problem::Loaded};

/// Parses a command line, whose words are separated by white space, and an environment.
fn command(args: &str, environment: &[(&str, &str)]) -> Result<Command, clap::Error> {
    let args = std::iter::once("edge").chain(args.split_whitespace()).map(OsString::from);
    parse(args, environment.iter().map(|(name, value)| (name.into(), value.into())))
}

fn settings(args: &str, environment: &[(&str, &str)]) -> Settings {
    match command(&format!("run {args}"), environment) {
        Ok(Command::Run(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

fn loaded(args: &str, environment: &[(&str, &str)]) -> Loaded {
    settings(args, environment).load().unwrap_or_else(|error| panic!("{error}"))
}

fn config(args: &str, environment: &[(&str, &str)]) -> Config {
    loaded(args, environment).config
}

/// Returns the problems of `edge run` with these arguments, one per line.
fn errors(args: &str, environment: &[(&str, &str)]) -> String {
    settings(args, environment).load().unwrap_err().to_string()
}

/// The required flags, which a test adds its own to.
const MINIMAL: &str = "--listen :80 --to 10.0.0.1:8000";
