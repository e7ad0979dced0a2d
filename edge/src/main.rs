//! The program `edge`; all of it is in [`edge::program`].

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    edge::program::main(env::args_os().collect())
}
