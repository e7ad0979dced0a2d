//! All programs of the image in one file, which holds what they share only once: the runtime, TLS, HTTP, the
//! log. It plays the role of whatever name it is called by, so `/app`, `/edge` and `/watch` are links to it.
//! Called by another name, it takes the role's from its first argument.

mod choice;

use std::{env, ffi::OsString, process::ExitCode};

use process::WRONG_SETTING;

/// A program: its name, and what does its work, given its arguments, of which the first is the name.
type Role = (&'static str, fn(Vec<OsString>) -> ExitCode);

const ROLES: [Role; 3] = [("app", app::program::main), ("edge", edge::program::main), ("watch", watch::program::main)];

fn main() -> ExitCode {
    match choice::of(&ROLES, env::args_os().collect()) {
        Ok((main, arguments)) => main(arguments),
        Err(unknown) => process::fail("stackdemo", &unknown, WRONG_SETTING),
    }
}
