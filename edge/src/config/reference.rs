//! Compares `docs/edge.md` with the code: flags, keys, kinds and defaults. Every example file in it must be valid.
//! `UPDATE_DOCS=1 cargo test -p edge reference` regenerates the tables of flags.

use std::{env, fs, path::Path};

use settings::reference::{Keys, blocks, compare, documented};

use super::{Config, HealthCheck, Listener, Pool, Source, Sticky, file, flags};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/edge.md");

/// Each command with the heading before its table of flags.
const COMMANDS: [(&str, &str); 2] = [("run", "\n## Flags and variables\n"), ("dns", "\n## Is the name right?\n")];

/// The header of a table of flags.
const TABLE_HEADER: &str = "| Flag | Variable | Meaning |\n| --- | --- | --- |\n";

/// Defaults that [`file::render`] does not print: those that depend on something, and absent values.
const DEFAULTS_IN_WORDS: [(&str, &str); 64] = [
    ("workers", "number of cores"),
    ("limits.memory", "60 % of the process's limit, or 25 % of the machine's memory"),
    ("listener.address", "required"),
    ("listener.tls.self_signed", "`[\"localhost\"]`"),
    ("listener.tls.certificates.certificate", "required"),
    ("listener.tls.certificates.key", "required"),
    ("route.host", "any"),
    ("route.pool", "the only pool"),
    ("route.max_body", "unlimited"),
    ("route.redirect", "none"),
    ("route.redirect_status", "by method"),
    ("route.respond.status", "`200`"),
    ("route.respond.body", "`\"\"`"),
    ("route.respond.file", "none"),
    ("route.respond.type", "by `file`, else `\"text/plain; charset=utf-8\"`"),
    ("route.request_headers.remove", "none"),
    ("route.request_headers.set", "none"),
    ("route.request_headers.add", "none"),
    ("route.response_headers.remove", "none"),
    ("route.response_headers.set", "none"),
    ("route.response_headers.add", "none"),
    ("pool.NAME.endpoints", "required"),
    ("pool.NAME.endpoints.address", "required"),
    ("pool.NAME.endpoints.weight", "`1`"),
    ("pool.NAME.endpoints.tier", "`1`"),
    ("pool.NAME.endpoints.zone", "none"),
    ("pool.NAME.endpoints.resolver", "that of the pool"),
    ("pool.NAME.zone", "none"),
    ("pool.NAME.slow_start", "none"),
    ("pool.NAME.endpoints.backup", "`false`"),
    ("pool.NAME.sticky.secure", "if the request came over HTTPS"),
    ("pool.NAME.sticky.max_age", "until the browser ends"),
    ("pool.NAME.sticky.key_file", "none"),
    ("pool.NAME.discovery.resolver", "`[dns]`"),
    ("pool.NAME.discovery.interval", "that of the resolver"),
    ("pool.NAME.discovery.min_interval", "`\"1s\"`, at most `max_interval`"),
    ("pool.NAME.discovery.max_interval", "`\"1m\"`, at least `min_interval`"),
    ("dns.tls_name", "the address of the server"),
    ("dns.ca_file", "those of this machine"),
    ("dns.min_interval", "`\"1s\"`, at most `max_interval`"),
    ("dns.max_interval", "`\"1m\"`, at least `min_interval`"),
    ("pool.NAME.mesh", "whether a swarm is in `endpoints`"),
    ("pool.NAME.replica_header", "`\"x-served-by\"`"),
    ("pool.NAME.health.protocol", "`\"http\"` with `path`, else `\"tcp\"`"),
    ("pool.NAME.health.path", "`\"/\"` with `protocol = \"http\"`"),
    ("pool.NAME.health.service", "the server as a whole"),
    ("pool.NAME.health.headers", "none"),
    ("pool.NAME.health.body", "none"),
    ("pool.NAME.health.idle_interval", "`interval`"),
    ("pool.NAME.health.tls.verify", "`true`"),
    ("pool.NAME.health.tls.ca", "the authorities of this machine"),
    ("pool.NAME.health.tls.server_name", "that of `host`, or the endpoint's"),
    ("pool.NAME.health.port", "the endpoint's"),
    ("pool.NAME.health.host", "the endpoint's"),
    ("pool.NAME.health.fast_interval", "`\"500ms\"`, at most `interval`"),
    ("pool.NAME.ejection.error_share", "`0.5`; with `expect = \"any\"`, `sticky` or `consistent_hash` `0.0`"),
    ("pool.NAME.ejection.base", "`\"5s\"`, at most `max`"),
    ("pool.NAME.ejection.max", "`\"1m\"`, at least `base`"),
    ("pool.NAME.drain.header", "none"),
    ("pool.NAME.timeouts.try", "`response`"),
    ("pool.NAME.timeouts.request", "none"),
    ("admin_token_file", "none"),
    ("takeover", "none"),
    ("swarm.token_file", "none"),
];

