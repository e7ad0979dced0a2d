//! Python programs and packages of the tests, in virtual environments in the target directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Plan, Process};

/// Plans to run `program` of the folder `fixtures/NAME` with the packages of its `requirements.txt`.
///
/// # Panics
/// If Python's `venv` module is missing, or a package cannot be installed.
#[must_use]
pub fn program(name: &str, program: &str) -> Plan {
    Process::of(environment(name, &[]).join("bin/python")).arg(fixture(name, program))
}

fn fixture(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join(file)
}

/// Returns the virtual environment `name` in the target directory. Creates it if it is missing or if
/// `fixtures/NAME/requirements.txt` has changed. `options` are passed to `pip install`.
///
/// # Panics
/// If Python's `venv` module is missing, or a package cannot be installed.
#[must_use]
pub fn environment(name: &str, options: &[&str]) -> PathBuf {
    let requirements = fixture(name, "requirements.txt");
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("a target directory");
    let directory = target.join(name);
    // Several test programs may run this at the same time. The lock ends with the file's scope.
    let lock = File::create(target.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock");
    let wanted = fs::read_to_string(&requirements).expect("the requirements");
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|have| have == wanted) {
        return directory;
    }
    run(bounded("python3").args(["-m", "venv", "--clear"]).arg(&directory));
    run(bounded(directory.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(options)
        .arg("--requirement")
        .arg(&requirements));
    fs::write(&installed, wanted).expect("a file in the target directory");
    directory
}

/// Creates a command that is killed after 300 s, longer than any download should take.
fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "300"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("timeout is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
}
