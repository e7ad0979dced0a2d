//! The tables of docs/scale.md.

use crate::{herd, loss, mesh, paper, spread};

/// A table's name, and what makes it.
pub type Entry = (&'static str, fn() -> String);

/// All tables by name, in the order of the page.
pub const TABLES: &[Entry] = &[
    ("rest", paper::rest),
    ("count", paper::count),
    ("machine", loss::machine),
    ("many", loss::many),
    ("mesh", mesh::table),
    ("spread", spread::table),
    ("herd", herd::table),
];
