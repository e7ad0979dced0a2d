//! The structure of the sources: the order of imports between the parts of the edge, and no circles of imports.
//!
//! [`imports`] finds what each file imports, by `use` and by paths in the code. [`order`] and [`circles`] find
//! violations. Test modules are ignored: they may import anything.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;
mod imports;
mod order;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use crate::imports::Import;
use crate::order::Order;

/// The order of `edge/src`, from the top down: a part imports only what is in the layers below its own.
const EDGE: Order<'_> = Order(&[
    &["program"],
    &["control"],
    &["admin", "dns_check"],
    &["downstream"],
    &["proxy"],
    &["worker"],
    &["upstream"],
    &["filters"],
    &["route"],
    &["protocol", "observe"],
    &["config", "io"],
    &["error"],
]);

/// Returns the folders of all crates, relative to the repository's root.
fn crates() -> Vec<PathBuf> {
    let manifests = [1, 2].into_iter().flat_map(|depth| folders(repository(), depth));
    let crates = manifests.filter(|folder| folder.join("Cargo.toml").is_file() && folder.join("src").is_dir());
    crates.map(|folder| folder.strip_prefix(repository()).expect("it is inside").to_owned()).collect()
}

fn folders(of: &Path, depth: usize) -> Vec<PathBuf> {
    if depth == 0 {
        return vec![of.to_owned()];
    }
    let inner = fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path());
    inner.filter(|path| path.is_dir()).flat_map(|path| folders(&path, depth - 1)).collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the member is in the workspace's folder")
}

/// Returns the imports of a crate's library and program, with paths relative to the repository's root.
fn imports_of(name: &Path) -> Vec<Import> {
    imports::of(repository(), &name.join("src"))
}

#[test]
fn every_crate_is_found() {
    let crates = crates();
    for name in ["app", "edge", "tests", "watch", "bench", "bench/scale"] {
        assert!(crates.contains(&PathBuf::from(name)), "{name} is not in {crates:?}");
    }
}

#[test]
fn each_part_of_the_edge_imports_only_what_is_below_it() {
    let violations = EDGE.violations(Path::new("edge/src"), &imports_of(Path::new("edge")));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = crates().into_iter().flat_map(|name| circles::find(&imports_of(&name)));
    let shown: Vec<String> = circles.map(|circle| circle.to_string()).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}
