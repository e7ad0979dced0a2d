//! The meaning of a DNS answer for the endpoints of a source.
//!
//! Pure: answers go in, decisions come out. There are three cases:
//!
//! 1. NOERROR with addresses is authoritative. An address that is missing gets no new request at once, even if it is
//!    healthy: overlay networks reuse addresses for other services.
//! 2. NOERROR without addresses, NXDOMAIN, an error or a timeout keeps the last good set, and health checks decide.
//!    The name servers of orchestrators drop names for a moment, and an outage of DNS must not become an outage of
//!    everything.
//! 3. If the name was never resolved, there are no endpoints, and the query is repeated.
//!
//! TTLs are ignored unless the interval is `"ttl"`. Docker's embedded server returns 600 s and changes its answer within
//! a second, so a name is queried again after a fixed interval, whether the last answer was good or not. There is no
//! back-off: two small queries per interval are cheap, and a recovery shows at once. With `"ttl"` a failed answer is
//! repeated after the shortest interval for the same reason; the TTL of a negative one (RFC 2308) is ignored.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// The largest number of addresses taken from one answer. A DNS message cannot hold many more.
pub const MAX_ADDRESSES: usize = 4096;

/// The answer of the name servers for one name.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The A records; empty for NOERROR without records.
    pub v4: Result<Vec<IpAddr>, Failure>,
    /// The AAAA records.
    pub v6: Result<Vec<IpAddr>, Failure>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// NXDOMAIN.
    #[error("no such name")]
    NoSuchName,
    /// SERVFAIL, REFUSED or a similar response code.
    #[error("the name server responded: {0}")]
    Refused(String),
    /// No name server answered within the timeout.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The query could not be sent, or the answer could not be parsed.
    #[error("{0}")]
    Transport(String),
    /// The configured host is not a DNS name.
    #[error("not a DNS name: {0}")]
    BadName(String),
    /// No name server is configured.
    #[error("no name server: {0}")]
    NoServer(String),
}

/// One SRV record of an answer (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct ServiceRecord {
    /// The priority; lower ones first.
    pub(in crate::upstream) priority: u16,
    /// The weight among those with the same priority.
    pub(in crate::upstream) weight: u16,
    /// The port of the endpoints.
    pub(in crate::upstream) port: u16,
    /// The name of the host in lower case, with its final dot; `.` for none.
    pub(in crate::upstream) target: String,
}

/// The usable addresses of one name or swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: BTreeSet<IpAddr>,
    v6: BTreeSet<IpAddr>,
}

/// The effect of an answer on a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The new addresses; `None` keeps the current ones.
    pub addresses: Option<AddressSet>,
    /// The error, even if only one of the two queries failed.
    pub error: Option<String>,
}

impl AddressSet {
    /// Creates a set of those addresses that are [usable](Self::is_usable).
    #[must_use]
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let canonical = addresses.into_iter().map(|ip| ip.to_canonical());
        let (v4, v6) = canonical.filter(Self::is_usable).partition(IpAddr::is_ipv4);
        Self { v4, v6 }
    }

    /// Whether a TCP connection to an address is possible and safe. Other addresses are mistakes or attacks: connecting
    /// to 0.0.0.0 reaches this host.
    #[must_use]
    pub fn is_usable(ip: &IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(v4) => !(v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast()),
            // A link-local address needs a zone, which neither DNS nor a node list provides.
            IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
        }
    }

    /// Returns the addresses with this port, at most [`MAX_ADDRESSES`].
    #[must_use]
    pub fn at_port(&self, port: u16) -> BTreeSet<SocketAddr> {
        self.v4.iter().chain(&self.v6).take(MAX_ADDRESSES).map(|ip| SocketAddr::new(*ip, port)).collect()
    }
}

/// Decides what an answer changes for a source whose addresses are `present`.
#[must_use]
pub fn decide(present: &AddressSet, answer: &Answer) -> Decision {
    let replace = |v4, v6, error| Decision { addresses: Some(AddressSet { v4, v6 }), error };
    let keep = |error: String| Decision { addresses: None, error: Some(error) };
    let v4 = answer.v4.as_deref().map(usable);
    let v6 = answer.v6.as_deref().map(usable);
    match (v4, v6) {
        (Ok(v4), Ok(v6)) if v4.is_empty() && v6.is_empty() => keep("no addresses".to_owned()),
        (Ok(v4), Ok(v6)) => replace(v4, v6, None),
        // A name with addresses of one family exists. Servers that return NXDOMAIN for the other family are common
        // enough for RFC 4074 to describe them.
        (Ok(v4), Err(Failure::NoSuchName)) if !v4.is_empty() => replace(v4, BTreeSet::new(), None),
        (Err(Failure::NoSuchName), Ok(v6)) if !v6.is_empty() => replace(BTreeSet::new(), v6, None),
        (Ok(v4), Err(error)) if !v4.is_empty() => replace(v4, present.v6.clone(), Some(format!("AAAA: {error}"))),
        (Err(error), Ok(v6)) if !v6.is_empty() => replace(present.v4.clone(), v6, Some(format!("A: {error}"))),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => keep(error.to_string()),
        (Err(v4), Err(v6)) if v4 == v6 => keep(v4.to_string()),
        (Err(v4), Err(v6)) => keep(format!("A: {v4}; AAAA: {v6}")),
    }
}

