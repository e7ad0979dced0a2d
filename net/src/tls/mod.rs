//! TLS for clients: which servers they trust, and how they examine certificates.

mod any_certificate;
mod trust;

pub use self::{
    any_certificate::AnyCertificate,
    trust::{client_config, is_of_authority, system_roots},
};
