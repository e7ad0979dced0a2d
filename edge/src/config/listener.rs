//! Addresses that clients connect to, and their certificates.

use std::{net::SocketAddr, path::PathBuf};

/// One address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Whether to bind an address that this host does not have yet (`IP_FREEBIND`). Default false.
    pub freebind: bool,
    /// Whether to listen even while another process of the same user does (`SO_REUSEPORT`), and to hand connections over
    /// to it at the end. Default false. Not changed by a reload while the address stays.
    pub reuse_port: bool,
    /// TLS on this address, with ALPN `h2` and `http/1.1`. Default none: plain HTTP/1.1 and h2c by
    /// prior knowledge.
    pub tls: Option<Tls>,
}

/// Which certificates a listener presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Selected by SNI; a client that sends no name or an unknown one gets the first.
    pub certificates: Vec<CertificateFiles>,
    /// Names in the self-signed certificate that the edge generates if `certificates` is empty, so that port 443 works
    /// without further setup. Browsers warn about it.
    pub self_signed: Vec<String>,
}

/// A certificate chain and its key in PEM, reloaded when either file changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}
