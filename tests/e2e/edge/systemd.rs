//! The units in `deploy/systemd`.

use std::{fs, path::Path};

use tests::{
    process::{Process, binary},
    wait::SOON,
};

/// Copies a unit, with the edge of this build in place of the installed one, which must exist.
fn install(unit: &str, target: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd").join(unit);
    let text = fs::read_to_string(source).unwrap();
    let edge = binary("edge").canonicalize().unwrap();
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(target, text.replace("/usr/local/bin/edge", edge.to_str().unwrap())).unwrap();
}

/// Returns what systemd has to say about the units.
async fn verify(folder: &Path, units: &[&str]) -> String {
    // The colon adds systemd's own units.
    let path = format!("{}:", folder.display());
    let verify = Process::of("systemd-analyze").args(["verify", "--man=no"]).args(units).env("SYSTEMD_UNIT_PATH", path);
    let (status, output) = verify.start().output(SOON).await;
    format!("{output}{}", if status.success() { "" } else { "failed" })
}

#[tokio::test]
async fn systemd_accepts_every_unit_and_both_kinds_of_instances() {
    if std::process::Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        return;
    }
    for drop_in in ["instances.conf", "takeover.conf"] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        install("edge.service", &at("edge.service"));
        install("edge.service", &at("edge@.service"));
        install("edge.socket", &at("edge.socket"));
        install(drop_in, &at("edge@.service.d").join(drop_in));
        let units = ["edge.service", "edge.socket", "edge@a.service", "edge@b.service"];
        assert_eq!(verify(folder.path(), &units).await, "", "{drop_in}");

        // A key that systemd does not know is noticed in a drop-in, too.
        fs::write(at("edge@.service.d/wrong.conf"), "[Service]\nRuntimeDirectoryKept=yes\n").unwrap();
        let output = verify(folder.path(), &units).await;
        assert!(output.contains("RuntimeDirectoryKept"), "{output}");
    }
}
