//! Parses sources of endpoints.

use std::{fmt::Display, net::SocketAddr, str::FromStr};

use settings::address::bare_ip;

use super::host::host_name;
use crate::config::{
    FILE, SERVICES, SWARM, Source,
    value::{self, Parsed},
};

/// Parses a source of endpoints: `IP:port`, `[v6]:port`, `name:port`, `srv://name`, `file://path` or
/// `swarm://host:port?port=port`. A missing port is `default_port`, or an error that ends with the hint in
/// `default_port` about other ways to give a port.
pub(crate) fn endpoint(text: &str, default_port: Result<u16, &str>) -> Parsed<Source> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix(SWARM) {
        return swarm(text, rest, default_port);
    }
    if let Some(rest) = text.strip_prefix(SERVICES) {
        return services(text, rest);
    }
    if let Some(rest) = text.strip_prefix(FILE) {
        return value::path(rest).map(Source::File).map_err(|_| {
            format!(
                "{text:?} names no file: write its path after the scheme, such as \"{FILE}/etc/edge/web.endpoints\""
            )
        });
    }
    if text.contains("://") {
        return Err(format!("{text:?} is a URL: write only host:port; the edge speaks plain HTTP/1.1 to endpoints"));
    }
    if let Some((host, _)) = text.split_once('/') {
        let message = "the edge forwards the path of each request unchanged";
        return Err(format!("{text:?} has a path: write only {host:?}; {message}"));
    }
    if let Ok(address) = SocketAddr::from_str(text) {
        return usable_port(text, address.port()).map(|_| Source::Address(address));
    }
    if let Ok(address) = bare_ip(text) {
        let port = default_port.map_err(|hint| missing_port(text, &SocketAddr::new(address, 8000), hint))?;
        return Ok(Source::Address(SocketAddr::new(address, port)));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => {
            let port = usable_port(text, port.parse().unwrap_or(0))?;
            Ok(Source::Name { host: endpoint_name(text, host)?, port })
        }
        None => {
            let host = endpoint_name(text, text)?;
            if is_service(&host) {
                return Err(format!("{text:?} is the name of SRV records: write \"{SERVICES}{host}\""));
            }
            let port = default_port.map_err(|hint| missing_port(text, &format_args!("{host}:8000"), hint))?;
            Ok(Source::Name { host, port })
        }
    }
}

/// Parses the name of SRV records; `rest` is `text` without the scheme.
fn services(text: &str, rest: &str) -> Parsed<Source> {
    let name = rest.strip_suffix('/').unwrap_or(rest);
    if let Some((name, _)) = name.split_once(':') {
        return Err(format!("{text:?} has a port, but SRV records contain the ports: write \"{SERVICES}{name}\""));
    }
    let name = endpoint_name(text, name).map_err(|_| {
        format!("{text:?} is not the name of SRV records: write it like \"{SERVICES}_http._tcp.web.example\"")
    })?;
    Ok(Source::Services { name })
}

/// Whether a name begins as those of SRV records do (RFC 2782): with a service and a protocol, each after an underscore.
fn is_service(name: &str) -> bool {
    let mut labels = name.split('.');
    labels.next().is_some_and(|service| service.starts_with('_'))
        && labels.next().is_some_and(|protocol| ["_tcp", "_udp"].contains(&protocol))
}

/// Parses the node list of a swarm; `rest` is `text` without the scheme.
fn swarm(text: &str, rest: &str, default_port: Result<u16, &str>) -> Parsed<Source> {
    let invalid = || {
        format!(
            "{text:?} is not the node list of a swarm: write the address of watch's HTTP server and the port of the \
             nodes, such as \"{SWARM}tasks.watch:8080?port=8000\""
        )
    };
    let (server, query) = rest.split_once('?').map_or((rest, None), |(server, query)| (server, Some(query)));
    let server = server.strip_suffix('/').unwrap_or(server);
    if server.contains('/') {
        return Err(invalid());
    }
    let port = match query {
        Some(query) => Some(query.strip_prefix("port=").and_then(|port| port.parse().ok()).ok_or_else(invalid)?),
        None => None,
    };
    if bare_ip(server).is_ok() || host_name(server).is_some() {
        return Err(format!(
            "{text:?} has no port: add the port of watch's HTTP server, such as \"{SWARM}{server}:8080\""
        ));
    }
    let (host, host_port) = match SocketAddr::from_str(server) {
        Ok(address) => (address.ip().to_string(), address.port()),
        Err(_) => {
            let (host, port) = server.rsplit_once(':').ok_or_else(invalid)?;
            (endpoint_name(text, host).map_err(|_| invalid())?, port.parse().unwrap_or(0))
        }
    };
    let host_port = usable_port(text, host_port)?;
    let port = port.map_or(default_port, Ok).map_err(|hint| {
        format!("{text:?} does not say which port of the nodes to use: write \"{SWARM}{server}?port=8000\"{hint}")
    })?;
    Ok(Source::Swarm { host, host_port, port: usable_port(text, port)? })
}

fn missing_port(text: &str, example: &dyn Display, hint: &str) -> String {
    format!("{text:?} has no port: add one after a colon, such as \"{example}\"{hint}")
}

/// Returns `port`, or an error if it is 0, which nothing can connect to.
fn usable_port(text: &str, port: u16) -> Parsed<u16> {
    if port == 0 { Err(format!("{text:?} has no usable port: write one from 1 to 65535")) } else { Ok(port) }
}

/// Parses the host name in `text`, keeping a final dot.
fn endpoint_name(text: &str, host: &str) -> Parsed<String> {
    // With a final dot, resolvers do not try their search list.
    let (name, dot) = host.strip_suffix('.').map_or((host, ""), |name| (name, "."));
    host_name(name).map(|name| name + dot).ok_or_else(|| {
        format!(
            "{text:?} is not an endpoint: write IP:port, [IPv6]:port or name:port, such as \"10.0.0.1:8000\" or \
             \"tasks.web:8000\""
        )
    })
}
