//! The program `app`; see [`app::program`].

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    app::program::main(env::args_os().collect())
}
