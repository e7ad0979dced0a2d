//! Reads a settings file, TOML, into typed values, and tells all that is wrong with it at once: each
//! [`Problem`] with file, line, column, key and what to write instead.
//!
//! The text becomes a tree of values with their positions. A [`Section`] reads a table of it key by key
//! through the [`Kind`]s of values; what is asked for is what may be written. A [`Report`] collects what
//! does not fit. Which keys there are, and what they mean together, is up to the program.

pub mod kind;
mod problem;
pub mod reference;
mod report;
mod section;
pub mod value;

#[cfg(test)]
mod tests;

pub use self::{
    kind::Kind,
    problem::{Lines, Place, Problem, nearest},
    report::Report,
    section::{Section, into_values},
};
