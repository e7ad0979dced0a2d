//! The kinds of values a key can have: which TOML type, and how it becomes a typed one. Here are those that
//! mean the same in every file.

use std::{fmt::Display, time::Duration};

use toml::de::DeValue;

use crate::value::{self, Parsed};

/// One kind of value.
#[derive(Clone, Copy, Debug)]
pub struct Kind<T> {
    /// What the reference calls it.
    pub name: &'static str,
    /// How it is written in TOML.
    pub example: &'static str,
    /// Reads it; `None` if the TOML type is not one that can hold it.
    pub read: fn(&DeValue<'_>) -> Option<Parsed<T>>,
}

/// A duration above zero.
pub const DURATION: Kind<Duration> =
    Kind { name: "duration", example: "\"2s\"", read: |v| v.as_str().map(value::duration) };

/// A duration that may be zero.
pub const DURATION_OR_ZERO: Kind<Duration> =
    Kind { name: "duration", example: "\"30s\"", read: |v| v.as_str().map(value::duration_or_zero) };

/// Yes or no.
pub const BOOLEAN: Kind<bool> = Kind { name: "boolean", example: "true", read: |v| v.as_bool().map(Ok) };

/// A share of a whole.
pub const SHARE: Kind<f64> = Kind {
    name: "share",
    example: "0.5",
    read: |v| match v {
        DeValue::Float(share) => Some(value::share(share.as_str())),
        DeValue::Integer(share) => Some(value::share(&share.to_string())),
        _ => None,
    },
};

/// A whole number from `least` to `most`, for a kind with such bounds.
pub fn whole<T>(value: &DeValue<'_>, least: T, most: T) -> Option<Parsed<T>>
where
    T: TryFrom<u64> + Copy + PartialOrd + Display,
{
    let integer = value.as_integer()?;
    Some(value::number(integer.as_str(), integer.radix(), least, most))
}
