//! What the rules of a route may know about a request.

use std::net::IpAddr;

use crate::protocol::{
    h1::head::{Field, Target},
    headers::Client,
};

/// Facts about a request. Borrows from its head.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The connection of the client.
    pub client: &'a Client,
    /// The address of the client, or the one that a trusted proxy names; `None` if a trusted proxy names none.
    pub address: Option<IpAddr>,
    /// The client uses HTTPS, also as a trusted proxy says.
    pub https: bool,
    /// The method.
    pub method: &'a str,
    /// The host with its port, as received; empty without one.
    pub host: &'a str,
    /// The target as received.
    pub target: Target<'a>,
    /// The normalized path, by which the route was found.
    pub path: &'a str,
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
    /// The identifier of the request; empty without one.
    pub request_id: &'a str,
}

impl<'a> Facts<'a> {
    /// The host without its port.
    #[must_use]
    pub fn host_name(&self) -> &'a str {
        crate::route::without_port(self.host)
    }

    /// The query with its question mark; empty without one.
    #[must_use]
    pub fn query(&self) -> &'a str {
        self.target.path_and_query.get(self.target.path().len()..).unwrap_or_default()
    }

    /// Returns the first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Passes the facts about `GET http://www.example.com:8080/a/../b?x=1` from 192.0.2.7 to `test`, after `change`.
    pub(crate) fn with<T>(change: impl FnOnce(&mut Facts<'_>), test: impl FnOnce(&Facts<'_>) -> T) -> T {
        let client = Client::new("192.0.2.7:1234".parse().unwrap(), false, &[]);
        let mut facts = Facts {
            client: &client,
            address: Some("192.0.2.7".parse().unwrap()),
            https: false,
            method: "GET",
            host: "www.example.com:8080",
            target: Target { authority: None, path_and_query: "/a/../b?x=1" },
            path: "/b",
            fields: &[],
            request_id: "",
        };
        change(&mut facts);
        test(&facts)
    }
}
