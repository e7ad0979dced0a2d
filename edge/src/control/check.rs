//! Checks of a configuration that need its files.

use std::time::SystemTime;

use crate::{
    config::{
        Config,
        token::{self, TokenError},
    },
    control::{bound::tls, start_error::StartError},
};

/// Checks that the certificates and the tokens of a configuration are usable, without binding anything.
///
/// # Errors
/// The first one that is not usable.
pub fn check(config: &Config) -> Result<(), StartError> {
    let now = SystemTime::now();
    for listener in &config.listeners {
        tls(listener, now)?;
    }
    tokens(config)?;
    Ok(())
}

/// Checks that the tokens, for a swarm and for orders to endpoints, can be read if they are configured.
pub(super) fn tokens(config: &Config) -> Result<(), TokenError> {
    let files = [&config.swarm.token_file, &config.admin_token_file];
    files.into_iter().flatten().try_for_each(|file| token::read(file).map(drop))
}
