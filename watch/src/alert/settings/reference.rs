//! Checks `docs/alerts.md` and `deploy/watch.toml`: compares keys, kinds, defaults and rules with the code, and
//! parses every file in them. `UPDATE_DOCS=1 cargo test -p watch reference` updates the table of rules.

use std::{collections::BTreeMap, env, fmt::Write, fs, path::Path, time::Duration};

use settings::{
    reference::{Keys, blocks, compare, documented},
    value::written,
};

use super::{General, Settings, file};
use crate::{
    alert::{
        condition::Subject,
        notifier::{Item, Kind, Notification},
        rule::{Rule, Rules},
        text::{Context, document},
    },
    cluster_state::Severity,
};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md");
const DEPLOYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/watch.toml");

const RULES: [&str; 2] = [
    "| Rule | It holds when | Severity | `for` | `resolve_after` |\n| --- | --- | --- | --- | --- |\n",
    "\nA service below",
];

/// Defaults that depend on other values, or that are the absence of a value.
const IN_WORDS: [(&str, &str); 39] = [
    ("alerts.link", "none"),
    ("alerts.ca_file", "none"),
    ("alerts.state_file", "none"),
    ("rule.NAME.enabled", "`true`"),
    ("rule.NAME.severity", "the rule's"),
    ("rule.NAME.for", "the rule's"),
    ("rule.NAME.resolve_after", "the rule's"),
    ("silence.rule", "any"),
    ("silence.node", "any"),
    ("silence.service", "any"),
    ("silence.task", "any"),
    ("silence.until", "required"),
    ("silence.comment", "none"),
    ("mail.host", "required"),
    ("mail.port", "`587`; `465` or `25` by `tls`"),
    ("mail.tls", "`\"starttls\"`; `\"tls\"` on port 465"),
    ("mail.hello", "an address"),
    ("mail.user", "none"),
    ("mail.password_file", "none"),
    ("mail.from", "required"),
    ("mail.to", "required"),
    ("mail.subject_prefix", "`\"[CLUSTER] \"`"),
    ("mail.repeat", "that of `[alerts]`"),
    ("sms.account", "required"),
    ("sms.token_file", "required"),
    ("sms.from", "required"),
    ("sms.to", "required"),
    ("sms.repeat", "that of `[alerts]`"),
    ("webhook.format", "required"),
    ("webhook.name", "the format"),
    ("webhook.url", "this or `url_file`"),
    ("webhook.url_file", "this or `url`"),
    ("webhook.header_files", "none"),
    ("webhook.repeat", "that of `[alerts]`; `\"1m\"` for Alertmanager"),
    ("heartbeat.url", "this or `url_file`"),
    ("heartbeat.url_file", "this or `url`"),
    ("heartbeat.method", "`\"GET\"`"),
    ("sms.url", "`\"https://api.twilio.com\"`"),
    ("mail.resolved", "`true`"),
];

/// Returns the values of keys with a fixed default.
fn defaults() -> BTreeMap<&'static str, String> {
    // With the required keys only.
    let least = settings(
        "mail = { host = \"a\", from = \"a@b.c\", to = \"a@b.c\" }\n\
         sms = { account = \"A\", token_file = \"/run/secrets/x\", from = \"x\", to = \"+33612345678\" }\n\
         webhook = [{ format = \"json\", url = \"http://a\" }]\n\
         heartbeat = { url = \"http://a\" }",
    );
    let (general, rules) = (General::default(), Rules::default());
    let duration = |duration: Duration| format!("`\"{}\"`", written(duration));
    let severity = |severity: Severity| format!("`\"{}\"`", format!("{severity:?}").to_lowercase());
    let heartbeat = least.heartbeat.as_ref().unwrap();
    let mut defaults: BTreeMap<&'static str, String> = [
        ("alerts.cluster", format!("`{:?}`", general.cluster)),
        ("alerts.group_wait", duration(general.group_wait)),
        ("alerts.group_interval", duration(general.group_interval)),
        ("alerts.repeat", duration(general.repeat)),
        ("alerts.takeover", duration(general.takeover)),
        ("alerts.takeover_blind", duration(general.takeover_blind)),
        ("rule.crash_loop.restarts", format!("`{}`", rules.crash_loop.restarts)),
        ("rule.crash_loop.window", duration(rules.crash_loop.window)),
        ("rule.certificate.warning", duration(rules.certificate.warning)),
        ("rule.certificate.critical", duration(rules.certificate.critical)),
        ("rule.disk.warning", format!("`{}`", rules.disk.warning)),
        ("rule.disk.critical", format!("`{}`", rules.disk.critical)),
        ("rule.update_failed.recent", duration(rules.rollback_recent)),
        ("heartbeat.interval", duration(heartbeat.interval)),
        ("heartbeat.timeout", duration(heartbeat.timeout)),
    ]
    .into();
    let names = [
        ["mail.severity", "mail.resolved", "mail.timeout"],
        ["sms.severity", "sms.resolved", "sms.timeout"],
        ["webhook.severity", "webhook.resolved", "webhook.timeout"],
    ];
    for (channel, [level, resolved, timeout]) in least.channels.iter().zip(names) {
        defaults.insert(level, severity(channel.severity));
        defaults.insert(resolved, format!("`{}`", channel.resolved));
        defaults.insert(timeout, duration(channel.timeout));
    }
    defaults
}

