//! What ties a request to an endpoint: the key of consistent hashing.

use std::net::IpAddr;

use crate::{
    config::{Balance, Config, HashKey, Pool},
    protocol::headers::{
        Client,
        request::{cookie, named_client},
    },
    proxy::request::RequestHead,
    upstream::balance::{Key, hash},
};

/// What ties a request to an endpoint of its pool.
#[derive(Clone, Debug, Default)]
pub struct Affinity {
    /// The key of consistent hashing; `None` if the pool uses another policy, or the request lacks the field or cookie.
    pub key: Option<Key>,
}

impl Affinity {
    /// Finds out what ties a request to an endpoint of `pool`.
    #[must_use]
    pub fn of(request: &RequestHead<'_>, client: &Client, pool: &Pool, config: &Config) -> Self {
        let hash = match pool.balance {
            Balance::ConsistentHash => key(request, client, pool, config),
            _ => None,
        };
        Self { key: hash.map(|hash| Key { hash, bound: pool.hash_bound }) }
    }
}

fn key(request: &RequestHead<'_>, client: &Client, pool: &Pool, config: &Config) -> Option<u64> {
    match &pool.hash_key {
        HashKey::Client => client_address(client, request, config).map(|address| match address {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
        HashKey::Path => Some(hash(request.target.path().as_bytes())),
        HashKey::Header(name) => {
            let named = request.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
            Some(hash(named.value))
        }
        HashKey::Cookie(name) => cookie(request.fields, name).map(hash),
    }
}

/// Returns the client of a request: the address of the connection, or the one that a trusted proxy names. `None` if a
/// trusted proxy names none: the request may be anybody's.
pub(super) fn client_address(client: &Client, request: &RequestHead<'_>, config: &Config) -> Option<IpAddr> {
    if client.is_trusted() { named_client(request.fields, &config.trusted_proxies) } else { Some(client.address.ip()) }
}
