//! Builds the settings from the sections of the file.
//!
//! After a problem it continues with a default to find the remaining problems; the result is then discarded.

use std::path::{Path, PathBuf};

use net::pem;
use rustls::pki_types::CertificateDer;
use settings::{Kind, Section};

use super::{channels, files, kind};
use crate::alert::{
    rule::{Rule, Rules, Thresholds},
    rules::LONGEST_WINDOW,
    settings::{General, Settings, value},
    silence::Silence,
};

/// Builds the settings from the whole file. Relative paths start at `folder`.
pub(super) fn settings(root: &mut Section<'_>, folder: &Path) -> Settings {
    let general = root.table("alerts", |section| general(section, folder));
    let mut rules = Rules::default();
    root.named("rule", |name, section| {
        let found = Rule::named(name);
        let found = found.ok_or_else(|| format!("there is no such rule; {}", value::other_rule(name)))?;
        rule(section, found, &mut rules);
        Ok(())
    });
    let silences = root.tables("silence", silence);
    let channels = channels::channels(root, &general, folder);
    let heartbeat = root.optional("heartbeat", |section| channels::heartbeat(section, folder)).flatten();
    Settings { general, rules, silences, channels, heartbeat, warnings: Vec::new() }
}

fn general(section: &mut Section<'_>, folder: &Path) -> General {
    let default = General::default();
    General {
        cluster: section.get("cluster", &kind::TEXT).unwrap_or(default.cluster),
        link: section.get("link", &kind::URL),
        group_wait: section.get("group_wait", &kind::DURATION_OR_ZERO).unwrap_or(default.group_wait),
        group_interval: section.get("group_interval", &kind::DURATION_OR_ZERO).unwrap_or(default.group_interval),
        repeat: section.get("repeat", &kind::REPEAT).unwrap_or(default.repeat),
        takeover: section.get("takeover", &kind::DURATION).unwrap_or(default.takeover),
        takeover_blind: section.get("takeover_blind", &kind::DURATION).unwrap_or(default.takeover_blind),
        authorities: authorities(section, folder),
        state_file: state_file(section, folder),
    }
}

/// Reads the path of a file that is created if it does not exist; its folder is not.
fn state_file(section: &mut Section<'_>, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(section.get("state_file", &kind::FILE)?);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        section.problem("state_file", format!("{}: is a folder: add the name of a file", path.display()));
    } else if !parent.is_dir() {
        section.problem("state_file", format!("{}: there is no such folder", parent.display()));
    }
    Some(path)
}

fn authorities(section: &mut Section<'_>, folder: &Path) -> Vec<CertificateDer<'static>> {
    let Some(file) = files::bytes(section, "ca_file", folder) else { return Vec::new() };
    pem::certificates(&file).unwrap_or_else(|fault| {
        section.problem("ca_file", format!("the file {fault}"));
        Vec::new()
    })
}

fn rule(section: &mut Section<'_>, rule: Rule, rules: &mut Rules) {
    let setting = rules.of_mut(rule);
    setting.enabled = section.get("enabled", &kind::BOOLEAN).unwrap_or(setting.enabled);
    setting.severity = section.get("severity", &kind::SEVERITY);
    let timing = &mut setting.timing;
    timing.wait = section.get("for", &kind::DURATION_OR_ZERO).unwrap_or(timing.wait);
    timing.resolve_after = section.get("resolve_after", &kind::DURATION_OR_ZERO).unwrap_or(timing.resolve_after);
    match rule {
        Rule::CrashLoop => {
            let limit = &mut rules.crash_loop;
            limit.restarts = section.get("restarts", &kind::RESTARTS).unwrap_or(limit.restarts);
            limit.window = section.get("window", &kind::DURATION).unwrap_or(limit.window);
            if limit.window > LONGEST_WINDOW {
                section.problem("window", "is too long: write at most \"1day\"");
            }
        }
        Rule::Certificate => rules.certificate = thresholds(section, &kind::DURATION_OR_ZERO, rules.certificate),
        Rule::Disk => rules.disk = thresholds(section, &kind::SHARE, rules.disk),
        Rule::UpdateFailed => {
            rules.rollback_recent = section.get("recent", &kind::DURATION).unwrap_or(rules.rollback_recent);
        }
        _ => {}
    }
}

/// Reads the limits for a warning and for a critical alert.
fn thresholds<T: Copy + PartialOrd>(
    section: &mut Section<'_>,
    kind: &Kind<T>,
    default: Thresholds<T>,
) -> Thresholds<T> {
    let (warning, critical) = (section.get("warning", kind), section.get("critical", kind));
    // A default never contradicts a configured value.
    let lower = |a: T, b: T| if b < a { b } else { a };
    let thresholds = match (warning, critical) {
        (Some(warning), None) => Thresholds { warning, critical: lower(default.critical, warning) },
        (None, Some(critical)) => {
            Thresholds { warning: if critical > default.warning { critical } else { default.warning }, critical }
        }
        (warning, critical) => {
            Thresholds { warning: warning.unwrap_or(default.warning), critical: critical.unwrap_or(default.critical) }
        }
    };
    if thresholds.critical > thresholds.warning {
        section.problem("critical", "is above warning, so nothing would be a warning: write at most the same value");
    }
    thresholds
}

fn silence(section: &mut Section<'_>) -> Silence {
    let silence = Silence {
        rule: section.get("rule", &kind::RULE),
        node: section.get("node", &kind::TEXT),
        service: section.get("service", &kind::TEXT),
        task: section.get("task", &kind::TEXT),
        until: section.required("until", &kind::MOMENT).unwrap_or_default(),
        comment: section.get("comment", &kind::TEXT),
    };
    if !["rule", "node", "service", "task"].into_iter().any(|key| section.has(key)) {
        section.problem(
            "",
            "does not say what it silences: add rule, node, service or task; rule = \"*\" silences everything",
        );
    }
    if section.has("until") && silence.until != 0 && silence.until <= crate::alert::time::now() {
        section.warning("until", "is in the past: the silence has no effect");
    }
    silence
}