/// Parses `text` with all its secrets present.
fn settings(text: &str) -> Settings {
    with_secrets(text, |path, text| Settings::parse(path, text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn with_secrets<T>(text: &str, read: impl FnOnce(&Path, &str) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let mut text = text.to_owned();
    for name in ["watch_smtp", "watch_sms", "watch_ntfy", "x"] {
        fs::write(folder.path().join(name), "secret").unwrap();
    }
    for name in ["watch_slack", "watch_webhook", "watch_heartbeat"] {
        fs::write(folder.path().join(name), "https://example.com/secret").unwrap();
    }
    text = text.replace("/run/secrets", &folder.path().display().to_string());
    read(&folder.path().join("watch.toml"), &text)
}

fn docs() -> String {
    fs::read_to_string(DOCS).unwrap()
}

#[test]
fn the_table_of_rules_is_that_of_the_code() {
    let mut table = String::new();
    for rule in Rule::ALL {
        let timing = rule.timing();
        let (wait, over) = (written(timing.wait), written(timing.resolve_after));
        writeln!(table, "| `{rule}` | {} | {} | {wait} | {over} |", rule.description(), rule.default_severity())
            .unwrap();
    }
    let docs = docs();
    let start = docs.find(RULES[0]).expect("there is a table of rules") + RULES[0].len();
    let end = start + docs[start..].find(RULES[1]).expect("a sentence follows the table");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCS, [&docs[..start], &table, &docs[end..]].concat()).unwrap();
    } else {
        assert_eq!(docs[start..end], table, "UPDATE_DOCS=1 writes it anew");
    }
}

#[test]
fn the_tables_of_keys_are_those_of_the_file() {
    let (documented, known) = (documented(&docs()).unwrap(), known(&example(&docs())));
    compare(&documented, &known).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn the_example_is_a_configuration_with_every_channel() {
    let settings = settings(&example(&docs()));
    assert_eq!(settings.channels.len(), 4);
    assert!(settings.heartbeat.is_some());
}

#[test]
fn the_deployed_file_sends_nothing_until_its_sections_are_uncommented() {
    let text = fs::read_to_string(DEPLOYED).unwrap();
    let nothing = settings(&text);
    assert!(nothing.channels.is_empty() && nothing.heartbeat.is_none());
    assert_eq!(nothing.warnings, []);
    // Prose has a space after the number sign.
    let asked = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
    let all = settings(&text.lines().map(asked).collect::<Vec<_>>().join("\n"));
    let names: Vec<_> = all.channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["mail", "sms", "slack"]);
    assert!(all.heartbeat.is_some() && all.silences.len() == 1 && all.general.link.is_some());
}

#[test]
fn the_json_is_that_of_the_code() {
    let docs = docs();
    let block = blocks(&docs, "json").next().unwrap();
    let documented: serde_json::Value = serde_json::from_str(block).unwrap();
    let id = "y5v3nqzf1jqm7nwm8m1ahv7vc".to_owned();
    let item = Item {
        fingerprint: format!("node_down/{id}"),
        severity: Severity::Critical,
        summary: "serveur18 (10.10.25.166) is down: heartbeat failure".into(),
        end: None,
        subject: Subject { node: Some(id), node_name: Some("serveur18".into()), ..Subject::default() },
        since: 1_795_785_883_000,
        ended: None,
        thread: None,
    };
    let notification = Notification {
        id: "3f9c2a71b0de.19f1c2b3a45.0".into(),
        receiver: "json".into(),
        kind: Kind::Firing,
        rule: "node_down",
        items: vec![item],
        silent: false,
        failures: 0,
        recipients: Vec::new(),
    };
    let context = Context { cluster: "stackdemo".into(), link: Some("http://10.10.25.165:8080/".into()) };
    assert_eq!(document(&context, &notification, 1_795_785_903_000), documented);
}

/// Returns the TOML block, which has every section.
fn example(docs: &str) -> String {
    blocks(docs, "toml").next().unwrap().to_owned()
}

/// Returns the keys that the code knows. `example` has every section.
fn known(example: &str) -> Keys {
    let defaults = defaults();
    let default = |path: &str| match IN_WORDS.iter().find(|(key, _)| *key == path) {
        Some((_, words)) => (*words).to_owned(),
        None => defaults.get(path).unwrap_or_else(|| panic!("{path} has no default")).clone(),
    };
    let of_every_rule = ["enabled", "severity", "for", "resolve_after"];
    with_secrets(example, file::keys)
        .into_iter()
        .filter(|(_, kind)| !kind.contains("section"))
        .map(|(path, kind)| match path.split('.').collect::<Vec<_>>()[..] {
            ["rule", _, key] if of_every_rule.contains(&key) => (format!("rule.NAME.{key}"), kind),
            _ => (path, kind),
        })
        .map(|(path, kind)| (path.clone(), (kind, default(&path))))
        .collect()
}
