//! The command line and the environment.
//!
//! Every flag is also a variable: `EDGE_` and its name in capitals, so `--listen-tls` is
//! `EDGE_LISTEN_TLS`. A flag wins over its variable, and an empty variable counts as not set, because
//! that is what a stack file makes of `${NAME:-}`. The environment is an argument here: what is set
//! there is appended to the command line as if it had been typed, and messages name the variable.
//!
//! [`Settings::load`] makes the [`Config`](super::Config), again for each reload.

pub(crate) mod cli;
pub(crate) mod settings;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    net::SocketAddr,
    path::Path,
};

// The module below has the same name.
use ::settings::nearest;
use clap::{CommandFactory, FromArgMatches, parser::ValueSource};
use process::{Completions, Man};

#[cfg(test)]
pub(super) use self::cli::table;
use self::cli::{Action, Cli, HealthcheckFlags};
pub use self::settings::Settings;
use super::{
    address, defaults, file,
    problem::{ConfigError, Place, Problem},
};
pub use crate::dns_check::flags::{Lookup, NameCheck};

/// What the process was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Forward requests until told to stop.
    Run(Settings),
    /// Check the configuration and print all of it, defaults included.
    Check(Settings),
    /// Ask a running edge whether it is alive.
    Healthcheck(Healthcheck),
    /// Find out whether a name leads to edges.
    Dns(Lookup),
    /// Print a completion script.
    Completions(Completions),
    /// Write the manual pages.
    Man(Man),
}

/// Reads the command line, whose first item is the name of the program, and the environment.
///
/// # Errors
/// Wrong usage, and also `--help` and `--version`: [`clap::Error::exit`] prints all of them and ends the
/// process with the right code. What the values mean is only looked at by [`Settings::load`].
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, clap::Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let environment = variables(environment);
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(&args)?;

    let mut given = Given::default();
    if let Some((name, typed)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            let id = flag.replace('-', "_");
            if typed.value_source(&id) == Some(ValueSource::CommandLine) {
                given.flags.insert(flag.to_owned(), format!("--{flag}"));
            } else if let Some(value) = environment.get(&variable(flag)) {
                given.flags.insert(flag.to_owned(), variable(flag));
                let mut arg = OsString::from(format!("--{flag}="));
                arg.push(value);
                args.push(arg);
            }
        }
        let known: BTreeSet<_> = Cli::all_flags().iter().map(|flag| variable(flag)).collect();
        given.misspelt = misspelt(environment.keys(), &known);
    }
    let matches = command.try_get_matches_from(&args)?;
    Ok(match Cli::from_arg_matches(&matches)?.action {
        Action::Run(flags) => Command::Run(Settings { flags, given }),
        Action::Check(flags) => Command::Check(Settings { flags, given }),
        Action::Healthcheck(flags) => Command::Healthcheck(Healthcheck { flags, given }),
        Action::Dns(flags) => Command::Dns(Lookup { flags, given }),
        Action::Completions(completions) => Command::Completions(completions),
        Action::Man(man) => Command::Man(man),
    })
}

/// The command line, for what is generated from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Where the running edge can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    flags: HealthcheckFlags,
    given: Given,
}

impl Healthcheck {
    /// The address of its admin listener: `--admin`, else what the configuration file says, else
    /// 127.0.0.1:9901.
    ///
    /// # Errors
    /// The address makes no sense, the file cannot be read, or the admin listener is off.
    pub fn address(&self) -> Result<SocketAddr, ConfigError> {
        let invalid = |message: String| ConfigError::Invalid(vec![self.given.problem("admin", message)]);
        let admin = match (&self.flags.admin, &self.flags.config) {
            (Some(admin), _) => address::listen_or_off(admin).map_err(invalid)?,
            (None, Some(path)) => file::admin(Path::new(path))?,
            (None, None) => Some(defaults::ADMIN),
        };
        let off = || invalid("the admin listener is off, so nobody can be asked: give it an address".to_owned());
        admin.map(address::reachable).ok_or_else(off)
    }
}

/// Which flags were given, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// Flag without its dashes, to what whoever gave it knows it by: `--listen` or `EDGE_LISTEN`.
    flags: BTreeMap<String, String>,
    /// Variables that hardly differ from one of ours.
    misspelt: Vec<Problem>,
}

impl Given {
    /// Something about a flag, whether it was given or not.
    pub(crate) fn problem(&self, flag: &str, message: impl Into<String>) -> Problem {
        let name = self.flags.get(flag).cloned().unwrap_or_else(|| format!("--{flag}"));
        Problem { place: Place::Flag(name), message: message.into() }
    }
}

/// The variable of a flag.
fn variable(flag: &str) -> String {
    format!("EDGE_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Our variables, without the empty ones.
fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| {
            name.starts_with("EDGE_") && value.to_str().is_none_or(|value| !value.trim().is_empty())
        })
        .collect()
}

/// A warning for each variable that hardly differs from a known one. Others may belong to somebody
/// else: many tools put names with such a prefix into the environment.
fn misspelt<'a>(names: impl Iterator<Item = &'a String>, known: &BTreeSet<String>) -> Vec<Problem> {
    names
        .filter(|name| !known.contains(*name))
        .filter_map(|name| {
            let meant = nearest(name, known.iter().map(String::as_str))?;
            let message = format!("is not a variable of the edge; did you mean {meant}?");
            Some(Problem { place: Place::Flag(name.clone()), message })
        })
        .collect()
}
