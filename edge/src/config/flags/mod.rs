//! Parses the command line and the environment.
//!
//! Every flag is also a variable: `EDGE_` and its name in capitals, so `--listen-tls` is `EDGE_LISTEN_TLS`. A flag
//! overrides its variable. An empty variable counts as not set, because a stack file expands `${NAME:-}` to an empty
//! text. The caller passes the environment as an argument: [`parse`] appends its variables to the command line as
//! flags, and messages name the variable.
//!
//! [`Settings::load`] builds the [`Config`](super::Config), again for each reload.

mod cli;
mod given;
mod health;
mod resolver;
mod run;
mod timeouts;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    net::SocketAddr,
    path::Path,
};

use clap::{CommandFactory, FromArgMatches, parser::ValueSource};
use process::{Completions, Man};
use settings::nearest;

#[cfg(test)]
pub(super) use self::cli::table;
pub use self::run::Settings;
pub(crate) use self::{cli::DnsFlags, given::Reader};
use self::{
    cli::{Action, Cli, HealthcheckFlags},
    given::{Given, variable},
};
use super::{
    address, defaults, file,
    problem::{ConfigError, Place, Problem},
};

/// The command to run, with its flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Forward requests until a signal stops the process.
    Run(Settings),
    /// Check the configuration and print it in full, including defaults.
    Check(Settings),
    /// Check whether the running edge is alive.
    Healthcheck(Healthcheck),
    /// Check whether a name resolves to edges.
    Dns(Lookup),
    /// Print a completion script.
    Completions(Completions),
    /// Write the manual pages.
    Man(Man),
}

/// Parses the command line, whose first item is the name of the program, and the environment.
///
/// # Errors
/// The usage is wrong, or the arguments ask for `--help` or `--version`: [`clap::Error::exit`] prints the message and
/// exits with the right code. The values of the flags are parsed later, by [`Settings::load`] for one, unless the usage
/// is wrong: then the error lists them as well.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let environment = variables(environment);
    process::check_usage(&Cli::command(), &args, |correct| problems(correct.to_vec(), &environment))?;
    assemble(args, &environment)
}

/// Returns what is wrong with the values that were given beside wrong usage. A setting that is missing may be among the
/// wrong arguments.
fn problems(args: Vec<OsString>, environment: &BTreeMap<String, OsString>) -> Vec<String> {
    let Ok(Command::Run(settings) | Command::Check(settings)) = assemble(args, environment) else { return Vec::new() };
    let Err(ConfigError::Invalid(problems)) = settings.load() else { return Vec::new() };
    let is_given = |problem: &Problem| match &problem.place {
        Place::Flag(name) => settings.given.flags.values().any(|given| given == name),
        _ => true,
    };
    problems.iter().filter(|problem| is_given(problem)).map(ToString::to_string).collect()
}

/// Builds the command from arguments whose usage is correct.
fn assemble(mut args: Vec<OsString>, environment: &BTreeMap<String, OsString>) -> Result<Command, clap::Error> {
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
        given.misspelled = misspelled(environment.keys(), &known);
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

/// Returns the definition of the command line, from which completions and manual pages are generated.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// The flags of `edge healthcheck`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    flags: HealthcheckFlags,
    given: Given,
}

impl Healthcheck {
    /// Returns the address of the edge's admin listener: `--admin`, else the address in the configuration file, else
    /// 127.0.0.1:9901.
    ///
    /// # Errors
    /// The address is invalid, the file cannot be read, or the admin listener is off.
    pub fn address(&self) -> Result<SocketAddr, ConfigError> {
        let invalid = |message: String| ConfigError::Invalid(vec![self.given.problem("admin", message)]);
        let admin = match (&self.flags.admin, &self.flags.config) {
            (Some(admin), _) => address::listen_or_off(admin).map_err(invalid)?,
            (None, Some(path)) => file::admin(Path::new(path))?,
            (None, None) => Some(defaults::ADMIN),
        };
        let off = || invalid("the admin listener is off, so the edge cannot be checked: give it an address".to_owned());
        admin.map(address::reachable).ok_or_else(off)
    }
}

/// The flags of `edge dns`, not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub(crate) flags: DnsFlags,
    given: Given,
}

impl Lookup {
    /// Returns a reader for the values of the flags.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.given)
    }
}

/// Returns the variables that begin with `EDGE_` and are not empty.
fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| {
            name.starts_with("EDGE_") && value.to_str().is_none_or(|value| !value.trim().is_empty())
        })
        .collect()
}

/// Returns a warning for each variable that closely resembles a known one. Other variables may belong to another
/// program, since many tools set variables with this prefix.
fn misspelled<'a>(names: impl Iterator<Item = &'a String>, known: &BTreeSet<String>) -> Vec<Problem> {
    names
        .filter(|name| !known.contains(*name))
        .filter_map(|name| {
            let similar = nearest(name, known.iter().map(String::as_str))?;
            let message = format!("is not a variable of the edge; did you mean {similar}?");
            Some(Problem { place: Place::Flag(name.clone()), message })
        })
        .collect()
}
