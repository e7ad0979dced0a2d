//! Finds every error of a command line at once. clap stops at the first.

use std::ffi::OsString;

use clap::{
    Command, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue},
};

/// Parses the arguments, of which the first is the program's name, and the variables that the flags define. `problems`
/// returns what is wrong with the values of flags.
///
/// # Errors
/// The usage is wrong, or the arguments ask for help; see [`check_usage`].
pub fn parse_flags<F>(arguments: Vec<OsString>, problems: impl FnOnce(&F) -> Vec<String>) -> Result<F, Error>
where
    F: CommandFactory + FromArgMatches,
{
    let command = without_empty_variables(F::command());
    let parse = |arguments: &[OsString]| F::from_arg_matches(&command.clone().try_get_matches_from(arguments)?);
    check_usage(&command, &arguments, |correct| parse(correct).map_or(Vec::new(), |flags| problems(&flags)))?;
    F::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// Checks the usage in `arguments`, whose first is the program's name. `problems` returns what is wrong with the values
/// of valid arguments; it is called for those that are left without the wrong ones.
///
/// # Errors
/// The usage is wrong, or the arguments ask for help. If there is more than one error, the message has a line for each.
pub fn check_usage(
    command: &Command,
    arguments: &[OsString],
    problems: impl FnOnce(&[OsString]) -> Vec<String>,
) -> Result<(), Error> {
    let Err(first) = command.clone().try_get_matches_from(arguments) else { return Ok(()) };
    let mut left = arguments.to_vec();
    let mut messages = remove_wrong(command, &mut left);
    if !messages.is_empty() && command.clone().try_get_matches_from(&left).is_ok() {
        messages.extend(problems(&left));
    }
    // clap explains a single error better.
    if messages.len() < 2 {
        return Err(first);
    }
    let (kind, message) = (first.kind(), messages.join("\nerror: "));
    let mut command = command.clone();
    // Names the subcommands for the line about the usage.
    command.build();
    let subcommand = left.iter().skip(1).find_map(|argument| {
        let name = argument.to_str()?;
        command.find_subcommand(name).map(|_| name)
    });
    let error =
        subcommand.and_then(|name| command.find_subcommand_mut(name)).map(|command| command.error(kind, &message));
    Err(error.unwrap_or_else(|| command.error(kind, &message)))
}

/// Makes `command` ignore empty variables, which compose files leave for unset ones: `NAME: ${NAME:-}`.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_env().and_then(std::env::var_os) {
        Some(value) if value.is_empty() => arg.env(None),
        _ => arg,
    })
}

/// Removes each wrong argument with its values. Returns their errors.
fn remove_wrong(command: &Command, arguments: &mut Vec<OsString>) -> Vec<String> {
    let mut messages = Vec::new();
    // Each round removes at least one argument.
    while let Err(error) = command.clone().try_get_matches_from(&*arguments)
        && let Some(start) = position(&error, arguments)
    {
        messages.push(message(&error));
        let is_value = |argument: &&OsString| {
            let is_flag = argument.as_encoded_bytes().starts_with(b"-");
            !is_flag && command.find_subcommand(argument).is_none()
        };
        let wrong = arguments.get(start).map(|argument| argument.as_encoded_bytes()).unwrap_or_default();
        let takes_values = wrong.starts_with(b"--") && !wrong.contains(&b'=');
        let values = arguments.iter().skip(start + 1).take_while(is_value).count();
        let count = if takes_values { 1 + values } else { 1 };
        drop(arguments.splice(start..start + count, []));
    }
    messages
}

/// Returns the position of the argument that an error is about.
fn position(error: &Error, arguments: &[OsString]) -> Option<usize> {
    let invalid = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(text) => text.as_str(),
        ContextValue::Strings(texts) => texts.first()?.as_str(),
        _ => return None,
    };
    // A known flag is named with its value, such as `--listen <ADDR>` or `--freebind[=<BOOL>]`.
    let name = invalid.split([' ', '=', '[']).next().unwrap_or(invalid);
    let is_meant = |argument: &OsString| {
        let argument = argument.as_encoded_bytes();
        let with_value = argument.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        argument == invalid.as_bytes() || argument == name.as_bytes() || with_value
    };
    // The last one: if a flag is repeated, the first is as good.
    arguments.iter().skip(1).rposition(is_meant).map(|index| index + 1)
}

