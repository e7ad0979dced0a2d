//! Tests of the checks themselves, on small crates that they write.

use std::fs;
use std::path::{Path, PathBuf};

use crate::circles;
use crate::imports::{self, Import};
use crate::order::Order;

/// Returns the imports of a crate with these files.
fn imports(files: &[(&str, &str)]) -> Vec<Import> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join("src").join(path);
        fs::create_dir_all(path.parent().expect("it is in src")).expect("a writable folder");
        fs::write(path, text).expect("a writable folder");
    }
    imports::of(folder.path(), Path::new("src"))
}

/// Returns the same imports as "from:line: imports to", without `src/`.
fn lines(files: &[(&str, &str)]) -> Vec<String> {
    imports(files).iter().map(|import| import.to_string().replace("src/", "")).collect()
}

fn circles(files: &[(&str, &str)]) -> Vec<Vec<PathBuf>> {
    circles::find(&imports(files)).into_iter().map(|circle| circle.files.into_iter().collect()).collect()
}

const NO_IMPORTS: [&str; 0] = [];
const NO_CIRCLES: [Vec<PathBuf>; 0] = [];

const ORDER: Order<'_> = Order(&[&["top"], &["left", "right"], &["ground"]]);

fn violations(files: &[(&str, &str)]) -> Vec<String> {
    ORDER.violations(Path::new("src"), &imports(files))
}

const LIB: (&str, &str) = ("lib.rs", "mod ground;\nmod left;\nmod right;\nmod top;");

#[test]
fn an_import_that_goes_up_is_reported() {
    let found = violations(&[
        LIB,
        ("top.rs", "use crate::left::Left;\nuse crate::ground::Ground;"),
        ("left/mod.rs", "mod inner;\npub struct Left;"),
        ("left/inner.rs", "\nfn go() { crate::top::run() }"),
        ("right.rs", ""),
        ("ground.rs", "pub struct Ground;"),
    ]);
    assert_eq!(found, ["src/left/inner.rs:2: imports src/top.rs, but `left` may import only: ground"]);
}

#[test]
fn an_import_between_parts_of_one_layer_is_reported() {
    let found = violations(&[
        LIB,
        ("top.rs", ""),
        ("left.rs", "use super::right::Right;"),
        ("right.rs", "pub struct Right;"),
        ("ground.rs", "use crate::right::Right;"),
    ]);
    assert_eq!(
        found,
        [
            "src/ground.rs:1: imports src/right.rs, but `ground` may import only: nothing",
            "src/left.rs:1: imports src/right.rs, but `left` may import only: ground",
        ]
    );
}

#[test]
fn a_part_without_a_place_in_the_order_is_reported() {
    let found = violations(&[
        ("lib.rs", "mod ground;\nmod other;"),
        ("other.rs", "use crate::ground::Ground;"),
        ("ground.rs", "pub struct Ground;"),
    ]);
    assert_eq!(found, ["src/other.rs:1: imports src/ground.rs, but `other` has no place in the order"]);
}

#[test]
fn an_import_from_the_root_of_the_crate_is_reported() {
    let found = violations(&[("lib.rs", "mod top;\npub struct Root;"), ("top.rs", "use crate::Root;")]);
    assert_eq!(found, ["src/top.rs:1: imports src/lib.rs, but `top` may import only: left, right, ground"]);
}

#[test]
fn two_files_that_import_each_other_are_a_circle() {
    let found = circles(&[
        ("lib.rs", "mod one;\nmod two;"),
        ("one.rs", "use crate::two::Two;\npub struct One;"),
        ("two.rs", "pub struct Two(super::one::One);"),
    ]);
    assert_eq!(found, [["src/one.rs", "src/two.rs"].map(PathBuf::from)]);
}

#[test]
fn a_circle_is_shown_import_by_import() {
    let imports = imports(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;"),
        ("a.rs", "\nuse crate::b::B;\npub struct A;"),
        ("b.rs", "use crate::c::C;\npub struct B;"),
        ("c.rs", "use crate::a::A;\npub struct C;"),
    ]);
    let shown: Vec<String> = circles::find(&imports).iter().map(ToString::to_string).collect();
    let expected = "3 files import each other in a circle, for example:
    src/a.rs:2: imports src/b.rs
    src/b.rs:1: imports src/c.rs
    src/c.rs:1: imports src/a.rs";
    assert_eq!(shown, [expected]);
}

