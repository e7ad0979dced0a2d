//! Several replicas behind the edge: as separate programs, as the one program that `cargo run` starts, and as the
//! library under it.

mod library;
mod processes;
mod program;
mod settings;
