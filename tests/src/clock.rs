//! A wall clock that a test can set, for some processes only.
//!
//! Neither a container nor a time namespace (time_namespaces(7)) has a wall clock of its own, and setting the machine's
//! would disturb everything on it. So a small library answers for the kernel (`fixtures/clock.c`), loaded by ld.so(8).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Plan;

/// The wall clock of the processes that are started with it, and of their children.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    /// The shift in seconds, which the processes have mapped into their memory.
    shift: PathBuf,
    file: File,
}

impl Clock {
    /// Creates a clock in `folder` that agrees with the machine's.
    ///
    /// # Panics
    /// The C compiler `cc` fails, or a file cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let (library, shift) = (folder.join("clock.so"), folder.join("clock"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/clock.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(built.is_ok_and(|status| status.success()), "cc cannot build {source}");
        fs::write(&shift, 0_i64.to_ne_bytes()).expect("a file");
        let file = OpenOptions::new().read(true).write(true).open(&shift).expect("our own file");
        Self { library, shift, file }
    }

    /// Lets a process use this clock.
    #[must_use]
    pub fn of(&self, plan: Plan) -> Plan {
        plan.env("LD_PRELOAD", &self.library).env("CLOCK", &self.shift)
    }

    /// Sets the clock to `seconds` from the machine's, at once.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).expect("our own file");
    }

    /// Returns by how many seconds it differs from the machine's.
    ///
    /// # Panics
    /// The file cannot be read.
    #[must_use]
    pub fn shift(&self) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).expect("our own file");
        i64::from_ne_bytes(bytes)
    }
}
