//! Parses addresses and host names; the command line and the file share these functions, as they do [`super::value`].

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};
use settings::address::bare_ip;
pub(crate) use settings::address::listen;

use super::{HostMatch, SWARM, Source, defaults::NAME_SERVER_PORT, value::Parsed};

/// Parses an address to listen on, or `off`.
pub(crate) fn listen_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.trim() == "off" {
        return Ok(None);
    }
    listen(text).map(Some).map_err(|error| format!("{error}, or \"off\""))
}

/// Parses a source of endpoints: `IP:port`, `[v6]:port`, `name:port` or `swarm://host:port?port=port`. A missing port
/// is `default_port`, or an error that ends with the hint in `default_port` about other ways to give a port.
pub(crate) fn endpoint(text: &str, default_port: Result<u16, &str>) -> Parsed<Source> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix(SWARM) {
        return swarm(text, rest, default_port);
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
            let port = default_port.map_err(|hint| missing_port(text, &format_args!("{host}:8000"), hint))?;
            Ok(Source::Name { host, port })
        }
    }
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

/// Parses the address of a name server; the default port is 53.
pub(crate) fn name_server(text: &str) -> Parsed<SocketAddr> {
    let text = text.trim();
    SocketAddr::from_str(text)
        .ok()
        .filter(|address| address.port() != 0)
        .or_else(|| bare_ip(text).ok().map(|address| SocketAddr::new(address, NAME_SERVER_PORT)))
        .ok_or_else(|| {
            format!("{text:?} is not the address of a name server: write it like \"127.0.0.11\" or \"[::1]:53\"")
        })
}

/// Parses a network or one address; bits outside the mask are cleared.
pub(crate) fn network(text: &str) -> Parsed<IpNet> {
    let text = text.trim();
    let network = IpNet::from_str(text).or_else(|_| bare_ip(text).map(IpNet::from)).map_err(|_| {
        format!("{text:?} is not a network: write it like \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\"")
    })?;
    Ok(canonical(network).trunc())
}

/// Returns the IPv4 network that a network of IPv4-mapped IPv6 addresses stands for (RFC 4291 section 2.5.5.2): the
/// addresses of clients are compared in their IPv4 form.
fn canonical(network: IpNet) -> IpNet {
    /// The length of `::ffff:0:0/96`.
    const MAPPED: u8 = 96;
    let IpNet::V6(mapped) = network else { return network };
    let v4 = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(MAPPED);
    let converted = v4.zip(length).and_then(|(v4, length)| Ipv4Net::new(v4, length).ok());
    converted.map_or(network, IpNet::V4)
}

/// Parses a host name to resolve and removes a final dot.
pub(crate) fn name_to_look_up(text: &str) -> Parsed<String> {
    let text = text.trim();
    if bare_ip(text).is_ok() || SocketAddr::from_str(text).is_ok() {
        return Err(format!("{text:?} is an address: write a name that resolves to it, such as \"www.example.com\""));
    }
    match host_match(text)? {
        HostMatch::Exact(name) => Ok(name),
        _ => {
            // The records of a wildcard are those of any name that it covers (RFC 4592).
            let example = text.strip_prefix("*.").unwrap_or("example.com");
            Err(format!("{text:?} matches more than one name: write one that it covers, such as \"www.{example}\""))
        }
    }
}

/// Parses the host of a route: a name, an address, `*.name`, or `*` for any.
pub(crate) fn host_match(text: &str) -> Parsed<HostMatch> {
    if text == "*" {
        return Ok(HostMatch::Any);
    }
    if text.contains("://") {
        return Err(format!("{text:?} is a URL: write only its host, such as \"www.example.com\""));
    }
    if let Ok(address) = bare_ip(text) {
        return Ok(HostMatch::Exact(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }));
    }
    if let Some((host, _)) = text.split_once([':', '/'])
        && !host.is_empty()
    {
        return Err(format!("{text:?} is more than a host: write only {host:?}"));
    }
    let (wildcard, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
    let name = host_name(name.strip_suffix('.').unwrap_or(name)).ok_or_else(|| {
        if text.is_ascii() {
            format!("{text:?} is not a host: write it like \"www.example.com\", \"*.example.com\" or \"*\" for any")
        } else {
            format!("{text:?} is not ASCII: write the name in Punycode, which begins with \"xn--\"")
        }
    })?;
    Ok(if wildcard { HostMatch::Suffix(name) } else { HostMatch::Exact(name) })
}

/// Formats a [`HostMatch`] as [`host_match`] parses it.
pub(crate) fn render_host(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(host) => host.clone(),
        HostMatch::Suffix(host) => format!("*.{host}"),
    }
}

/// Parses a name for a self-signed certificate: a host name, `*.name` or an address.
pub(crate) fn server_name(text: &str) -> Parsed<String> {
    let text = text.trim();
    if let Ok(address) = bare_ip(text) {
        return Ok(address.to_string());
    }
    match host_match(text) {
        Ok(host @ (HostMatch::Exact(_) | HostMatch::Suffix(_))) => Ok(render_host(&host)),
        _ => {
            Err(format!("{text:?} cannot be in a certificate: write a name such as \"www.example.com\", or an address"))
        }
    }
}

/// Parses the name that the certificate of an endpoint must have: a host name or an address.
pub(crate) fn check_server_name(text: &str) -> Parsed<String> {
    let name = server_name(text).ok().filter(|name| !name.starts_with('*'));
    let message =
        || format!("{text:?} is not the name of a server: write one such as \"www.example.com\", or an address");
    name.ok_or_else(message)
}

/// Returns a valid host name in lower case (RFC 1123 section 2.1, and the underscores in Swarm's names).
fn host_name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = text.len() <= 253
        && text.split('.').all(is_label)
        // 10.0.0.300 is a mistyped address, not a name: no top-level domain is a number (RFC 3696 section 2).
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    is_name.then(|| text.to_ascii_lowercase())
}

/// Returns an address at which the machine of a listener reaches it: loopback if it listens on every address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests;
