//! All programs of the image in one executable, which contains their shared code only once: the runtime, TLS, HTTP, the
//! log. The name it is called by selects the program, so `/app`, `/edge` and `/watch` are links to it. Called by another
//! name, it takes the program from its first argument.

mod choice;

use std::{env, ffi::OsString, process::ExitCode};

use process::WRONG_SETTING;

/// A program: its name and its main function, which takes the arguments; the first one is the name.
type Role = (&'static str, fn(Vec<OsString>) -> ExitCode);

const ROLES: [Role; 3] = [("app", app::program::main), ("edge", edge::program::main), ("watch", watch::program::main)];

fn main() -> ExitCode {
    match choice::of(&ROLES, env::args_os().collect()) {
        Ok((main, arguments)) => main(arguments),
        Err(unknown) => process::fail("stackdemo", &unknown, WRONG_SETTING),
    }
}
