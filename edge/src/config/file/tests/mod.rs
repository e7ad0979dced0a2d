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

/// What is wrong with a text.
fn told(text: &str) -> String {
    parse(text, Path::new("edge.toml")).unwrap_err().to_string()
}

/// Two sections that go well with whatever is tested.
const REST: &str = r#"
[[listener]]
address = ":80"
[pool.web]
endpoints = "10.0.0.1:8000"
"#;
