//! The machine of a run, and the versions of the programs.

use std::{fs, path::Path, process::Command};

use serde::Serialize;

/// The machine of a run, and the versions of the programs.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<(String, String)>,
}

impl Machine {
    /// Reads them from the system. A value that cannot be read is "unknown".
    pub(crate) fn new(cores: usize, edge: &Path) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let versions = [
            ("edge", version(edge, &["--version"])),
            ("haproxy", version(Path::new("haproxy"), &["-v"])),
            ("nginx", version(Path::new("nginx"), &["-v"])),
            ("caddy", version(Path::new("caddy"), &["version"])),
            ("pingora", PINGORA.to_owned()),
        ];
        Self {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cores,
            kernel: kernel.trim().to_owned(),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).into(),
        }
    }
}

/// Pingora's version in this workspace's lock file.
const PINGORA: &str = "0.9.1";

/// Returns the first word of a program's version output that starts with a digit.
fn version(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "missing".to_owned() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let first = text.split_whitespace().map(|word| word.trim_start_matches("nginx/").trim_start_matches('v'));
    first.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("unknown").to_owned()
}
