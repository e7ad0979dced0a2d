//! What ties a request to an endpoint: the cookie of a session, or the key of consistent hashing.

use std::net::IpAddr;

use crate::{
    config::{Balance, Config, HashKey, Pool},
    protocol::headers::{
        Client, Name,
        request::{cookie, named_client},
    },
    proxy::request::{Affinity, RequestHead},
    upstream::{
        balance::{Key, hash},
        sticky::Tag,
    },
};

/// Finds out what ties a request to an endpoint of `pool`.
pub(super) fn affinity(request: &RequestHead<'_>, client: &Client, pool: &Pool, config: &Config) -> Affinity {
    let hash = match pool.balance {
        Balance::ConsistentHash => key(request, client, pool, config),
        _ => None,
    };
    let key = hash.map(|hash| Key { hash, bound: pool.hash_bound });
    let Some(sticky) = &pool.sticky else { return Affinity { key, ..Affinity::default() } };
    let session = cookie(request.fields, &sticky.cookie).and_then(Tag::parse);
    Affinity { key, session, https: is_https(client, request) }
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

/// Whether the client uses HTTPS, also as a trusted proxy says.
pub(super) fn is_https(client: &Client, request: &RequestHead<'_>) -> bool {
    client.tls || (client.is_trusted() && names_https(request))
}

/// Whether a proxy says that its client uses HTTPS. If there are several, the first speaks of the client.
fn names_https(request: &RequestHead<'_>) -> bool {
    let named = request.fields.iter().find(|field| Name::of(field.name.as_bytes()) == Name::XForwardedProto);
    let first = named.and_then(|field| field.value.split(|byte| *byte == b',').next());
    first.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// Returns the client of a request: the address of the connection, or the one that a trusted proxy names. `None` if a
/// trusted proxy names none: the request may be anybody's.
pub(super) fn client_address(client: &Client, request: &RequestHead<'_>, config: &Config) -> Option<IpAddr> {
    if client.is_trusted() { named_client(request.fields, &config.trusted_proxies) } else { Some(client.address.ip()) }
}
