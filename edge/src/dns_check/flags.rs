//! From the flags of `edge dns` to what is to be found out.

use std::{cell::RefCell, net::SocketAddr, path::Path, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::config::flags::{Given, cli::DnsFlags, settings::Reader};
use crate::{
    config::{
        address,
        problem::{ConfigError, Place, Problem},
        value::{self, Parsed},
    },
    dns_check::facts::Ports,
};

/// The command line of `edge dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub(crate) flags: DnsFlags,
    pub(crate) given: Given,
}

/// What is to be found out about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCheck {
    /// The name, without a final dot.
    pub name: String,
    /// Whether the name servers of this machine are asked. Default yes.
    pub system: bool,
    /// Name servers beside them. Default none.
    pub resolvers: Vec<SocketAddr>,
    /// Where edges serve. Default 80 and 443.
    pub ports: Ports,
    /// Authorities that are trusted beside those of this machine. Default none.
    pub roots: Vec<CertificateDer<'static>>,
    /// For each question. Default 5 s.
    pub timeout: Duration,
    /// Whether the report is JSON. Default no.
    pub json: bool,
}

impl Lookup {
    /// What is to be found out. Reads the file of authorities.
    ///
    /// # Errors
    /// Something makes no sense; then all of it is told.
    pub fn wanted(&self) -> Result<NameCheck, ConfigError> {
        let Self { flags, given } = self;
        let reader = Reader { given, problems: RefCell::default() };
        let name = address::name_to_look_up(&flags.name).map_err(|message| {
            // It has no flag.
            reader.problems.borrow_mut().push(Problem { place: Place::Flag("NAME".to_owned()), message });
        });
        let boolean = |flag, text: Option<&str>| reader.one(flag, text, value::boolean).unwrap_or_default();
        let port = |flag, text: Option<&str>, default| reader.one(flag, text, port).unwrap_or(Some(default));
        let mut resolvers: Vec<SocketAddr> = Vec::new();
        for resolver in reader.many("resolver", &flags.resolver, address::name_server) {
            // Asking twice tells nothing new.
            if !resolvers.contains(&resolver) {
                resolvers.push(resolver);
            }
        }
        let wanted = NameCheck {
            name: name.unwrap_or_default(),
            system: !boolean("no-system", flags.no_system.as_deref()),
            resolvers,
            ports: Ports {
                http: port("http-port", flags.http_port.as_deref(), 80),
                https: port("https-port", flags.https_port.as_deref(), 443),
            },
            roots: reader.one("ca", flags.ca.as_deref(), authorities).unwrap_or_default(),
            timeout: reader.one("timeout", flags.timeout.as_deref(), timeout).unwrap_or(Duration::from_secs(5)),
            json: boolean("json", flags.json.as_deref()),
        };
        if !wanted.system && wanted.resolvers.is_empty() {
            reader.problem("no-system", "leaves nobody to ask: name a server with --resolver, or leave it out");
        }
        let problems = reader.problems.take();
        if problems.is_empty() { Ok(wanted) } else { Err(ConfigError::Invalid(problems)) }
    }
}

fn port(text: &str) -> Parsed<Option<u16>> {
    if text == "off" {
        return Ok(None);
    }
    value::number(text, 10, 1, u16::MAX).map(Some).map_err(|error| format!("{error}, or \"off\""))
}

/// Somebody waits for it.
fn timeout(text: &str) -> Parsed<Duration> {
    const MOST: Duration = Duration::from_secs(60);
    value::duration(text).and_then(|timeout| {
        if timeout > MOST { Err(format!("{text:?} is too long: write at most \"1min\"")) } else { Ok(timeout) }
    })
}

fn authorities(text: &str) -> Parsed<Vec<CertificateDer<'static>>> {
    let path = Path::new(text);
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: no PEM block `CERTIFICATE`", path.display()));
    }
    Ok(certificates)
}
