//! Parses single values as users write them. Each function returns a typed value, or an error that states what is wrong
//! and what to write instead.

use std::{fmt, str::FromStr, time::Duration};

/// The result of parsing; the error is a message for the user.
pub type Parsed<T> = Result<T, String>;

/// The longest duration of any setting. No setting needs more, and adding it to a point in time cannot overflow.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a duration above zero.
pub fn duration(text: &str) -> Parsed<Duration> {
    let duration = duration_or_zero(text)?;
    if duration.is_zero() {
        return Err(format!("{text:?} is too short: write a duration above zero, such as \"500ms\""));
    }
    Ok(duration)
}

/// Parses a duration that may be zero.
pub fn duration_or_zero(text: &str) -> Parsed<Duration> {
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("{text:?} is not a duration: write a number and its unit, such as \"500ms\", \"2s\" or \"5min\"")
    })?;
    if duration > LONGEST {
        return Err(format!("{text:?} is too long: write at most \"365days\""));
    }
    Ok(duration)
}

/// Parses a duration from `least` to `most`.
pub fn duration_between(text: &str, least: Duration, most: Duration) -> Parsed<Duration> {
    let duration = duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (written(least), written(most));
    Err(format!("{text:?} is out of range: write a duration from \"{least}\" to \"{most}\""))
}

/// Formats a duration as a user writes it.
#[must_use]
pub fn written(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        days if days >= DAY && days % DAY == 0 => format!("{}days", days / DAY),
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// Parses a whole number from `least` to `most`.
pub fn number<T>(digits: &str, radix: u32, least: T, most: T) -> Parsed<T>
where
    T: TryFrom<u64> + Copy + PartialOrd + fmt::Display,
{
    u64::from_str_radix(digits, radix)
        .ok()
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| (&least..=&most).contains(&number))
        .ok_or_else(|| format!("{digits} is not allowed here: write a whole number from {least} to {most}"))
}

/// Parses a share of a whole, 0.0 to 1.0.
pub fn share(text: &str) -> Parsed<f64> {
    f64::from_str(text)
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        // Turns -0.0 into 0.0.
        .map(f64::abs)
        .ok_or_else(|| format!("{text} is not a share: write a number from 0.0 (none) to 1.0 (all)"))
}

/// Parses a name that becomes part of keys, messages and metrics; the error names the kind of thing by `what`.
pub fn name(text: &str, what: &str) -> Parsed<String> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a valid name for {what}: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _"))
}

/// Parses a text of one line.
pub fn line(text: &str) -> Parsed<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is not a line of text"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_above_zero_and_at_most_a_year() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
        for text in ["0s", "0", "5", "", "-1s", "1000years", "99999999999999999999s", "fast"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_out_of_bounds_is_reported_with_the_bounds() {
        let (least, most) = (Duration::from_secs(10), LONGEST);
        assert_eq!(duration_between("10s", least, most), Ok(least));
        insta::assert_snapshot!(duration_between("9s", least, most).unwrap_err(), @r#""9s" is out of range: write a duration from "10s" to "365days""#);
        assert_eq!(number("ff", 16, 1, 255_u16), Ok(255));
        for digits in ["0", "256", "-1", "99999999999999999999"] {
            let message = format!("{digits} is not allowed here: write a whole number from 1 to 255");
            assert_eq!(number(digits, 10, 1, 255_u16), Err(message));
        }
    }

    #[test]
    fn shares_are_from_0_to_1() {
        for (text, part) in [("0", 0.0), ("-0.0", 0.0), ("0.25", 0.25), ("1.0", 1.0)] {
            assert_eq!(share(text), Ok(part), "{text}");
        }
        assert!(share("-0.0").is_ok_and(f64::is_sign_positive));
        for text in ["-0.1", "1.01", "inf", "nan", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_is_the_same_duration(seconds in 1..=LONGEST.as_secs()) {
            let span = Duration::from_secs(seconds);
            prop_assert_eq!(duration(&written(span)), Ok(span));
        }

        #[test]
        fn no_text_panics(text: String) {
            // The results do not matter, only that no call panics.
            let results = [
                duration(&text).is_ok(), number(&text, 10, 0, u8::MAX).is_ok(), share(&text).is_ok(),
                name(&text, "it").is_ok(), line(&text).is_ok(),
            ];
            prop_assert_eq!(results.len(), 5);
        }
    }
}
