//! Parses addresses and host names; the command line and the file share these functions, as they do [`super::value`].

mod endpoint;
mod host;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};
use settings::address::bare_ip;
pub(crate) use settings::address::listen;

pub(crate) use self::endpoint::endpoint;
use self::host::host_name;
use super::{
    HostMatch, NameServer, Transport,
    defaults::{DNS_OVER_TLS_PORT, NAME_SERVER_PORT},
    value::Parsed,
};

/// Parses an address to listen on, or `off`.
pub(crate) fn listen_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.trim() == "off" {
        return Ok(None);
    }
    listen(text).map(Some).map_err(|error| format!("{error}, or \"off\""))
}

/// Parses the address of a name server; the default port is 53.
pub(crate) fn name_server(text: &str) -> Parsed<SocketAddr> {
    let text = text.trim();
    address_of_server(text, NAME_SERVER_PORT).ok_or_else(|| {
        format!("{text:?} is not the address of a name server: write it like \"127.0.0.11\" or \"[::1]:53\"")
    })
}

/// Parses a name server of a resolver: its address, or `tcp://` or `tls://` and its address.
pub(crate) fn dns_server(text: &str) -> Parsed<NameServer> {
    let text = text.trim();
    let transports = [Transport::Tcp, Transport::Tls];
    let found = transports.into_iter().find_map(|one| Some((one, text.strip_prefix(one.scheme())?)));
    let (transport, rest) = found.unwrap_or((Transport::Udp, text));
    let default_port = if transport == Transport::Tls { DNS_OVER_TLS_PORT } else { NAME_SERVER_PORT };
    let address = address_of_server(rest, default_port).ok_or_else(|| {
        format!(
            "{text:?} is not a name server: write its address, such as \"127.0.0.11\", \"[::1]:53\", \
             \"tcp://10.0.0.53\" or \"tls://10.0.0.53:853\""
        )
    })?;
    Ok(NameServer { transport, address })
}

/// Parses the address of a server, and adds the port if there is none.
fn address_of_server(text: &str, default_port: u16) -> Option<SocketAddr> {
    let with_port = SocketAddr::from_str(text).ok().filter(|address| address.port() != 0);
    with_port.or_else(|| bare_ip(text).ok().map(|address| SocketAddr::new(address, default_port)))
}

/// Parses the name or the address for which the certificate of a name server must be.
pub(crate) fn tls_name(text: &str) -> Parsed<String> {
    let text = text.trim();
    if let Ok(address) = bare_ip(text) {
        return Ok(address.to_string());
    }
    host_name(text.strip_suffix('.').unwrap_or(text)).ok_or_else(|| {
        format!("{text:?} is not in a certificate: write a name such as \"dns.example.com\", or an address")
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
