//! Checks of a configuration that need its files.

use std::time::SystemTime;

use crate::{
    config::{
        Config,
        token::{self, TokenError},
    },
    control::{bound::tls, start_error::StartError},
};

/// Checks that the certificates and the secrets of a configuration are usable, without binding anything.
///
/// # Errors
/// The first one that is not usable.
pub fn check(config: &Config) -> Result<(), StartError> {
    let now = SystemTime::now();
    for listener in &config.listeners {
        tls(listener, now)?;
    }
    secrets(config)?;
    Ok(())
}

/// Checks that the token for a swarm and the keys of sticky cookies, if any are configured, can be read.
pub(super) fn secrets(config: &Config) -> Result<(), TokenError> {
    config.swarm.token_file.as_deref().map(token::read).transpose()?;
    let sticky = config.pools.iter().filter_map(|pool| pool.sticky.as_ref());
    sticky.filter_map(|sticky| sticky.key_file.as_deref()).try_for_each(|file| token::read_line(file).map(drop))
}
