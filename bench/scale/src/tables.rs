//! The tables of docs/scale.md.

use crate::{failures, formulas, herd, mesh, spread};

/// A table's name, and the function that makes it.
pub type Entry = (&'static str, fn() -> String);

/// All tables by name, in the order of the page.
pub const TABLES: &[Entry] = &[
    ("rest", formulas::rest),
    ("count", formulas::count),
    ("machine", failures::machine),
    ("many", failures::many),
    ("mesh", mesh::table),
    ("spread", spread::table),
    ("herd", herd::table),
];
