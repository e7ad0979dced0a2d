//! The kinds of values in the edge's configuration file, in addition to those that all programs use.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode, uri::PathAndQuery};
use ipnet::IpNet;
pub(super) use settings::kind::{BOOLEAN, DURATION, DURATION_OR_ZERO, SHARE};
use settings::{Kind, kind::whole};
use toml::de::DeValue;

use crate::config::{
    AccessLog, Balance, EndpointOptions, Expect, HashKey, HostMatch, MAX_TIER, MAX_WEIGHT, NameServer, Protocol,
    SameSite, Source, address,
    rules::{self, RedirectTo},
    value,
};

pub(super) const SIZE: Kind<u64> = Kind {
    name: "size",
    example: "\"64KiB\"",
    read: |v| match v {
        DeValue::Integer(_) => whole(v, 0, i64::MAX.unsigned_abs()),
        _ => v.as_str().map(value::size),
    },
};

pub(super) const MEMORY: Kind<Option<u64>> = Kind {
    name: "size or \"off\"",
    example: "\"150MiB\"",
    read: |v| match v {
        DeValue::Integer(_) => whole(v, value::MIN_MEMORY, i64::MAX.unsigned_abs()).map(|parsed| parsed.map(Some)),
        _ => v.as_str().map(value::memory),
    },
};

pub(super) const POSITIVE: Kind<NonZeroUsize> = positive::<1_000_000>();

pub(super) const WORKERS: Kind<NonZeroUsize> = positive::<{ value::MAX_WORKERS }>();

pub(super) const ATTEMPTS: Kind<NonZeroUsize> = positive::<100>();

pub(super) const COUNT: Kind<usize> = Kind { name: "count", example: "100", read: |v| whole(v, 0, 1_000_000) };

pub(super) const COUNT_U32: Kind<u32> = Kind { name: "count", example: "5", read: |v| whole(v, 0, 1_000_000) };

/// A limit for each client; 0 for none.
pub(super) const PER_CLIENT: Kind<u32> =
    Kind { name: "count", example: "100", read: |v| whole(v, 0, value::MAX_PER_CLIENT) };

pub(super) const BURST: Kind<u32> =
    Kind { name: "count", example: "100", read: |v| whole(v, 1, value::MAX_PER_CLIENT) };

pub(super) const CONSECUTIVE: Kind<u32> = Kind { name: "count", example: "3", read: |v| whole(v, 1, 1_000) };

pub(super) const PORT: Kind<u16> = Kind { name: "port", example: "9000", read: |v| whole(v, 1, u16::MAX) };

pub(super) const STREAMS: Kind<u32> = Kind { name: "count", example: "100", read: |v| whole(v, 1, 10_000) };

/// The maximum is below what a map of the `http` crate can hold.
pub(super) const HEADERS: Kind<usize> = Kind { name: "count", example: "100", read: |v| whole(v, 1, 10_000) };

pub(super) const ACCESS_LOG: Kind<AccessLog> =
    Kind { name: "\"off\", \"stdout\" or path", example: "\"stdout\"", read: |v| v.as_str().map(value::access_log) };

pub(super) const ADMIN: Kind<Option<SocketAddr>> = Kind {
    name: "address or \"off\"",
    example: "\"127.0.0.1:9901\"",
    read: |v| v.as_str().map(address::listen_or_off),
};

pub(super) const LISTEN: Kind<SocketAddr> =
    Kind { name: "address", example: "\"0.0.0.0:80\"", read: |v| v.as_str().map(address::listen) };

pub(super) const DNS_SERVER: Kind<NameServer> =
    Kind { name: "name server", example: "\"127.0.0.11\"", read: |v| v.as_str().map(address::dns_server) };

pub(super) const TLS_NAME: Kind<String> =
    Kind { name: "host", example: "\"dns.example.com\"", read: |v| v.as_str().map(address::tls_name) };

pub(super) const RESOLVER_NAME: Kind<String> =
    Kind { name: "name of a resolver", example: "\"internal\"", read: |v| v.as_str().map(|name| Ok(name.to_owned())) };

