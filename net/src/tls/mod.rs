//! TLS for clients: which servers they trust, and how they examine certificates.

mod any_certificate;
mod authorities;
mod trust;

pub use self::{
    any_certificate::AnyCertificate,
    authorities::{AuthorityError, AuthorityFault, authorities, read_authorities},
    trust::{client_config, is_of_authority, system_roots},
};