/// Returns clap's sentence about an error, and the argument that it suggests.
fn message(error: &Error) -> String {
    let text = error.render().to_string();
    let sentence = text.lines().next().unwrap_or_default();
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(meant)) => format!("{sentence}; did you mean '{meant}'?"),
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::{Arg, error::ErrorKind};

    use super::*;

    fn command() -> Command {
        let run = Command::new("run")
            .arg(Arg::new("listen").long("listen").num_args(1..))
            .arg(Arg::new("to").long("to").num_args(1..))
            .arg(Arg::new("drain").long("drain"))
            .arg(Arg::new("freebind").long("freebind").num_args(0..=1).require_equals(true));
        Command::new("test").subcommand(run).subcommand(Command::new("check"))
    }

    /// Returns the message for a command line, and the arguments whose values are checked.
    fn check(line: &str) -> (Result<(), Error>, Option<String>) {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let mut left = None;
        let checked = check_usage(&command(), &arguments, |arguments| {
            left = Some(arguments.join(OsStr::new(" ")).into_string().unwrap());
            vec!["--drain: is wrong".to_owned()]
        });
        (checked, left)
    }

    #[test]
    fn every_wrong_argument_is_reported_and_the_values_of_the_others() {
        let line = "test run stray --lissten :80 :81 --to a:1 --drain 5 --frobnicate=x --drain 6 --freebind=yes";
        let (checked, left) = check(line);
        let error = checked.unwrap_err();
        let text = error.render().to_string();
        for part in [
            "error: unexpected argument '--lissten' found; did you mean '--listen'?\n",
            "error: unexpected argument '--frobnicate' found\n",
            "error: unexpected argument 'stray' found\n",
            "error: the argument '--drain <drain>' cannot be used multiple times\n",
            "error: --drain: is wrong\n",
            "\nUsage: test run",
        ] {
            assert_eq!(text.matches(part).count(), 1, "{part:?} in\n{text}");
        }
        assert_eq!(error.exit_code(), 2);
        assert_eq!(left.as_deref(), Some("test run --to a:1 --drain 5 --freebind=yes"));
    }

    #[test]
    fn a_single_error_and_help_are_claps_own() {
        for (line, kind) in [
            ("test walk", ErrorKind::InvalidSubcommand),
            ("test --help", ErrorKind::DisplayHelp),
            ("test run --help --lissten", ErrorKind::DisplayHelp),
            ("test check --listen 1", ErrorKind::UnknownArgument),
        ] {
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let error = check_usage(&command(), &arguments, |_| Vec::new()).unwrap_err();
            assert_eq!(error.kind(), kind, "{line}");
            let own = command().try_get_matches_from(&arguments).unwrap_err();
            assert_eq!(error.render().to_string(), own.render().to_string(), "{line}");
        }
    }

    #[test]
    fn correct_usage_is_accepted_without_a_look_at_the_values() {
        let (checked, left) = check("test run --listen :80 --freebind");
        assert!(checked.is_ok() && left.is_none());
    }

    #[test]
    fn an_empty_variable_counts_as_not_set_and_others_as_set() {
        // Cargo sets these two for its tests; the crate has no homepage.
        let arg = |name| Arg::new(name).long(name).env(name).default_value("default");
        let command = Command::new("test").args(["CARGO_PKG_HOMEPAGE", "CARGO_PKG_NAME"].map(arg));
        let matches = without_empty_variables(command).try_get_matches_from(["test"]).unwrap();
        let value = |name| matches.get_one::<String>(name).unwrap().as_str();
        assert_eq!(value("CARGO_PKG_HOMEPAGE"), "default");
        assert_eq!(value("CARGO_PKG_NAME"), "process");
    }
}
