mod problems;
mod properties;
mod values;

use std::path::Path;

use super::parse;
use crate::config::{Config, problem::Loaded};

const FILE: &str = "/etc/edge.toml";

fn config(text: &str) -> Config {
    loaded(text).config
}

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new(FILE)).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the problems of `text`, one per line.
fn errors(text: &str) -> String {
    parse(text, Path::new("edge.toml")).unwrap_err().to_string()
}

/// The required sections, which a test adds its own lines to.
const MINIMAL: &str = r#"
[[listener]]
address = ":80"
[pool.web]
endpoints = "10.0.0.1:8000"
"#;
