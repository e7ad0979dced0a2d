//! An entry of the engines' table of endpoints.
//!
//! Its value is a protocol buffer (libnetwork's `agent.proto`, `EndpointRecord`) in base64.

use std::net::Ipv4Addr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A task or another holder of an address in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The id of its service; empty if it is not a task.
    pub(super) service: String,
    /// The service's virtual address in this network.
    pub(super) virtual_address: Option<Ipv4Addr>,
    /// Its own address.
    pub(super) address: Option<Ipv4Addr>,
    /// The ports that the service publishes through the routing mesh.
    pub(super) ports: Vec<Port>,
    /// It gets no new connections. Set before the task gets its signal to stop.
    pub(super) disabled: bool,
}

/// A published port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    /// 0 is TCP, 1 is UDP.
    pub(super) protocol: u64,
    /// The port of the task.
    pub(super) target: u64,
    /// The port of every node.
    pub(super) published: u64,
}

impl Endpoint {
    /// Parses a value; returns `None` if it is not such a record.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(value).ok()?;
        let mut endpoint = Self::default();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match field(&mut rest)? {
                (3, Value::Bytes(id)) => endpoint.service = text(id),
                (4, Value::Bytes(address)) => endpoint.virtual_address = text(address).parse().ok(),
                (5, Value::Bytes(address)) => endpoint.address = text(address).parse().ok(),
                (6, Value::Bytes(port)) => endpoint.ports.push(Port::parse(port)?),
                (9, Value::Number(disabled)) => endpoint.disabled = disabled != 0,
                _ => {}
            }
        }
        Some(endpoint)
    }
}

/// Returns the endpoints in a response to `GET /networks/ID?verbose=true`, which does not contain all fields.
pub(super) fn from_inspection(network: &serde_json::Value) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for (name, service) in network["Services"].as_object().into_iter().flatten() {
        let virtual_address = service["VIP"].as_str().and_then(|address| address.parse().ok());
        let ports = service["Ports"].as_array().into_iter().flatten();
        let ports: Vec<Port> = ports.filter_map(|port| Port::from_description(port.as_str()?)).collect();
        for task in service["Tasks"].as_array().into_iter().flatten() {
            let address = task["EndpointIP"].as_str().and_then(|address| address.parse().ok());
            let (service, ports) = (name.clone(), ports.clone());
            endpoints.push(Endpoint { service, virtual_address, address, ports, disabled: false });
        }
    }
    endpoints
}

impl Port {
    /// Parses "Target: 8000, Publish: 8000", which does not contain the protocol.
    fn from_description(text: &str) -> Option<Self> {
        let (target, published) = text.strip_prefix("Target: ")?.split_once(", Publish: ")?;
        Some(Self { protocol: 0, target: target.parse().ok()?, published: published.parse().ok()? })
    }

    fn parse(mut rest: &[u8]) -> Option<Self> {
        let mut port = Self::default();
        while !rest.is_empty() {
            match field(&mut rest)? {
                (2, Value::Number(protocol)) => port.protocol = protocol,
                (3, Value::Number(target)) => port.target = target,
                (4, Value::Number(published)) => port.published = published,
                _ => {}
            }
        }
        Some(port)
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads the next field and its number.
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_a_published_service_is_parsed() {
        // From an engine 20.10.24.
        let value = "CilzdGFja2RlbW9fd2ViLjQuajh6d3V2dnJtcXZhcTdxOWQxM3Ewb2h0aRINc3RhY2tkZW1vX3dlYhoZc3dnNnR0N2g2OWV4cm5hcjV1NHgxaTh5diIIMTAuMC4wLjUqCDEwLjAuMC44MgYYwD4gwD5CDDFmZDRmMDI0ODc4NkIJc2VydmV1cjE4";
        let expected = Endpoint {
            service: "swg6tt7h69exrnar5u4x1i8yv".to_owned(),
            virtual_address: Some(Ipv4Addr::new(10, 0, 0, 5)),
            address: Some(Ipv4Addr::new(10, 0, 0, 8)),
            ports: vec![Port { protocol: 0, target: 8000, published: 8000 }],
            disabled: false,
        };
        assert_eq!(Endpoint::parse(value), Some(expected));
    }

    #[test]
    fn an_endpoint_that_is_not_a_task_has_no_service() {
        let endpoint = Endpoint::parse("ChBpbmdyZXNzLWVuZHBvaW50IgU8bmlsPioIMTAuMC4wLjQ=").unwrap();
        assert_eq!((endpoint.service.as_str(), endpoint.virtual_address), ("", None));
        assert_eq!(endpoint.address, Some(Ipv4Addr::new(10, 0, 0, 4)));
    }

    #[test]
    fn the_api_reports_the_same_endpoints_for_tasks() {
        let network = serde_json::json!({ "Services": {
            "": { "VIP": "<nil>", "Ports": [], "Tasks": [{ "EndpointIP": "10.0.0.3" }] },
            "web": { "VIP": "10.0.0.5", "Ports": ["Target: 8000, Publish: 80"], "Tasks": [{ "EndpointIP": "10.0.0.6" }] },
        }});
        let web = Endpoint {
            service: "web".to_owned(),
            virtual_address: Some(Ipv4Addr::new(10, 0, 0, 5)),
            address: Some(Ipv4Addr::new(10, 0, 0, 6)),
            ports: vec![Port { protocol: 0, target: 8000, published: 80 }],
            disabled: false,
        };
        assert_eq!(from_inspection(&network).last(), Some(&web));
    }

    #[test]
    fn a_stopping_task_is_disabled_and_malformed_values_are_rejected() {
        assert!(Endpoint::parse(&BASE64_STANDARD.encode([9 << 3, 1])).unwrap().disabled);
        for malformed in [&[0x0a, 0x05, 0x00][..], &[0x0b], &[0xff; 11]] {
            assert_eq!(Endpoint::parse(&BASE64_STANDARD.encode(malformed)), None);
        }
    }
}
