//! Which Redis to use, how to log in, and which authorities to trust, for the programs that use Redis.
//!
//! [`Settings::load`] reads what the flags, variables and secret files say into a [`Location`]: one server, or
//! the sentinels that name the master. [`client`] is how to reach an address that a sentinel named. No value of
//! this crate displays a password, and no error repeats a URL or the content of a secret file.

mod connection;
mod location;
mod login;
mod settings;

pub use self::{
    connection::client,
    location::{Location, LocationError, Sentinels},
    login::Login,
    settings::{Settings, SettingsError},
};