/// `None` is the TTL of the answers.
pub(super) const INTERVAL: Kind<Option<Duration>> = Kind {
    name: "duration or \"ttl\"",
    example: "\"1s\"",
    read: |v| v.as_str().map(|text| if text == "ttl" { Ok(None) } else { value::duration(text).map(Some) }),
};

pub(super) const NETWORK: Kind<IpNet> =
    Kind { name: "network", example: "\"10.0.0.0/8\"", read: |v| v.as_str().map(address::network) };

pub(super) const ENDPOINT: Kind<Source> = Kind {
    name: "endpoint",
    example: "\"10.0.0.1:8000\"",
    read: |v| v.as_str().map(|text| address::endpoint(text, Err(""))),
};

/// An endpoint without options and without a resolver of its own.
pub(super) const ENDPOINT_ALONE: Kind<(Source, EndpointOptions, Option<String>)> = Kind {
    name: ENDPOINT.name,
    example: ENDPOINT.example,
    read: |v| (ENDPOINT.read)(v).map(|parsed| parsed.map(|source| (source, EndpointOptions::default(), None))),
};

pub(super) const TIER: Kind<u8> = Kind { name: "count", example: "2", read: |v| whole(v, 1, MAX_TIER) };

pub(super) const WEIGHT: Kind<u32> = Kind { name: "count", example: "3", read: |v| whole(v, 1, MAX_WEIGHT) };

pub(super) const HOST: Kind<HostMatch> =
    Kind { name: "host", example: "\"www.example.com\"", read: |v| v.as_str().map(address::host_match) };

pub(super) const SERVER_NAME: Kind<String> =
    Kind { name: "host", example: "\"www.example.com\"", read: |v| v.as_str().map(address::server_name) };

pub(super) const ROUTE_PATH: Kind<String> =
    Kind { name: "path prefix", example: "\"/api\"", read: |v| v.as_str().map(value::route_path) };

pub(super) const REDIRECT: Kind<RedirectTo> =
    Kind { name: "\"https\" or URL", example: "\"https\"", read: |v| v.as_str().map(rules::value::redirect) };

pub(super) const REDIRECT_STATUS: Kind<StatusCode> = Kind {
    name: "status",
    example: "308",
    read: |v| whole(v, 100, 999).map(|status| status.and_then(rules::value::redirect_status)),
};

pub(super) const RESPOND_STATUS: Kind<StatusCode> = Kind {
    name: "status",
    example: "503",
    read: |v| whole(v, 100, 999).map(|status| status.and_then(rules::value::respond_status)),
};

pub(super) const TEXT: Kind<String> =
    Kind { name: "text", example: "\"We are back at ten.\"", read: |v| v.as_str().map(|text| Ok(text.to_owned())) };

pub(super) const FIELD_VALUE: Kind<HeaderValue> =
    Kind { name: "text", example: "\"text/html\"", read: |v| v.as_str().map(rules::value::field_value) };

pub(super) const CHANGED_FIELD: Kind<HeaderName> =
    Kind { name: "field", example: "\"server\"", read: |v| v.as_str().map(rules::value::changed_field) };

pub(super) const POOL_NAME: Kind<String> =
    Kind { name: "name of a pool", example: "\"web\"", read: |v| v.as_str().map(|name| Ok(name.to_owned())) };

pub(super) const BALANCE: Kind<Balance> =
    Kind { name: "name", example: "\"round_robin\"", read: |v| v.as_str().map(value::balance) };

pub(super) const HASH_KEY: Kind<HashKey> =
    Kind { name: "key", example: "\"header:x-user\"", read: |v| v.as_str().map(value::hash_key) };

pub(super) const HASH_BOUND: Kind<f64> = Kind {
    name: "number",
    example: "1.25",
    read: |v| match v {
        DeValue::Float(bound) => Some(value::hash_bound(bound.as_str())),
        DeValue::Integer(bound) => Some(value::hash_bound(&bound.to_string())),
        _ => None,
    },
};

pub(super) const COOKIE: Kind<String> =
    Kind { name: "name", example: "\"server\"", read: |v| v.as_str().map(value::cookie_name) };

