//! The journey: everything that an operator does with a swarm, and the failures that it must survive, on a real one.
//!
//! Each step is a test that continues where the previous one ended. `tests/run swarm` runs it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the output of the test")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod journey;
mod steps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion, Trial};
use tests::swarm::kernel::obstacles;
use tests::swarm::mesh;
use tests::swarm::namespaces::{Run, enter};

/// The variable that `tests/run` sets to a [`Length`]: a journey takes half an hour and is not part of every
/// `cargo test`.
const WANTED: &str = "SWARM";

/// How many machines each kind of event affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Each step once, with every command of the page: `SWARM=short`.
    Short,
    /// Every machine: `SWARM=full`.
    Full,
}

impl Length {
    fn wanted() -> Option<Self> {
        match std::env::var(WANTED).ok()?.as_str() {
            "short" => Some(Self::Short),
            "full" => Some(Self::Full),
            other => panic!("{WANTED}={other}: must be short or full"),
        }
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(mesh::ARGUMENT) {
        mesh::serve();
    }
    let mut arguments = Arguments::from_args();
    // The steps build on each other.
    arguments.test_threads = Some(1);
    let wanted = Length::wanted();
    if let (Some(run), Some(length)) = (Run::current(), wanted) {
        return conclude(&journey::run(&arguments, run, length));
    }
    if arguments.list {
        return conclude(&skip(&arguments, ""));
    }
    if wanted.is_none() {
        return conclude(&skip(&arguments, "tests/run swarm runs them"));
    }
    let obstacles = obstacles();
    if !obstacles.is_empty() {
        println!("SKIPPED: no swarm can be started here:");
        for obstacle in &obstacles {
            println!("    {obstacle}");
        }
        return conclude(&skip(&arguments, &obstacles.join("; ")));
    }
    // Installs the mail server's packages while there is a network.
    drop(tests::smtp::Smtp::plan());
    match enter(&cache()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn skip(arguments: &Arguments, why: &str) -> Conclusion {
    let trial = |step: &steps::Step| {
        let why = why.to_owned();
        Trial::ignorable_test(step.name, move || Ok(libtest_mimic::Completion::ignored_with(why)))
    };
    libtest_mimic::run(arguments, steps::STEPS.iter().map(trial).collect())
}

fn conclude(conclusion: &Conclusion) -> ExitCode {
    if conclusion.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the folder for images and runs, by default in the target directory.
fn cache() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    // target/<profile>/deps/<test>
    let target = own.ancestors().nth(3).unwrap_or(Path::new("target"));
    std::env::var_os("SWARM_CACHE").map_or_else(|| target.join("swarm"), PathBuf::from)
}
