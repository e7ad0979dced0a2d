//! The program `watch`; all of it is in [`watch::program`].

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    watch::program::main(env::args_os().collect())
}