pub(super) const COOKIE_PATH: Kind<String> =
    Kind { name: "path", example: "\"/\"", read: |v| v.as_str().map(value::cookie_path) };

pub(super) const SAME_SITE: Kind<SameSite> =
    Kind { name: "name", example: "\"lax\"", read: |v| v.as_str().map(value::same_site) };

pub(super) const ZONE: Kind<String> =
    Kind { name: "name", example: "\"zurich-1\"", read: |v| v.as_str().map(value::zone) };

pub(super) const CHECK_PATH: Kind<PathAndQuery> =
    Kind { name: "path", example: "\"/readyz\"", read: |v| v.as_str().map(value::check_path) };

pub(super) const CHECK_PROTOCOL: Kind<Protocol> =
    Kind { name: "name", example: "\"grpc\"", read: |v| v.as_str().map(value::protocol) };

pub(super) const CHECK_METHOD: Kind<Method> =
    Kind { name: "method", example: "\"HEAD\"", read: |v| v.as_str().map(value::check_method) };

pub(super) const CHECK_SERVER_NAME: Kind<String> =
    Kind { name: "host", example: "\"www.example.com\"", read: |v| v.as_str().map(address::check_server_name) };

pub(super) const CHECK_BODY: Kind<String> =
    Kind { name: "text", example: "\"ready\"", read: |v| v.as_str().map(value::check_body) };

pub(super) const SERVICE: Kind<String> =
    Kind { name: "name of a service", example: "\"shop.Cart\"", read: |v| v.as_str().map(value::service) };

pub(super) const FIELD: Kind<String> =
    Kind { name: "field", example: "\"x-served-by\"", read: |v| v.as_str().map(value::field) };

pub(super) const CHECK_HOST: Kind<String> =
    Kind { name: "host", example: "\"www.example.com\"", read: |v| v.as_str().map(value::check_host) };

pub(super) const DRAIN_HEADER: Kind<String> =
    Kind { name: "name of a field", example: "\"x-drain\"", read: |v| v.as_str().map(value::drain_header) };

pub(super) const FILE: Kind<PathBuf> =
    Kind { name: "path of a file", example: "\"www.pem\"", read: |v| v.as_str().map(value::path) };

pub(super) const EXPECT: Kind<Expect> = Kind {
    name: "statuses or \"any\"",
    example: "\"200-399\"",
    read: |v| match v {
        DeValue::Array(parts) => {
            let texts: Option<Vec<String>> = parts.iter().map(|part| status_text(part.get_ref())).collect();
            texts.map(|texts| value::expect(&texts.join(",")))
        }
        _ => status_text(v).map(|text| value::expect(&text)),
    },
};

pub(super) const RETRY_STATUSES: Kind<Vec<(u16, u16)>> = Kind {
    name: "statuses or \"none\"",
    example: "\"502-504\"",
    read: |v| match v {
        DeValue::Array(parts) => {
            let texts: Option<Vec<String>> = parts.iter().map(|part| status_text(part.get_ref())).collect();
            texts.map(|texts| value::retry_statuses(&texts.join(",")))
        }
        _ => status_text(v).map(|text| value::retry_statuses(&text)),
    },
};

pub(super) const REPLAY_BUFFER: Kind<usize> = Kind {
    name: "size",
    example: "\"16KiB\"",
    read: |v| match v {
        DeValue::Integer(_) => whole(v, 0, value::MAX_REPLAY_BUFFER),
        _ => v.as_str().map(value::replay_buffer),
    },
};

/// Returns a status or a text of statuses as [`value::expect`] parses it; `None` if the value has another type.
fn status_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(status) => Some(status.to_string()),
        _ => value.as_str().map(str::to_owned),
    }
}

/// A whole number from 1 to `MAX`.
const fn positive<const MAX: usize>() -> Kind<NonZeroUsize> {
    Kind {
        name: "count",
        example: "100",
        read: |v| whole(v, 1, MAX).map(|parsed| parsed.map(|n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN))),
    }
}
