//! Properties of parsing and rendering.

use std::path::Path;

use proptest::prelude::*;

use super::FILE;
use crate::config::{
    arbitrary,
    file::{parse, render},
};

proptest! {
    #[test]
    fn a_rendered_configuration_parses_to_the_same_configuration(config in arbitrary::config()) {
        let text = render(&config);
        let parsed = parse(&text, Path::new(FILE)).map(|loaded| loaded.config);
        prop_assert_eq!(parsed.map_err(|error| format!("{error}\n{text}")), Ok(config));
    }

    #[test]
    fn no_text_panics(text: String) {
        // The result does not matter, only that parsing does not panic.
        drop(parse(&text, Path::new(FILE)));
    }

    #[test]
    fn no_toml_with_our_keys_panics(lines in prop::collection::vec(line(), 0..12)) {
        drop(parse(&lines.join("\n"), Path::new(FILE)));
    }
}

/// Generates lines, many of which are TOML with keys of the edge.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "workers",
        "drain",
        "takeover",
        "admin",
        "access_log",
        "trusted_proxies",
        "listener",
        "address",
        "tls",
        "certificates",
        "dns",
        "servers",
        "limits",
        "max_head",
        "route",
        "host",
        "path",
        "pool",
        "max_body",
        "pool.a",
        "endpoints",
        "weight",
        "sticky",
        "[pool.a.sticky]",
        "tier",
        "backup",
        "[pool.a.endpoints]",
        "health",
        "pool.a.health",
        "expect",
        "protocol",
        "headers",
        "body",
        "tls",
        "[pool.a.health.tls]",
        "interval",
        "ejection",
        "[route]",
        "[listener]",
    ]);
    let value = prop_oneof![
        "-?[0-9_]{1,25}",
        "[0-9.e+-]{1,9}",
        "\"[a-z0-9.:*/%,é-]{0,9}\"",
        "\\[[0-9, \"a-z:]{0,9}\\]",
        "true|false|inf|nan",
        "\\{[a-z= \"]{0,9}\\}",
        "1979-05-27",
    ];
    prop_oneof![
        (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        key.prop_map(|key| format!("[{key}]"))
    ]
}
