//! Endpoints with options of their own: those that a file lists, or SRV records.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::config::EndpointOptions;

/// The endpoints of one source at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Listing {
    /// Their own options, which [add](EndpointOptions::within) to those of the source. At least one endpoint.
    pub(in crate::upstream) endpoints: BTreeMap<SocketAddr, EndpointOptions>,
    /// What is wrong with a part of it.
    pub(in crate::upstream) warning: Option<String>,
}
