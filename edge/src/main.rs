//! The program `edge`, which [`edge::program`] implements.

use std::{env, process::ExitCode};

#[cfg(feature = "jemalloc")]
use tikv_jemallocator::Jemalloc;

/// Returns freed memory to the system within seconds, in a thread of its own. glibc's allocator keeps most of it.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    edge::program::main(env::args_os().collect())
}
