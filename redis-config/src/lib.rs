//! Which Redis to use, how to log in, and which authorities to trust, for the programs that use Redis.
//!
//! [`Settings::load`] reads what the flags, variables and secret files say into a [`Location`]: one server, or
//! the sentinels that name the master. [`Location::connect`] opens connections with the newest login that the files
//! contain: see `access`. No value of this crate displays a password, and no error repeats a URL or the content of a
//! secret file.

mod access;
mod connection;
mod files;
mod location;
mod login;
mod settings;
mod state;

pub use self::{
    connection::Connection,
    location::{Location, LocationError, Place, Sentinels},
    login::Login,
    settings::{Settings, SettingsError},
    state::Peer,
};
