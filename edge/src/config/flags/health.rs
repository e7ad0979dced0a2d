//! Builds the health check from the flags.

use http::{Method, uri::PathAndQuery};

use super::{given::Reader, run::Settings};
use crate::config::{HealthCheck, Protocol, problem::Problem, value};

impl Settings {
    /// Returns the health check of the endpoints; `None` if it is turned off.
    pub(super) fn health(&self, reader: &Reader<'_>, warnings: &mut Vec<Problem>) -> Option<HealthCheck> {
        let flags = &self.flags.traffic;
        let path = reader.one("health-path", flags.health_path.as_deref(), value::check_path);
        let host = reader.one("health-host", flags.health_host.as_deref(), value::check_host);
        let port = reader.one("health-port", flags.health_port.as_deref(), |text| value::number(text, 10, 1, u16::MAX));
        // A mesh leads only to the ports that are published.
        let port = port.filter(|_| !self.is_mesh());
        let method = reader.one("health-method", flags.health_method.as_deref(), value::check_method);
        let headers = reader.many("health-header", &flags.health_header, value::check_field_pair);
        reader.report_duplicates("health-header", &headers, |(name, _)| name.to_string());
        let expect = reader.one("health-expect", flags.health_expect.as_deref(), value::expect);
        let chosen = reader.one("health-protocol", flags.health_protocol.as_deref(), value::protocol);
        let service = reader.one("health-service", flags.health_service.as_deref(), value::service);
        let given = [
            ("health-path", flags.health_path.is_some()),
            ("health-host", flags.health_host.is_some()),
            ("health-port", flags.health_port.is_some()),
            ("health-method", flags.health_method.is_some()),
            ("health-header", !flags.health_header.is_empty()),
            ("health-expect", flags.health_expect.is_some()),
            ("health-protocol", flags.health_protocol.is_some()),
            ("health-service", flags.health_service.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag);
        if reader.one("no-health", flags.no_health.as_deref(), value::boolean) == Some(true) {
            given.for_each(|flag| reader.turned_off(flag));
            return None;
        }
        let default = if flags.health_path.is_some() { Protocol::Http } else { Protocol::Tcp };
        let protocol = chosen.unwrap_or(default);
        for flag in given {
            let message = match (flag, protocol) {
                ("health-service", Protocol::Tcp | Protocol::Http) => "has no effect without --health-protocol grpc",
                ("health-path" | "health-method" | "health-expect", Protocol::Grpc) => {
                    "has no effect with --health-protocol grpc"
                }
                (
                    "health-path" | "health-host" | "health-method" | "health-header" | "health-expect",
                    Protocol::Tcp,
                ) if chosen.is_some() => "has no effect with --health-protocol tcp",
                ("health-host" | "health-method" | "health-header" | "health-expect", Protocol::Tcp) => {
                    "has no effect without --health-path"
                }
                _ => continue,
            };
            warnings.push(self.given.problem(flag, message));
        }
        let (is_http, is_grpc) = (protocol == Protocol::Http, protocol == Protocol::Grpc);
        Some(HealthCheck {
            path: path.or(Some(PathAndQuery::from_static("/"))).filter(|_| is_http),
            grpc: is_grpc.then(|| service.unwrap_or_default()),
            method: method.filter(|_| is_http).unwrap_or(Method::GET),
            headers: if is_http || is_grpc { headers } else { Vec::new() },
            host,
            port,
            expect: expect.filter(|_| !is_grpc).unwrap_or_default(),
            ..HealthCheck::default()
        })
    }
}
