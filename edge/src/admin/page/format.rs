//! Formats numbers and times for people, and escapes text for HTML.

use std::{
    fmt::{self, Display, Write},
    time::{Duration, SystemTime},
};

/// Displays a value escaped for HTML, for text and for quoted attributes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingWriter(f), "{}", self.0)
    }
}

struct EscapingWriter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for EscapingWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
            let plain = part.trim_end_matches(['&', '<', '>', '"', '\'']);
            self.0.write_str(plain)?;
            self.0.write_str(match &part[plain.len()..] {
                "&" => "&amp;",
                "<" => "&lt;",
                ">" => "&gt;",
                "\"" => "&quot;",
                "'" => "&#39;",
                _ => "",
            })?;
        }
        Ok(())
    }
}

/// Formats a count with thousands separators: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of bytes in units of 1000: `1.2 MB`.
pub(super) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut units = ["kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut unit = "B";
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" || value >= 99.5 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Formats milliseconds: `4.0 ms`, `250 ms`, and seconds from 1000 on.
pub(super) fn millis(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1} ms"),
        Some(value) if value < 1000.0 => format!("{value:.0} ms"),
        Some(value) => format!("{:.1} s", value / 1000.0),
    }
}

/// Formats a share as a whole percentage.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// Formats a duration in its two largest units: `3 d 4 h`. Below a minute it has only seconds.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", days, hours % 24),
    }
}

/// Formats a time relative to now, with the exact time as a tooltip.
pub(super) fn relative_time(time: SystemTime, now: SystemTime) -> String {
    let exact = humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH));
    let text = match now.duration_since(time) {
        Ok(since) => format!("{} ago", duration(since)),
        Err(until) => format!("in {}", duration(until.duration())),
    };
    format!("<time datetime=\"{exact}\" title=\"{exact}\">{text}</time>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            Escaped("<a href='x'>\"&&</a>é").to_string(),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&amp;&lt;/a&gt;é"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(
            [0, 999, 1000, 123_456, 999_950, u64::MAX].map(bytes),
            ["0 B", "999 B", "1.0 kB", "123 kB", "1.0 MB", "18447 PB"]
        );
        assert_eq!(
            [None, Some(0.24), Some(9.96), Some(250.4), Some(2500.0)].map(millis),
            ["–", "0.2 ms", "10.0 ms", "250 ms", "2.5 s"]
        );
        let texts = [0, 59, 61, 3660, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
