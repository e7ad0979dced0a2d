//! Chooses the certificate for a requested name (RFC 6066 section 3, wildcards by RFC 6125 section 6.4.3).

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Certificate;

/// The certificates of one listener by name. The table is replaced as a whole, and read without a lock.
#[derive(Debug)]
pub(super) struct Resolver(ArcSwap<Table>);

impl Resolver {
    pub(super) fn new<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> Self {
        Self(ArcSwap::from_pointee(Table::new(certificates)))
    }

    pub(super) fn replace<'a>(&self, certificates: impl Iterator<Item = &'a Certificate>) {
        self.0.store(Arc::new(Table::new(certificates)));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().find(hello.server_name(), hello.signature_schemes()).cloned()
    }
}

/// Certificates in the order of the configuration. Of those with the same name, the first one whose signature the
/// client can verify is chosen, so a name may have an RSA and an ECDSA certificate.
#[derive(Debug, Default)]
struct Table {
    all: Vec<Arc<CertifiedKey>>,
    /// By name.
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By the part after `*.`, which stands for exactly one label.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

impl Table {
    fn new<'a>(certificates: impl Iterator<Item = &'a Certificate>) -> Self {
        let mut table = Self::default();
        for certificate in certificates {
            table.all.push(certificate.key.clone());
            for name in &certificate.names {
                let entry = match name.strip_prefix("*.") {
                    Some(parent) => table.wildcard.entry(parent.into()),
                    None => table.exact.entry(name.as_str().into()),
                };
                entry.or_default().push(certificate.key.clone());
            }
        }
        table
    }

    /// Returns the certificate for `name`, which rustls guarantees to be lower case. All certificates are candidates if
    /// the name is unknown or missing.
    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let exact = name.and_then(|name| self.exact.get(name));
        let named = exact.or_else(|| self.wildcard.get(name?.split_once('.')?.1)).unwrap_or(&self.all);
        named.iter().find(|key| key.key.choose_scheme(schemes).is_some()).or(named.first())
    }
}
