//! All programs of the image in one executable, which contains their shared code only once: the runtime, TLS, HTTP, the
//! log. The name it is called by selects the program, so `/app`, `/edge` and `/watch` are links to it. Called by
//! another name, it takes the program from its first argument.

mod choice;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use process::WRONG_SETTING;
use tikv_jemallocator::Jemalloc;

use self::choice::Choice;

/// Returns freed memory to the system within seconds, in a thread of its own. glibc's allocator keeps most of it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A program: its name and its main function, which takes the arguments; the first one is the name.
type Role = (&'static str, fn(Vec<OsString>) -> ExitCode);

const ROLES: [Role; 3] = [("app", app::program::main), ("edge", edge::program::main), ("watch", watch::program::main)];

const HELP: &str = "\
All programs of the image in one executable

Usage: stackdemo <PROGRAM> [ARGUMENTS]...
       <PROGRAM> [ARGUMENTS]...  by a link to this executable that has the program's name

Programs:
  app    The hit counter
  edge   The reverse proxy
  watch  The swarm on a live page, and alerts

Options:
  -h, --help     Print help; `stackdemo <PROGRAM> --help` prints that of a program
  -V, --version  Print version
";

fn main() -> ExitCode {
    match choice::of(&ROLES, env::args_os().collect()) {
        Ok(Choice::Role(main, arguments)) => main(arguments),
        Ok(Choice::Help) => print(HELP),
        Ok(Choice::Version) => print(concat!("stackdemo ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(unknown) => process::fail("stackdemo", &unknown, WRONG_SETTING),
    }
}

fn print(text: &str) -> ExitCode {
    // If stdout is closed, there is no reader.
    drop(io::stdout().write_all(text.as_bytes()));
    ExitCode::SUCCESS
}