fn docs() -> String {
    fs::read_to_string(FILE).unwrap()
}

#[test]
fn the_tables_of_flags_match_the_command_line() {
    for (command, heading) in COMMANDS {
        let docs = docs();
        let section = docs.find(heading).expect("a section");
        let table = section + docs[section..].find(TABLE_HEADER).expect("a table of flags");
        let start = table + TABLE_HEADER.len();
        // An empty line ends the table.
        let end = start + docs[start..].find("\n\n").expect("text after the table") + 1;
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(FILE, [&docs[..start], &flags::table(command), &docs[end..]].concat()).unwrap();
        } else {
            assert_eq!(docs[start..end], flags::table(command), "UPDATE_DOCS=1 regenerates it");
        }
    }
}

#[test]
fn the_tables_of_keys_match_the_file() {
    let (documented, known) = (documented(&docs()).unwrap(), known(&examples(&docs())[0]));
    compare(&documented, &known).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn every_example_is_a_configuration_without_warnings() {
    let examples = examples(&docs());
    assert!(examples.len() >= 2);
    for example in examples {
        let loaded = file::parse(&example, Path::new("edge.toml")).unwrap_or_else(|error| panic!("{error}\n{example}"));
        assert_eq!(loaded.warnings, [], "{example}");
    }
}

/// Returns the TOML blocks of `docs`; the first has every section.
fn examples(docs: &str) -> Vec<String> {
    blocks(docs, "toml").map(str::to_owned).collect()
}

/// Returns the keys that the code reads, with their kinds and defaults. `example` has every section; its pool `web`
/// stands for all pools.
fn known(example: &str) -> Keys {
    let mut pool = Pool::new("NAME", vec![Source::Address(([127, 0, 0, 1], 80).into())]);
    // Without a path, `render` omits `expect`.
    pool.health = Some(HealthCheck { path: Some("/".parse().unwrap()), ..HealthCheck::default() });
    pool.sticky = Some(Sticky::new("NAME"));
    let listener = Listener::plain(([127, 0, 0, 1], 80).into());
    let rendered: toml::Table = file::render(&Config::simple(vec![listener], pool)).parse().unwrap();
    let default = |path: &str| match DEFAULTS_IN_WORDS.iter().find(|(key, _)| *key == path) {
        Some((_, words)) => (*words).to_owned(),
        None => find(&rendered, path).map_or_else(|| panic!("{path} has no default"), |value| format!("`{value}`")),
    };
    file::keys(example)
        .into_iter()
        .filter(|(path, kind)| !kind.contains("section") && !path.starts_with("pool.api."))
        .map(|(path, kind)| (path.replace("pool.web.", "pool.NAME."), kind))
        .map(|(path, kind)| (path.replace("resolver.internal.", "resolver.NAME."), kind))
        // All resolvers have the same defaults.
        .map(|(path, kind)| (path.clone(), (kind, default(&path.replace("resolver.NAME.", "dns.")))))
        .collect()
}

/// Returns the value at a path of keys; in a list of tables, that of the first table.
fn find(table: &toml::Table, path: &str) -> Option<toml::Value> {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let value = table.get(key)?;
    let Some(rest) = rest else { return Some(value.clone()) };
    find(value.as_table().or_else(|| value.as_array()?.first()?.as_table())?, rest)
}
