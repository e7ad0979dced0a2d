//! The flags for how names are resolved.

use std::path::Path;

use super::{
    given::Reader,
    run::{Settings, readable},
};
use crate::config::{Dns, Interval, Transport, address, defaults, problem::Problem, value};

impl Settings {
    /// Sets what is given of the resolver.
    pub(super) fn set_resolver(&self, reader: &Reader<'_>, dns: &mut Dns, warnings: &mut Vec<Problem>) {
        let flags = &self.flags.traffic;
        dns.servers = reader.many("dns", &flags.dns, address::dns_server);
        dns.tls_name = reader.one("dns-tls-name", flags.dns_tls_name.as_deref(), address::tls_name);
        dns.ca_file = reader.one("dns-ca-file", flags.dns_ca_file.as_deref(), |text| readable(Path::new(text)));
        let interval = |text: &str| match text {
            "ttl" => Ok(Interval::Ttl { min: defaults::MIN_INTERVAL, max: defaults::MAX_INTERVAL }),
            text => value::duration(text).map(Interval::Fixed),
        };
        dns.interval = reader.one("dns-interval", flags.dns_interval.as_deref(), interval).unwrap_or(dns.interval);
        let has_tls = dns.servers.iter().any(|server| server.transport == Transport::Tls);
        for (flag, is_given) in [("dns-tls-name", dns.tls_name.is_some()), ("dns-ca-file", dns.ca_file.is_some())] {
            if is_given && !has_tls {
                warnings.push(self.given.problem(flag, "has no effect without --dns tls://IP"));
            }
        }
    }
}
