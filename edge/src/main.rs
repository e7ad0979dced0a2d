//! The program `edge`, which [`edge::program`] implements.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    edge::program::main(env::args_os().collect())
}
