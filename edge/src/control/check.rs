//! Checks of a configuration that need its files.

use std::time::SystemTime;

use crate::{
    config::{
        Config,
        token::{self, TokenError},
    },
    control::{bound::tls, start_error::StartError},
};

/// Checks that the certificates and the token of a configuration are usable, without binding anything.
///
/// # Errors
/// The first one that is not usable.
pub fn check(config: &Config) -> Result<(), StartError> {
    let now = SystemTime::now();
    for listener in &config.listeners {
        tls(listener, now)?;
    }
    token(config)?;
    Ok(())
}

/// Checks that the token for a swarm, if one is configured, can be read.
pub(super) fn token(config: &Config) -> Result<(), TokenError> {
    config.swarm.token_file.as_deref().map(token::read).transpose().map(drop)
}
