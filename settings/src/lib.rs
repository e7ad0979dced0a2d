//! Reads a settings file, which is TOML, into typed values and reports all its problems at once: each [`Problem`] with
//! file, line, column, key and what to write instead.
//!
//! The parser returns a tree of values with their positions. A [`Section`] reads one table of it key by key, each value
//! by its [`Kind`]; the keys that it reads are the keys that the file may have. A [`Report`] collects the problems. The
//! program decides which keys there are and what they mean together.

pub mod address;
mod error;
pub mod kind;
mod problem;
mod read;
pub mod reference;
mod report;
mod section;
pub mod value;

#[cfg(test)]
mod tests;

pub use self::{
    error::LoadError,
    kind::Kind,
    problem::{Place, Problem, nearest},
    report::Report,
    section::{Section, into_values},
};
