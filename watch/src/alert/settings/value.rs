//! Single settings as people write them. Each function takes the text and gives the typed value, or says
//! what is wrong with it and what would be right.

use std::time::Duration;

use http::{HeaderName, Uri};
use lettre::message::Mailbox;
use toml::value::{Datetime, Offset};

use crate::{
    alert::rule::Rule,
    picture::{Millis, Severity},
};

/// What came of a text; the error is a sentence for whoever wrote it.
pub(super) type Parsed<T> = Result<T, String>;

/// No setting is sensibly longer.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A duration above zero.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err(format!("{text:?} would be no time at all: write a duration above zero, such as \"5s\"")),
        duration => Ok(duration),
    }
}

/// A duration that may be zero.
pub(super) fn duration_or_zero(text: &str) -> Parsed<Duration> {
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("{text:?} is not a duration: write a number and its unit, such as \"30s\", \"5min\" or \"14days\"")
    })?;
    if duration > LONGEST {
        return Err(format!("{text:?} is too long: write at most \"365days\""));
    }
    Ok(duration)
}

/// A duration that is neither too short nor too long.
pub(super) fn duration_between(text: &str, least: Duration, most: Duration) -> Parsed<Duration> {
    let duration = duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (written(least), written(most));
    Err(format!("{text:?} is out of range: write a duration from \"{least}\" to \"{most}\""))
}

/// A duration as one writes it.
pub(super) fn written(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        days if days >= DAY && days % DAY == 0 => format!("{}days", days / DAY),
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// A share of a whole, 0.0 to 1.0.
pub(super) fn share(text: &str) -> Parsed<f64> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text} is not a share: write a number from 0.0 (none) to 1.0 (all)"))
}

/// How much something matters.
pub(super) fn severity(text: &str) -> Parsed<Severity> {
    match text {
        "info" => Ok(Severity::Info),
        "warning" => Ok(Severity::Warning),
        "critical" => Ok(Severity::Critical),
        _ => Err(format!("{text:?} is not a severity: write \"info\", \"warning\" or \"critical\"")),
    }
}

/// A point in time, with its distance from UTC.
pub(super) fn moment(at: &Datetime) -> Parsed<Millis> {
    let wrong = || format!("{at} is not a moment: write date, time and zone, such as 2026-12-24T18:00:00+01:00");
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

/// Where to send HTTP requests to. The text may be a secret, so it is not repeated.
pub(super) fn url(text: &str) -> Parsed<Uri> {
    let wrong =
        || "is not an address: write it with scheme and host, such as \"https://hooks.example.com/T0/x\"".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_login = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if has_login {
        return Err("holds a login, which would be sent in the clear: give it as an Authorization header".to_owned());
    }
    if is_http && has_host { Ok(uri) } else { Err(wrong()) }
}

/// A mail address, with a name or without.
pub(super) fn mailbox(text: &str) -> Parsed<Mailbox> {
    text.parse().map_err(|_| {
        format!("{text:?} is not a mail address: write \"ops@example.com\" or \"Watch <watch@example.com>\"")
    })
}

/// A telephone number.
pub(super) fn telephone(text: &str) -> Parsed<String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_number = (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a number: write it like \"+33612345678\""))
    }
}

/// Who sends an SMS: a number, a name of at most eleven letters, or a messaging service.
pub(super) fn sender(text: &str) -> Parsed<String> {
    let is_name =
        (1..=11).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    let is_service =
        text.len() == 34 && text.starts_with("MG") && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_name || is_service || telephone(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} cannot send: write a number like \"+33612345678\", or a name of at most 11 letters and digits"
    ))
}

/// A name for a channel.
pub(super) fn name(text: &str) -> Parsed<String> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} cannot name a channel: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _"))
}

/// An account of an SMS service.
pub(super) fn account(text: &str) -> Parsed<String> {
    // It becomes part of a path.
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not an account: write letters and digits alone, such as \"AC0123456789abcdef\""))
}

/// A host without its port.
pub(super) fn host(text: &str) -> Parsed<String> {
    let is_host = !text.is_empty()
        && text.len() < 256
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_host {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not a host: write only its name, such as \"smtp.example.com\"; the port is a key of its own"
    ))
}

/// The name of a header field that may be added.
pub(super) fn header(text: &str) -> Parsed<HeaderName> {
    let name = text.parse::<HeaderName>().map_err(|_| format!("{text:?} is not the name of a header field"))?;
    let ours =
        [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];
    if ours.contains(&name) { Err(format!("{text:?} cannot be set: it follows from the request")) } else { Ok(name) }
}

/// The name of a rule, which may hold stars.
pub(super) fn rule_pattern(text: &str) -> Parsed<String> {
    if text.contains('*') || Rule::named(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(format!("no rule is named {text:?}; {}", other_rule(text)))
}

/// What to write instead of a rule that there is not.
pub(super) fn other_rule(text: &str) -> String {
    let names = Rule::ALL.map(Rule::name);
    match super::problem::nearest(text, names) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("there are: {}", names.join(", ")),
    }
}

/// A text of one line.
pub(super) fn line(text: &str) -> Parsed<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is not a line of text"));
    }
    Ok(text.to_owned())
}
