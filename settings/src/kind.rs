//! The kinds of values that a key can have: the TOML type, and its conversion to a typed value. Programs add their own.

use std::{fmt::Display, time::Duration};

use toml::de::DeValue;

use crate::value::{self, Parsed};

/// One kind of value.
#[derive(Clone, Copy, Debug)]
pub struct Kind<T> {
    /// Its name in the reference.
    pub name: &'static str,
    /// An example in TOML.
    pub example: &'static str,
    /// Converts a value; `None` if the value has another TOML type.
    pub read: fn(&DeValue<'_>) -> Option<Parsed<T>>,
}

/// A duration above zero.
pub const DURATION: Kind<Duration> =
    Kind { name: "duration", example: "\"2s\"", read: |v| v.as_str().map(value::duration) };

/// A duration that may be zero.
pub const DURATION_OR_ZERO: Kind<Duration> =
    Kind { name: "duration", example: "\"30s\"", read: |v| v.as_str().map(value::duration_or_zero) };

/// True or false.
pub const BOOLEAN: Kind<bool> = Kind { name: "boolean", example: "true", read: |v| v.as_bool().map(Ok) };

/// A share, from 0.0 to 1.0.
pub const SHARE: Kind<f64> = Kind {
    name: "share",
    example: "0.5",
    read: |v| match v {
        DeValue::Float(share) => Some(value::share(share.as_str())),
        DeValue::Integer(share) => Some(value::share(&share.to_string())),
        _ => None,
    },
};

/// Converts a whole number from `least` to `most`: the `read` of a kind with these bounds.
pub fn whole<T>(value: &DeValue<'_>, least: T, most: T) -> Option<Parsed<T>>
where
    T: TryFrom<u64> + Copy + PartialOrd + Display,
{
    let integer = value.as_integer()?;
    Some(value::number(integer.as_str(), integer.radix(), least, most))
}