/// Returns the delay before the next query for a source: the interval, plus or minus a tenth so that edges do not query
/// in lockstep. `chance` is a fresh random number from 0.0 to 1.0.
#[must_use]
pub(super) fn delay(interval: Duration, chance: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

/// The addresses that can be used.
fn usable(addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    addresses.iter().map(IpAddr::to_canonical).filter(AddressSet::is_usable).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Records = Result<Vec<IpAddr>, Failure>;

    /// Addresses separated by spaces, or `nx`, `fail`, `late`.
    fn records(text: &str) -> Records {
        match text {
            "nx" => Err(Failure::NoSuchName),
            "fail" => Err(Failure::Refused("Server Failure".to_owned())),
            "late" => Err(Failure::Timeout(Duration::from_secs(2))),
            addresses => Ok(addresses.split_whitespace().map(|address| address.parse().unwrap()).collect()),
        }
    }

    /// Returns the addresses after the answers `a` and `aaaa`, and the error.
    fn after(present: &str, a: &str, aaaa: &str) -> (String, Option<String>) {
        let all = present.split_whitespace().map(|address| address.parse::<IpAddr>().unwrap());
        let (v4, v6) = all.partition(IpAddr::is_ipv4);
        let before = AddressSet { v4, v6 };
        let Decision { addresses, error } = decide(&before, &Answer { v4: records(a), v6: records(aaaa) });
        let addresses = addresses.unwrap_or(before);
        let addresses: Vec<_> = addresses.at_port(1).iter().map(|address| address.ip().to_string()).collect();
        (addresses.join(" "), error)
    }

    #[test]
    fn good_answers_replace_addresses_and_bad_ones_keep_them() {
        for (present, a, aaaa, expected, error) in [
            ("", "10.0.0.1 10.0.0.2", "", "10.0.0.1 10.0.0.2", None),
            ("10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.3", "", "10.0.0.2 10.0.0.3", None),
            ("10.0.0.1", "", "fd00::1", "fd00::1", None),
            ("10.0.0.1 fd00::1", "10.0.0.1", "", "10.0.0.1", None),
            ("10.0.0.1 fd00::1", "10.0.0.1", "nx", "10.0.0.1", None),
            ("10.0.0.1 fd00::1", "nx", "fd00::2", "fd00::2", None),
            ("10.0.0.1", "", "", "10.0.0.1", Some("no addresses")),
            ("10.0.0.1", "nx", "nx", "10.0.0.1", Some("no such name")),
            ("10.0.0.1", "fail", "fail", "10.0.0.1", Some("the name server responded: Server Failure")),
            ("10.0.0.1", "late", "late", "10.0.0.1", Some("no answer within 2s")),
            ("10.0.0.1", "late", "nx", "10.0.0.1", Some("A: no answer within 2s; AAAA: no such name")),
            ("10.0.0.1", "", "nx", "10.0.0.1", Some("no such name")),
            ("10.0.0.1", "", "late", "10.0.0.1", Some("no answer within 2s")),
            ("10.0.0.1 fd00::1", "10.0.0.2", "late", "10.0.0.2 fd00::1", Some("AAAA: no answer within 2s")),
            ("10.0.0.1 fd00::1", "late", "fd00::2", "10.0.0.1 fd00::2", Some("A: no answer within 2s")),
            ("", "nx", "nx", "", Some("no such name")),
        ] {
            let (addresses, why) = after(present, a, aaaa);
            assert_eq!((addresses.as_str(), why.as_deref()), (expected, error), "{present:?}: A {a:?}, AAAA {aaaa:?}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_connected_to_are_dropped() {
        let bad = "0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1";
        assert_eq!(after("10.0.0.1", bad, ":: ff02::1 fe80::1").1.as_deref(), Some("no addresses"));
        assert_eq!(after("", &format!("{bad} 10.0.0.9"), "").0, "10.0.0.9");
    }

    #[test]
    fn ipv4_mapped_address_equals_its_ipv4_form() {
        assert_eq!(after("", "10.0.0.1", "::ffff:10.0.0.1").0, "10.0.0.1");
    }

    #[test]
    fn addresses_of_an_answer_are_capped() {
        let many = (0..5000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
        let decision = decide(&AddressSet::default(), &Answer { v4: Ok(many), v6: Ok(Vec::new()) });
        assert_eq!(decision.addresses.unwrap().at_port(80).len(), MAX_ADDRESSES);
    }

    fn any_records() -> impl Strategy<Value = Records> {
        let addresses = prop::collection::vec(any::<[u8; 4]>().prop_map(IpAddr::from), 0..4);
        let failures = prop_oneof![Just(Failure::NoSuchName), Just(Failure::Timeout(Duration::ZERO))];
        prop_oneof![addresses.prop_map(Ok), failures.prop_map(Err)]
    }

    proptest! {
        #[test]
        fn address_set_never_becomes_empty(answers in prop::collection::vec((any_records(), any_records()), 1..20)) {
            let mut present = AddressSet::default();
            let mut had_any = false;
            for (v4, v6) in answers {
                let decision = decide(&present, &Answer { v4, v6 });
                prop_assert!(decision.addresses.is_some() || decision.error.is_some());
                present = decision.addresses.unwrap_or(present);
                had_any |= !present.at_port(1).is_empty();
                prop_assert_eq!(!present.at_port(1).is_empty(), had_any);
            }
        }

        #[test]
        fn order_of_an_answer_does_not_matter(mut addresses in prop::collection::vec(any::<[u8; 4]>(), 0..20)) {
            let answer = |addresses: &[[u8; 4]]| {
                let v4 = addresses.iter().copied().map(IpAddr::from).collect();
                decide(&AddressSet::default(), &Answer { v4: Ok(v4), v6: Ok(Vec::new()) })
            };
            let one = answer(&addresses);
            addresses.reverse();
            prop_assert_eq!(one, answer(&addresses));
        }

        #[test]
        fn delays_stay_within_a_tenth_of_the_interval(chance in 0.0_f64..=1.0) {
            let delay = delay(Duration::from_secs(1), chance);
            prop_assert!(delay >= Duration::from_millis(899) && delay <= Duration::from_millis(1101));
        }
    }
}
