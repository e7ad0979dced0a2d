//! Selects the role named by the arguments.

use std::{ffi::OsString, path::Path};

/// Returns the selected one of `roles`, and its own arguments, which start with its name.
pub(crate) fn of<T: Copy>(
    roles: &[(&'static str, T)],
    mut arguments: Vec<OsString>,
) -> Result<(T, Vec<OsString>), Unknown> {
    let called = arguments.first().and_then(|path| Path::new(path).file_name());
    let role = |name: &std::ffi::OsStr| roles.iter().find(|(role, _)| name == *role).map(|(_, role)| *role);
    if let Some(role) = called.and_then(role) {
        return Ok((role, arguments));
    }
    let Some(role) = arguments.get(1).and_then(|name| role(name)) else {
        return Err(Unknown { first: arguments.get(1).cloned(), roles: roles.iter().map(|(name, _)| *name).collect() });
    };
    arguments.remove(0);
    Ok((role, arguments))
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

    fn chosen(arguments: &[&str]) -> Result<(u8, Vec<OsString>), String> {
        of(&ROLES, arguments.iter().map(OsString::from).collect()).map_err(|unknown| unknown.to_string())
    }

    fn role(number: u8, arguments: &[&str]) -> Result<(u8, Vec<OsString>), String> {
        Ok((number, arguments.iter().map(OsString::from).collect()))
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
    fn an_unknown_role_is_reported_with_the_known_ones() {
        for (arguments, start) in [
            (&["stackdemo", "apps"][..], "there is no role \"apps\": "),
            (&["stackdemo", "--help"], "there is no role \"--help\": "),
            (&["stackdemo", "/app"], "there is no role \"/app\": "),
            (&["stackdemo"], "no role is named: "),
            (&[], "no role is named: "),
        ] {
            let text = chosen(arguments).unwrap_err();
            assert!(text.starts_with(start) && text.ends_with(": app, edge"), "{text}");
        }
    }
}
