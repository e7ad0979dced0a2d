//! The flags for how long the edge waits.

use std::time::Duration;

use clap::Args;

use super::given::Reader;
use crate::config::{Config, Pool, value};

/// The flags for how long the edge waits. They cannot be combined with a file, because it has keys for them.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "How long the edge waits (not with --config)")]
pub(super) struct TimeoutFlags {
    /// For a client's TLS handshake [default: 10s]
    #[arg(long, value_name = "DURATION")]
    handshake_timeout: Option<String>,
    /// For the head of a request [default: 10s]
    #[arg(long, value_name = "DURATION")]
    head_timeout: Option<String>,
    /// For a client's next request [default: 1m]
    #[arg(long, value_name = "DURATION")]
    keep_alive_timeout: Option<String>,
    /// For more of a request body, or for a client to read more of the response [default: 30s]
    #[arg(long, value_name = "DURATION")]
    request_body_timeout: Option<String>,
    /// For a connection to an endpoint [default: 1s]
    #[arg(long, value_name = "DURATION")]
    connect_timeout: Option<String>,
    /// For a connection while all endpoints have as many as allowed; 0 to refuse the request at once [default: 1s]
    #[arg(long, value_name = "DURATION")]
    queue_timeout: Option<String>,
    /// For the endpoint's host to acknowledge a request without a body [default: 3s]
    #[arg(long, value_name = "DURATION")]
    unacknowledged_timeout: Option<String>,
    /// For the head of a response [default: 30s]
    #[arg(long, value_name = "DURATION")]
    response_timeout: Option<String>,
    /// For the head of a response, while the request may be sent to another endpoint [default: as --response-timeout]
    #[arg(long, value_name = "DURATION")]
    try_timeout: Option<String>,
    /// For the head of a response, over all attempts [default: none]
    #[arg(long, value_name = "DURATION")]
    request_timeout: Option<String>,
    /// For more of a response body whose length is declared [default: 30s]
    #[arg(long, value_name = "DURATION")]
    response_body_timeout: Option<String>,
    /// For more of a response body without a length, or of a tunnel such as a WebSocket [default: 1h]
    #[arg(long, value_name = "DURATION")]
    tunnel_timeout: Option<String>,
    /// Until an idle connection to an endpoint is closed [default: 30s]
    #[arg(long, value_name = "DURATION")]
    idle_timeout: Option<String>,
    /// Until a connection to an endpoint is no longer reused [default: 5m]
    #[arg(long, value_name = "DURATION")]
    max_age: Option<String>,
    /// For a health check, including the connection [default: 1s]
    #[arg(long, value_name = "DURATION")]
    health_timeout: Option<String>,
    /// For the answer of the name servers [default: 2s]
    #[arg(long, value_name = "DURATION")]
    dns_timeout: Option<String>,
}

impl TimeoutFlags {
    /// Sets how long the edge waits for an endpoint of `pool`.
    pub(super) fn apply_to_pool(&self, reader: &Reader<'_>, pool: &mut Pool) {
        let timeouts = &mut pool.timeouts;
        set(reader, "connect-timeout", self.connect_timeout.as_deref(), &mut timeouts.connect);
        let queue = reader.one("queue-timeout", self.queue_timeout.as_deref(), settings::value::duration_or_zero);
        timeouts.queue = queue.unwrap_or(timeouts.queue);
        set(reader, "unacknowledged-timeout", self.unacknowledged_timeout.as_deref(), &mut timeouts.unacknowledged);
        set(reader, "response-timeout", self.response_timeout.as_deref(), &mut timeouts.response);
        timeouts.one_try = reader.one("try-timeout", self.try_timeout.as_deref(), value::duration);
        timeouts.request = reader.one("request-timeout", self.request_timeout.as_deref(), value::duration);
        set(reader, "response-body-timeout", self.response_body_timeout.as_deref(), &mut timeouts.body_idle);
        set(reader, "tunnel-timeout", self.tunnel_timeout.as_deref(), &mut timeouts.tunnel_idle);
        set(reader, "idle-timeout", self.idle_timeout.as_deref(), &mut timeouts.idle);
        set(reader, "max-age", self.max_age.as_deref(), &mut timeouts.max_age);
        let mut health = Duration::ZERO;
        set(reader, "health-timeout", self.health_timeout.as_deref(), &mut health);
        match &mut pool.health {
            Some(check) if !health.is_zero() => check.timeout = health,
            None if self.health_timeout.is_some() => reader.turned_off("health-timeout"),
            _ => {}
        }
    }

    /// Sets how long the edge waits for clients and for name servers.
    pub(super) fn apply_to_config(&self, reader: &Reader<'_>, config: &mut Config) {
        let timeouts = &mut config.timeouts;
        set(reader, "handshake-timeout", self.handshake_timeout.as_deref(), &mut timeouts.handshake);
        set(reader, "head-timeout", self.head_timeout.as_deref(), &mut timeouts.head);
        set(reader, "keep-alive-timeout", self.keep_alive_timeout.as_deref(), &mut timeouts.keep_alive);
        set(reader, "request-body-timeout", self.request_body_timeout.as_deref(), &mut timeouts.body_idle);
        set(reader, "dns-timeout", self.dns_timeout.as_deref(), &mut config.dns.timeout);
    }
}

/// Sets a timeout to the value of its flag, if that was given.
fn set(reader: &Reader<'_>, flag: &str, text: Option<&str>, timeout: &mut Duration) {
    if let Some(duration) = reader.one(flag, text, value::duration) {
        *timeout = duration;
    }
}
