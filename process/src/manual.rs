//! Shell completions and manual pages, generated from a program's own flags: the subcommands `completions` and
//! `man`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{CANNOT_RUN, fail};

/// The arguments of the subcommand `completions`.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completions {
    /// The shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Prints the script that completes the subcommands and flags of `command`.
    #[must_use]
    pub fn print(self, mut command: Command) -> ExitCode {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, &name, &mut script);
        match io::stdout().write_all(&script) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&name, &format!("cannot write the script: {error}"), CANNOT_RUN),
        }
    }
}

/// The arguments of the subcommand `man`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Man {
    /// The folder to write to; it is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    /// Writes a page for `command` and for each of its subcommands: `edge.1`, `edge-run.1` and so on.
    #[must_use]
    pub fn write(&self, command: Command) -> ExitCode {
        let name = command.get_name().to_owned();
        let written = fs::create_dir_all(&self.folder).and_then(|()| clap_mangen::generate_to(command, &self.folder));
        match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&name, &format!("{}: {error}", self.folder.display()), CANNOT_RUN),
        }
    }
}
