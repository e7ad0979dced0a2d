//! The kinds of values in this file, in addition to those that all files share.

use std::{path::PathBuf, time::Duration};

use http::Uri;
use lettre::message::Mailbox;
pub(super) use settings::kind::{BOOLEAN, DURATION, DURATION_OR_ZERO, SHARE};
use settings::{Kind, kind::whole};
use toml::de::DeValue;

use crate::{
    alert::settings::{Format, MailTls, value},
    cluster_state::{Millis, Severity},
};

/// The time between messages about the same alert.
pub(super) const REPEAT: Kind<Duration> = Kind {
    name: "duration",
    example: "\"4h\"",
    read: |v| v.as_str().map(|text| value::duration_between(text, Duration::from_secs(10), value::LONGEST)),
};

/// The time between heartbeats.
pub(super) const INTERVAL: Kind<Duration> = Kind {
    name: "duration",
    example: "\"1min\"",
    read: |v| v.as_str().map(|text| value::duration_between(text, Duration::from_secs(1), value::LONGEST)),
};

/// The time limit for sending.
pub(super) const TIMEOUT: Kind<Duration> = Kind {
    name: "duration",
    example: "\"10s\"",
    read: |v| v.as_str().map(|text| value::duration_between(text, Duration::from_millis(100), Duration::from_secs(60))),
};

pub(super) const SEVERITY: Kind<Severity> =
    Kind { name: "severity", example: "\"warning\"", read: |v| v.as_str().map(value::severity) };

pub(super) const RESTARTS: Kind<u32> = Kind { name: "count", example: "3", read: |v| whole(v, 1, 100) };

pub(super) const PORT: Kind<u16> = Kind { name: "port", example: "587", read: |v| whole(v, 1, u16::MAX) };

pub(super) const MOMENT: Kind<Millis> = Kind {
    name: "time",
    example: "2026-12-24T18:00:00+01:00",
    read: |v| match v {
        DeValue::Datetime(at) => Some(value::moment(at)),
        _ => v.as_str().map(|text| match text.parse() {
            Ok(at) => value::moment(&at),
            Err(_) => Err(format!(
                "{text:?} is not a point in time: write date, time and zone, such as 2026-12-24T18:00:00+01:00"
            )),
        }),
    },
};

pub(super) const TEXT: Kind<String> =
    Kind { name: "text", example: "\"stackdemo\"", read: |v| v.as_str().map(value::line) };

/// May be empty.
pub(super) const PREFIX: Kind<String> = Kind {
    name: "text",
    example: "\"[swarm] \"",
    read: |v| v.as_str().map(|text| if text.is_empty() { Ok(String::new()) } else { value::line(text) }),
};

pub(super) const RULE: Kind<String> =
    Kind { name: "rule", example: "\"node_down\"", read: |v| v.as_str().map(value::rule_pattern) };

pub(super) const NAME: Kind<String> =
    Kind { name: "name", example: "\"slack\"", read: |v| v.as_str().map(|text| value::name(text, "a channel")) };

pub(super) const ACCOUNT: Kind<String> =
    Kind { name: "account", example: "\"AC0123456789abcdef\"", read: |v| v.as_str().map(value::account) };

pub(super) const HOST: Kind<String> =
    Kind { name: "host", example: "\"smtp.example.com\"", read: |v| v.as_str().map(value::host) };

pub(super) const FILE: Kind<PathBuf> = Kind {
    name: "path of a file",
    example: "\"/run/secrets/smtp\"",
    read: |v| v.as_str().map(|text| value::line(text).map(PathBuf::from)),
};

/// Not a secret, so it may be shown.
pub(super) const BASE: Kind<Uri> =
    Kind { name: "address", example: "\"https://api.twilio.com\"", read: |v| v.as_str().map(value::url) };

pub(super) const URL: Kind<String> = Kind {
    name: "address",
    example: "\"https://ntfy.sh/topic\"",
    read: |v| v.as_str().map(|text| value::url(text).map(|_| text.to_owned())),
};

pub(super) const MAILBOX: Kind<Mailbox> =
    Kind { name: "mail address", example: "\"ops@example.com\"", read: |v| v.as_str().map(value::mailbox) };

pub(super) const NUMBER: Kind<String> =
    Kind { name: "number", example: "\"+33612345678\"", read: |v| v.as_str().map(value::telephone) };

pub(super) const SENDER: Kind<String> =
    Kind { name: "number or name", example: "\"+33612345678\"", read: |v| v.as_str().map(value::sender) };

pub(super) const TLS: Kind<MailTls> = Kind {
    name: "TLS mode",
    example: "\"starttls\"",
    read: |v| {
        v.as_str().map(|text| match text {
            "starttls" => Ok(MailTls::Starttls),
            "tls" => Ok(MailTls::Tls),
            "none" => Ok(MailTls::None),
            _ => Err(format!("{text:?} is not a TLS mode: write \"starttls\", \"tls\" or \"none\"")),
        })
    },
};

pub(super) const FORMAT: Kind<Format> = Kind {
    name: "format",
    example: "\"slack\"",
    read: |v| {
        v.as_str().map(|text| match text {
            "json" => Ok(Format::Json),
            "slack" => Ok(Format::Slack),
            "ntfy" => Ok(Format::Ntfy),
            "alertmanager" => Ok(Format::Alertmanager),
            _ => Err(format!("{text:?} is not a format: write \"json\", \"slack\", \"ntfy\" or \"alertmanager\"")),
        })
    },
};

pub(super) const POST: Kind<bool> = Kind {
    name: "\"GET\" or \"POST\"",
    example: "\"GET\"",
    read: |v| {
        v.as_str().map(|text| match text {
            "GET" => Ok(false),
            "POST" => Ok(true),
            _ => Err(format!("{text:?} is not allowed here: write \"GET\" or \"POST\"")),
        })
    },
};
