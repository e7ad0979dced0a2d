//! Parses single values. Each function returns the typed value, or an error that says what is wrong and what
//! would be right. Those that all files share are in [`settings::value`].

use http::{HeaderName, Uri};
use lettre::message::Mailbox;
pub(super) use settings::value::{LONGEST, Parsed, duration_between, line, name};
use toml::value::{Datetime, Offset};

use crate::{
    alert::rule::Rule,
    cluster_state::{Millis, Severity},
};

/// Parses a severity.
pub(super) fn severity(text: &str) -> Parsed<Severity> {
    match text {
        "info" => Ok(Severity::Info),
        "warning" => Ok(Severity::Warning),
        "critical" => Ok(Severity::Critical),
        _ => Err(format!("{text:?} is not a severity: write \"info\", \"warning\" or \"critical\"")),
    }
}

/// Parses a point in time with its offset from UTC.
pub(super) fn moment(at: &Datetime) -> Parsed<Millis> {
    let wrong = || format!("{at} is not a point in time: write date, time and zone, such as 2026-12-24T18:00:00+01:00");
    let (Some(date), Some(time), Some(offset)) = (at.date, at.time, at.offset) else { return Err(wrong()) };
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = time.second.unwrap_or(0).min(59);
    let utc =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{seconds:02}Z", date.year, date.month, date.day, time.hour, time.minute);
    let utc = humantime::parse_rfc3339(&utc).map_err(|_| wrong())?;
    let since = utc.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?;
    Ok(crate::alert::time::millis(since) - minutes * 60_000)
}

/// Parses the address of an HTTP server. The text may be a secret, so errors do not repeat it.
pub(super) fn url(text: &str) -> Parsed<Uri> {
    let wrong =
        || "is not an address: write it with scheme and host, such as \"https://hooks.example.com/T0/x\"".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_login = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if has_login {
        return Err(
            "contains a login, which would be sent in the clear: use an Authorization header instead".to_owned()
        );
    }
    if is_http && has_host { Ok(uri) } else { Err(wrong()) }
}

/// Parses a mail address, with a name or without.
pub(super) fn mailbox(text: &str) -> Parsed<Mailbox> {
    text.parse().map_err(|_| {
        format!("{text:?} is not a mail address: write \"ops@example.com\" or \"Watch <watch@example.com>\"")
    })
}

/// Parses a telephone number.
pub(super) fn telephone(text: &str) -> Parsed<String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_number = (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a number: write it like \"+33612345678\""))
    }
}

/// Parses the sender of an SMS: a number, a name of at most eleven letters, or a messaging service.
pub(super) fn sender(text: &str) -> Parsed<String> {
    let is_name =
        (1..=11).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    if is_name || is_service(text) || telephone(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a sender: write a number like \"+33612345678\", or a name of at most 11 letters and digits"
    ))
}

/// Whether a text is the id of a messaging service. A name may begin with the same letters.
pub(super) fn is_service(text: &str) -> bool {
    text.len() == 34 && text.starts_with("MG") && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether the path of an address ends with a topic, as ntfy's do.
pub(super) fn has_topic(uri: &Uri) -> bool {
    uri.path().trim_end_matches('/').rsplit_once('/').is_some_and(|(_, topic)| !topic.is_empty())
}

/// Parses the account at an SMS service.
pub(super) fn account(text: &str) -> Parsed<String> {
    // It becomes part of a path.
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not an account: write only letters and digits, such as \"AC0123456789abcdef\""))
}

/// Parses a host without a port.
pub(super) fn host(text: &str) -> Parsed<String> {
    let is_host = !text.is_empty()
        && text.len() < 256
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_host {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a host: write only its name, such as \"smtp.example.com\"; the port is a separate key"
    ))
}

/// Parses the name of a header field that may be set.
pub(super) fn header(text: &str) -> Parsed<HeaderName> {
    let name = text.parse::<HeaderName>().map_err(|_| format!("{text:?} is not the name of a header field"))?;
    let ours =
        [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];
    if ours.contains(&name) { Err(format!("{text:?} cannot be set: the request determines it")) } else { Ok(name) }
}

/// Parses the name of a rule, which may contain stars.
pub(super) fn rule_pattern(text: &str) -> Parsed<String> {
    if text.contains('*') || Rule::named(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(format!("no rule is named {text:?}; {}", other_rule(text)))
}

/// Suggests a rule instead of an unknown one.
pub(super) fn other_rule(text: &str) -> String {
    let names = Rule::ALL.map(Rule::name);
    match settings::nearest(text, names) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("the rules are: {}", names.join(", ")),
    }
}
