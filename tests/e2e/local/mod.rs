//! Several replicas behind the edge: as programs, as the one program that `cargo run` starts, and as
//! the library that it is made of.

mod library;
mod processes;
mod program;
mod settings;
