//! Selects the role named by the arguments.

use std::{ffi::OsString, path::Path};

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice<T> {
    /// A role, with its own arguments, which start with its name.
    Role(T, Vec<OsString>),
    /// The help of the program itself.
    Help,
    /// Its version.
    Version,
}

/// Returns what the arguments ask for, a role being one of `roles`.
pub(crate) fn of<T: Copy>(roles: &[(&'static str, T)], mut arguments: Vec<OsString>) -> Result<Choice<T>, Unknown> {
    let called = arguments.first().and_then(|path| Path::new(path).file_name());
    let role = |name: &std::ffi::OsStr| roles.iter().find(|(role, _)| name == *role).map(|(_, role)| *role);
    if let Some(role) = called.and_then(role) {
        return Ok(Choice::Role(role, arguments));
    }
    let Some(first) = arguments.get(1) else {
        return Err(Unknown { first: None, roles: names(roles) });
    };
    if let Some(role) = role(first) {
        arguments.remove(0);
        return Ok(Choice::Role(role, arguments));
    }
    match first.to_str() {
        Some("--help" | "-h" | "help") => Ok(Choice::Help),
        Some("--version" | "-V") => Ok(Choice::Version),
        _ => Err(Unknown { first: Some(first.clone()), roles: names(roles) }),
    }
}

fn names<T>(roles: &[(&'static str, T)]) -> Vec<&'static str> {
    roles.iter().map(|(name, _)| *name).collect()
}

/// The error if neither the program's name nor the first argument is a role.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    first: Option<OsString>,
    roles: Vec<&'static str>,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.first {
            Some(first) => write!(f, "there is no role {first:?}")?,
            None => write!(f, "no role is named")?,
        }
        let roles = self.roles.join(", ");
        write!(f, ": give one of them as the first argument, or call this program by its name: {roles}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [(&str, u8); 2] = [("app", 1), ("edge", 2)];

    fn chosen(arguments: &[&str]) -> Result<Choice<u8>, String> {
        of(&ROLES, arguments.iter().map(OsString::from).collect()).map_err(|unknown| unknown.to_string())
    }

    fn role(number: u8, arguments: &[&str]) -> Result<Choice<u8>, String> {
        Ok(Choice::Role(number, arguments.iter().map(OsString::from).collect()))
    }

    #[test]
    fn the_name_of_the_file_selects_the_role_in_any_folder() {
        assert_eq!(chosen(&["app"]), role(1, &["app"]));
        assert_eq!(chosen(&["/edge", "run"]), role(2, &["/edge", "run"]));
        assert_eq!(chosen(&["../bin/edge", "app"]), role(2, &["../bin/edge", "app"]));
    }

    #[test]
    fn under_another_name_the_first_argument_selects_the_role() {
        assert_eq!(chosen(&["/stackdemo", "edge", "run"]), role(2, &["edge", "run"]));
        assert_eq!(chosen(&["edges", "app"]), role(1, &["app"]));
    }

    #[test]
    fn help_and_version_are_the_programs_own_only_without_a_role() {
        for help in ["--help", "-h", "help"] {
            assert_eq!(chosen(&["stackdemo", help]), Ok(Choice::Help), "{help}");
        }
        for version in ["--version", "-V"] {
            assert_eq!(chosen(&["stackdemo", version]), Ok(Choice::Version), "{version}");
        }
        assert_eq!(chosen(&["/edge", "--help"]), role(2, &["/edge", "--help"]));
        assert_eq!(chosen(&["stackdemo", "edge", "--help"]), role(2, &["edge", "--help"]));
    }

    #[test]
    fn an_unknown_role_is_reported_with_the_known_ones() {
        for (arguments, start) in [
            (&["stackdemo", "apps"][..], "there is no role \"apps\": "),
            (&["stackdemo", "--helo"], "there is no role \"--helo\": "),
            (&["stackdemo", "/app"], "there is no role \"/app\": "),
            (&["stackdemo"], "no role is named: "),
            (&[], "no role is named: "),
        ] {
            let text = chosen(arguments).unwrap_err();
            assert!(text.starts_with(start) && text.ends_with(": app, edge"), "{text}");
        }
    }
}