#[test]
fn a_child_and_its_parent_that_import_each_other_are_a_circle() {
    let found = circles(&[
        ("lib.rs", "mod parent;"),
        ("parent/mod.rs", "mod child;\nuse child::Child;\npub struct Parent(Child);"),
        ("parent/child.rs", "use super::Parent;\npub struct Child;"),
    ]);
    assert_eq!(found, [["src/parent/child.rs", "src/parent/mod.rs"].map(PathBuf::from)]);
}

#[test]
fn a_parent_that_uses_an_item_it_re_exports_imports_it() {
    let found = circles(&[
        ("lib.rs", "mod parent;"),
        ("parent/mod.rs", "mod child;\npub(crate) use self::child::Child;\npub struct Parent(Child);"),
        ("parent/child.rs", "use super::Parent;\npub struct Child;"),
    ]);
    assert_eq!(found, [["src/parent/child.rs", "src/parent/mod.rs"].map(PathBuf::from)]);
}

#[test]
fn a_re_export_of_children_is_not_a_circle() {
    let files = [
        ("lib.rs", "mod parent;\nmod user;\npub use parent::One;"),
        ("parent/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::{Two, make};"),
        ("parent/one.rs", "use super::Two;\npub struct One(Two);"),
        ("parent/two.rs", "pub struct Two;\npub fn make() {}"),
        ("user.rs", "use crate::parent::{One, make};"),
    ];
    assert_eq!(circles(&files), NO_CIRCLES);
    assert_eq!(
        lines(&files),
        [
            "parent/one.rs:1: imports parent/two.rs",
            "user.rs:1: imports parent/one.rs",
            "user.rs:1: imports parent/two.rs",
        ]
    );
}

#[test]
fn a_re_export_of_an_item_elsewhere_is_an_import() {
    let found = lines(&[("lib.rs", "mod a;\nmod b;"), ("a.rs", "pub use crate::b::B;"), ("b.rs", "pub struct B;")]);
    assert_eq!(found, ["a.rs:1: imports b.rs"]);
}

#[test]
fn a_glob_resolves_to_the_file_that_defines_the_name() {
    let found = lines(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a/mod.rs", "mod inner;\npub use inner::*;"),
        ("a/inner.rs", "pub const LIMIT: u8 = 1;"),
        ("b.rs", "fn limit() -> u8 { crate::a::LIMIT }"),
    ]);
    assert_eq!(found, ["b.rs:1: imports a/inner.rs"]);
}

#[test]
fn a_path_through_an_imported_module_resolves_to_the_file_of_its_item() {
    let found = lines(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a/mod.rs", "pub mod inner;"),
        ("a/inner.rs", "pub fn run() {}"),
        ("b.rs", "use crate::a as other;\n\nfn go() {\n    assert_eq!(other::inner::run(), ());\n}"),
    ]);
    assert_eq!(found, ["b.rs:4: imports a/inner.rs"]);
}

#[test]
fn test_modules_are_ignored() {
    let found = lines(&[
        ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;"),
        ("a.rs", "#[cfg(test)]\nuse crate::b::B;\npub struct A;\n#[cfg(test)]\nmod tests { use crate::b::B; }"),
        ("b.rs", "#[cfg(test)]\n#[allow(unused)]\nfn help() { crate::a::go() }\npub struct B;"),
        ("tests.rs", "use crate::a::A;"),
    ]);
    assert_eq!(found, NO_IMPORTS);
}

#[test]
fn comments_strings_and_other_crates_are_not_imports() {
    let found = lines(&[
        ("lib.rs", "mod a;\nmod http;"),
        (
            "a.rs",
            "//! [`crate::http::Http`]\nuse http::Request;\n/// See [`super::http::Http`].\nfn go() -> &'static str { \"crate::http::Http\" }",
        ),
        ("http.rs", "pub struct Http;"),
    ]);
    assert_eq!(found, NO_IMPORTS);
}
