//! How an endpoint behaves, and how that is written on the line to its process.

use std::fmt;
use std::str::FromStr;

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It answers.
    Serves,
    /// It accepts connections and does nothing else.
    Hangs,
    /// It answers only its health checks.
    HangsButIsHealthy,
    /// It sends a byte of its response each second.
    Drips,
    /// It closes each connection after a response, without announcing it.
    Closes,
    /// It closes a connection that was idle for about this many milliseconds, without announcing it.
    ClosesIdle(u64),
    /// It answers every nth request with 500, and its health checks with 200.
    Fails(usize),
    /// It answers after this many milliseconds.
    IsSlow(u64),
    /// It refuses new connections, and closes none.
    Refuses,
    /// It refuses new connections, finishes the requests under way, closes each connection, and ends.
    Drains,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves => f.write_str("serves"),
            Self::Hangs => f.write_str("hangs"),
            Self::HangsButIsHealthy => f.write_str("hangs-but-is-healthy"),
            Self::Drips => f.write_str("drips"),
            Self::Closes => f.write_str("closes"),
            Self::ClosesIdle(after) => write!(f, "closes-idle {after}"),
            Self::Fails(every) => write!(f, "fails {every}"),
            Self::IsSlow(by) => write!(f, "is-slow {by}"),
            Self::Refuses => f.write_str("refuses"),
            Self::Drains => f.write_str("drains"),
        }
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(' ').unwrap_or((text, "0"));
        let value: u64 = value.parse().map_err(|_not| "not a number")?;
        Ok(match name {
            "serves" => Self::Serves,
            "hangs" => Self::Hangs,
            "hangs-but-is-healthy" => Self::HangsButIsHealthy,
            "drips" => Self::Drips,
            "closes" => Self::Closes,
            "closes-idle" => Self::ClosesIdle(value),
            "fails" => Self::Fails(usize::try_from(value).map_err(|_more| "too large")?.max(1)),
            "is-slow" => Self::IsSlow(value),
            "refuses" => Self::Refuses,
            "drains" => Self::Drains,
            _ => return Err("no mode has this name"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Mode::{Closes, ClosesIdle, Drains, Drips, Fails, Hangs, HangsButIsHealthy, IsSlow, Refuses, Serves};
    use super::*;

    #[test]
    fn a_mode_is_read_as_it_was_written() {
        let all =
            [Serves, Hangs, HangsButIsHealthy, Drips, Closes, ClosesIdle(20), Fails(2), IsSlow(100), Refuses, Drains];
        for mode in all {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("sleeps".parse::<Mode>().is_err());
        assert!("is-slow x".parse::<Mode>().is_err());
    }
}
