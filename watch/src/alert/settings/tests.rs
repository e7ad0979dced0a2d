use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::alert::rule::{Rule, Thresholds};

/// Creates a folder with secrets.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("password", "geheim\n"),
        ("token", "0123456789abcdef"),
        ("hook", "https://hooks.slack.com/services/T0/B0/xyz\n"),
        ("bearer", "Bearer abc"),
        ("empty", "\n"),
        ("lines", "a\nb"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn parse(folder: &TempDir, text: &str) -> Result<Settings, String> {
    let path = folder.path().join("watch.toml");
    Settings::parse(&path, text).map_err(|problems| {
        let folder = format!("{}/", folder.path().display());
        problems.to_string().replace(&folder, "")
    })
}

fn settings(text: &str) -> Settings {
    parse(&folder(), text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> String {
    parse(&folder(), text).unwrap_err()
}

#[test]
fn an_empty_file_means_alerts_on_the_page_only() {
    let settings = settings("");
    assert!(settings.channels.is_empty() && settings.heartbeat.is_none() && settings.silences.is_empty());
    assert_eq!(settings.general, General::default());
    assert_eq!(settings.rules, Rules::default());
}

#[test]
fn all_keys_are_parsed() {
    let settings = settings(
        r#"
        [alerts]
        cluster = "stackdemo"
        link = "http://10.10.25.165:8080/"
        group_wait = "0s"
        repeat = "1h"

        [rule.node_down]
        for = "1s"
        resolve_after = "20s"
        severity = "warning"
        [rule.self_signed]
        enabled = false
        [rule.crash_loop]
        restarts = 5
        window = "30min"
        [rule.disk]
        warning = 0.2
        [rule.certificate]
        critical = "30days"

        [[silence]]
        rule = "node_*"
        node = "serveur18"
        until = 2036-12-24T18:00:00+01:00
        [[silence]]
        service = "stackdemo_web"
        until = "2036-12-24T17:00:00Z"

        [mail]
        host = "smtp.example.com"
        user = "watch"
        password_file = "password"
        from = "Watch <watch@example.com>"
        to = ["ops@example.com", "Night <night@example.com>"]

        [sms]
        url = "http://127.0.0.1:8025"
        account = "AC01"
        token_file = "token"
        from = "+33600000000"
        to = "+33612345678"

        [[webhook]]
        format = "slack"
        url_file = "hook"
        resolved = false
        [[webhook]]
        name = "am"
        format = "alertmanager"
        url = "http://alertmanager:9093"
        header_files = { Authorization = "bearer" }

        [heartbeat]
        url = "https://hc-ping.com/x"
        method = "POST"
        "#,
    );
    assert_eq!(settings.general.cluster, "stackdemo");
    let node_down = settings.rules.of(Rule::NodeDown);
    assert_eq!(node_down.timing.wait, Duration::from_secs(1));
    assert_eq!((node_down.severity, node_down.enabled), (Some(Severity::Warning), true));
    assert!(!settings.rules.of(Rule::SelfSigned).enabled);
    assert_eq!(settings.rules.crash_loop.restarts, 5);
    assert_eq!(settings.rules.disk, Thresholds { warning: 0.2, critical: 0.05 });
    // A default never contradicts a configured value.
    assert_eq!(settings.rules.certificate.warning, settings.rules.certificate.critical);
    assert_eq!(settings.silences[0].until, settings.silences[1].until);

    let names: Vec<_> = settings.channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["mail", "sms", "slack", "am"]);
    let Kind::Mail(mail) = &settings.channels[0].kind else { panic!() };
    assert_eq!(
        (mail.port, mail.tls, mail.to.len(), mail.subject_prefix.as_str()),
        (587, MailTls::Starttls, 2, "[stackdemo] ")
    );
    assert_eq!(mail.login.as_ref().unwrap().1.expose(), "geheim");
    assert_eq!(settings.channels[1].severity, Severity::Critical);
    let Kind::Webhook(slack) = &settings.channels[2].kind else { panic!() };
    assert_eq!(slack.url.expose(), "https://hooks.slack.com/services/T0/B0/xyz");
    assert!(!settings.channels[2].resolved);
    let Kind::Webhook(alertmanager) = &settings.channels[3].kind else { panic!() };
    assert_eq!(alertmanager.headers[0].1.expose(), "Bearer abc");
    assert_eq!(
        (settings.channels[3].repeat, settings.channels[0].repeat),
        (Duration::from_secs(60), Duration::from_secs(3600))
    );
    assert!(settings.heartbeat.as_ref().unwrap().post);
    assert_eq!(settings.warnings, []);

    let debug = format!("{settings:?}");
    for secret in ["geheim", "0123456789abcdef", "services/T0", "Bearer abc", "hc-ping.com/x"] {
        assert!(!debug.contains(secret), "{secret}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_place_and_fix() {
    insta::assert_snapshot!(problems(r#"
cluster = "x"
[alert]
[alerts]
groupwait = "1s"
repeat = "1s"
link = "10.10.25.165:8080"
ca_file = "password"
[rule.node_dwon]
[rule.something]
[rule.disk]
warning = 5
restarts = 3
[rule.certificate]
warning = "1day"
critical = "2days"
[[silence]]
until = 2026-12-24
[[silence]]
rule = "nod_down"
[mail]
host = "smtp.example.com:25"
tls = "ssl"
user = "watch"
from = "watch"
[sms]
account = "AC 1"
token_file = "nowhere"
from = "my very long name"
to = ["0612345678", 5]
[[webhook]]
format = "teams"
url = "hooks.slack.com"
url_file = "hook"
[[webhook]]
format = "json"
url_file = "token"
header_files = { "Host" = "bearer", "X-A" = "empty", "X-B" = "lines" }
[[webhook]]
format = "json"
[heartbeat]
interval = "10ms"
url = "http://user:password@example.com/"
"#), @r#"
    watch.toml:2:1: cluster: there is no such key here; it belongs to [alerts]
    watch.toml:3:2: alert: there is no such key; did you mean "alerts"?
    watch.toml:5:1: alerts.groupwait: there is no such key; did you mean "group_wait"?
    watch.toml:6:10: alerts.repeat: "1s" is out of range: write a duration from "10s" to "365days"
    watch.toml:7:8: alerts.link: is not an address: write it with scheme and host, such as "https://hooks.example.com/T0/x"
    watch.toml:8:11: alerts.ca_file: the file is not PEM: no line begins with `-----BEGIN `
    watch.toml:9:7: rule.node_dwon: there is no such rule; did you mean "node_down"?
    watch.toml:10:7: rule.something: there is no such rule; the rules are: quorum_lost, node_down, manager_unreachable, quorum_at_risk, redis_master, redis_replica, edge_pool, edge_down, service_below, update_failed, crash_loop, job_failed, disk, certificate, self_signed, picture_stale, channel_failing
    watch.toml:12:11: rule.disk.warning: 5 is not a share: write a number from 0.0 (none) to 1.0 (all)
    watch.toml:13:1: rule.disk.restarts: there is no such key; this section has: enabled, severity, for, resolve_after, warning, critical
    watch.toml:16:12: rule.certificate.critical: is above warning, so nothing would be a warning: write at most the same value
    watch.toml:17:1: silence: does not say what it silences: add rule, node, service or task; rule = "*" silences everything
    watch.toml:18:9: silence.until: 2026-12-24 is not a point in time: write date, time and zone, such as 2026-12-24T18:00:00+01:00
    watch.toml:19:1: silence.until: is missing: add until = 2026-12-24T18:00:00+01:00
    watch.toml:20:8: silence.rule: no rule is named "nod_down"; did you mean "node_down"?
    watch.toml:21:1: mail.to: is missing: add to = "ops@example.com"
    watch.toml:22:8: mail.host: "smtp.example.com:25" is not a host: write only its name, such as "smtp.example.com"; the port is a separate key
    watch.toml:23:7: mail.tls: "ssl" is not a TLS mode: write "starttls", "tls" or "none"
    watch.toml:24:8: mail.user: needs a password: add password_file = "/run/secrets/smtp"
    watch.toml:25:8: mail.from: "watch" is not a mail address: write "ops@example.com" or "Watch <watch@example.com>"
    watch.toml:27:11: sms.account: "AC 1" is not an account: write only letters and digits, such as "AC0123456789abcdef"
    watch.toml:28:14: sms.token_file: nowhere: there is no such file
    watch.toml:29:8: sms.from: "my very long name" is not a sender: write a number like "+33612345678", or a name of at most 11 letters and digits
    watch.toml:30:7: sms.to: "0612345678" is not a number: write it like "+33612345678"
    watch.toml:30:21: sms.to: expected number, found integer: write it like "+33612345678"
    watch.toml:32:10: webhook.format: "teams" is not a format: write "json", "slack", "ntfy" or "alertmanager"
    watch.toml:33:7: webhook.url: is not an address: write it with scheme and host, such as "https://hooks.example.com/T0/x"
    watch.toml:34:12: webhook.url_file: cannot be combined with url: remove one of them
    watch.toml:37:12: webhook.url_file: its content is not an address: write it with scheme and host, such as "https://hooks.example.com/T0/x"
    watch.toml:38:18: webhook.header_files.Host: "Host" cannot be set: the request determines it
    watch.toml:38:45: webhook.header_files.X-A: empty: is empty
    watch.toml:38:62: webhook.header_files.X-B: lines: contains more than one line
    watch.toml:39:1: webhook.url: is missing: add url = "https://ntfy.sh/topic", or url_file
    watch.toml:42:12: heartbeat.interval: "10ms" is out of range: write a duration from "1s" to "365days"
    watch.toml:43:7: heartbeat.url: contains a login, which would be sent in the clear: use an Authorization header instead
    "#);
}

#[test]
fn a_syntax_error_is_reported_with_its_place() {
    insta::assert_snapshot!(problems("[alerts]\ncluster = stackdemo\n"), @"watch.toml:2:11: not TOML: string values must be quoted, expected literal string");
}

#[test]
fn a_password_needs_a_user_and_tls() {
    let mail = |more: &str| {
        problems(&format!(
            "[mail]\nhost = \"a\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\npassword_file = \"password\"\n{more}"
        ))
    };
    insta::assert_snapshot!(mail(""), @r#"watch.toml:5:17: mail.password_file: has no user: add user = "watch""#);
    insta::assert_snapshot!(mail("user = \"x\"\ntls = \"none\""), @r#"watch.toml:7:7: mail.tls: "none" would send the password in the clear: write "starttls" or "tls""#);
}

#[test]
fn port_465_has_implicit_tls() {
    let mail = |more: &str| format!("[mail]\nhost = \"a\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\n{more}");
    let tls = |more: &str| {
        let settings = parse(&folder(), &mail(more)).unwrap();
        let Kind::Mail(mail) = &settings.channels[0].kind else { panic!() };
        (mail.port, mail.tls)
    };
    assert_eq!(tls(""), (587, MailTls::Starttls));
    assert_eq!(tls("port = 465"), (465, MailTls::Tls));
    assert_eq!(tls("tls = \"tls\""), (465, MailTls::Tls));
    assert_eq!(tls("port = 2525"), (2525, MailTls::Starttls));
    insta::assert_snapshot!(problems(&mail("port = 465\ntls = \"starttls\"")), @r#"watch.toml:6:7: mail.tls: does not fit port 465, where TLS begins with the connection: write "tls", or port = 587"#);
}

#[test]
fn channel_names_are_unique() {
    insta::assert_snapshot!(problems("webhook = [{ format = \"json\", url = \"http://a\" }, { format = \"json\", url = \"http://b\" }]"), @r#"watch.toml:1:51: webhook.name: another channel is named "json": add name = "json-2""#);
}

#[test]
fn a_setting_without_effect_or_a_readable_secret_is_a_warning() {
    let folder = folder();
    let path = folder.path().join("hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let text =
        "[[silence]]\nrule = \"*\"\nuntil = 2020-01-01T00:00:00Z\n[[webhook]]\nformat = \"slack\"\nurl_file = \"hook\"";
    let warnings = parse(&folder, text).unwrap().warnings;
    let warnings = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warnings.replace(&format!("{}/", folder.path().display()), ""), @"
    watch.toml:3:9: silence.until: is in the past: the silence has no effect
    watch.toml:6:12: webhook.url_file: hook: every user of this machine can read it: chmod o-r
    ");
}

#[test]
fn an_unreadable_file_is_reported_with_its_path() {
    // Root can read every file, so this tests the message only.
    let missing =
        problems("[sms]\naccount = \"AC1\"\ntoken_file = \"nowhere\"\nfrom = \"Watch\"\nto = \"+33612345678\"");
    insta::assert_snapshot!(missing, @"watch.toml:3:14: sms.token_file: nowhere: there is no such file");
    let error = Settings::load(&PathBuf::from("/nowhere/watch.toml")).unwrap_err();
    insta::assert_snapshot!(error, @"/nowhere/watch.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn the_folder_of_the_state_file_must_exist() {
    let folder = folder();
    let settings = parse(&folder, "alerts.state_file = \"alerts.json\"").unwrap();
    assert_eq!(settings.general.state_file, Some(folder.path().join("alerts.json")));
    let problem = problems("alerts.state_file = \"nowhere/alerts.json\"");
    insta::assert_snapshot!(problem, @"watch.toml:1:21: alerts.state_file: nowhere: there is no such folder");
    let problem = problems("alerts.state_file = \"/\"");
    insta::assert_snapshot!(problem, @"watch.toml:1:21: alerts.state_file: /: is a folder: add the name of a file");
}

#[test]
fn a_point_in_time_needs_a_zone() {
    for (text, good) in [
        ("2026-12-24T18:00:00Z", true),
        ("2026-12-24T18:00:00-05:30", true),
        ("2026-12-24T18:00:00", false),
        ("2026-12-24", false),
        ("18:00:00", false),
    ] {
        let parsed = parse(&folder(), &format!("[[silence]]\nrule = \"*\"\nuntil = {text}"));
        assert_eq!(parsed.is_ok(), good, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        // Any result is fine, as long as there is one.
        drop(Settings::parse(Path::new("/nowhere/watch.toml"), &text));
    }

    #[test]
    fn no_value_panics(value in "[-+\"'{}\\[\\]0-9a-zA-Z:., ]{0,24}") {
        for key in ["silence.until", "rule.disk.warning", "mail.port", "webhook.url", "alerts.repeat", "sms.to", "webhook.header_files"] {
            drop(Settings::parse(Path::new("/nowhere/watch.toml"), &format!("{key} = {value}")));
        }
    }
}

#[test]
fn ntfy_needs_a_topic() {
    let webhook = |url: &str| parse(&folder(), &format!("[[webhook]]\nformat = \"ntfy\"\n{url}"));
    for url in ["https://ntfy.sh", "https://ntfy.sh/", "https://ntfy.sh//?auth=x"] {
        let problem = webhook(&format!("url = \"{url}\"")).unwrap_err();
        assert!(problem.contains("webhook.url: has no topic at its end"), "{problem}");
    }
    webhook("url = \"https://ntfy.sh/topic/\"").unwrap();
    webhook("url_file = \"hook\"").unwrap();
}
