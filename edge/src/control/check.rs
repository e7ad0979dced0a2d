//! Checks of a configuration that need its files.

use std::time::SystemTime;

use crate::{
    config::{Config, token},
    control::{bound::tls, rule_files, start_error::StartError},
    upstream::health::probe::authorities,
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

/// Checks that the tokens, for a swarm and for orders to endpoints, the keys of sticky cookies, and the authorities that
/// health checks trust, and the files of rules, can be read if they are configured.
pub(super) fn secrets(config: &Config) -> Result<(), StartError> {
    let files = [&config.swarm.token_file, &config.admin_token_file];
    files.into_iter().flatten().try_for_each(|file| token::read(file).map(drop))?;
    let sticky = config.pools.iter().filter_map(|pool| pool.sticky.as_ref());
    sticky.filter_map(|sticky| sticky.key_file.as_deref()).try_for_each(|file| token::read_line(file).map(drop))?;
    rule_files::load(config)?;
    let checks = config.pools.iter().filter_map(|pool| pool.health.as_ref());
    Ok(checks.map(authorities).try_for_each(|authorities| authorities.map(drop))?)
}
