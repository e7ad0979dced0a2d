//! The settings of a check, from the flags of `edge dns`.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use net::pem;
use rustls::pki_types::CertificateDer;

use crate::{
    config::{
        address,
        flags::Lookup,
        problem::{ConfigError, Place, Problem},
        value::{self, Parsed},
    },
    dns_check::facts::Ports,
};

/// The settings of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCheck {
    /// The name, without a final dot.
    pub name: String,
    /// Whether to query the name servers of this machine. Default yes.
    pub system: bool,
    /// Additional name servers to query. Default none.
    pub resolvers: Vec<SocketAddr>,
    /// The ports that edges serve on. Default 80 and 443.
    pub ports: Ports,
    /// Certificate authorities to trust in addition to those of this machine. Default none.
    pub roots: Vec<CertificateDer<'static>>,
    /// The time limit for all queries to a resolver, for a connection, and for the response on it. Default 5 s.
    pub timeout: Duration,
    /// Whether to print the report as JSON. Default no.
    pub json: bool,
}

impl NameCheck {
    /// Parses the flags of `edge dns`. Reads the file of certificate authorities.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem.
    pub fn new(lookup: &Lookup) -> Result<Self, ConfigError> {
        let (flags, reader) = (&lookup.flags, lookup.reader());
        let name = address::name_to_look_up(&flags.name).map_err(|message| {
            // The reader knows only flags.
            reader.extend([Problem { place: Place::Flag("NAME".to_owned()), message }]);
        });
        let boolean = |flag, text: Option<&str>| reader.one(flag, text, value::boolean).unwrap_or_default();
        let port = |flag, text: Option<&str>, default| reader.one(flag, text, port).unwrap_or(Some(default));
        let mut resolvers: Vec<SocketAddr> = Vec::new();
        for resolver in reader.many("resolver", &flags.resolver, address::name_server) {
            if !resolvers.contains(&resolver) {
                resolvers.push(resolver);
            }
        }
        let check = Self {
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
        if !check.system && check.resolvers.is_empty() {
            reader.problem(
                "no-system",
                "leaves no name server to query: add one with --resolver, or leave this flag out",
            );
        }
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(check) } else { Err(ConfigError::Invalid(problems)) }
    }
}

fn port(text: &str) -> Parsed<Option<u16>> {
    if text == "off" {
        return Ok(None);
    }
    value::number(text, 10, 1, u16::MAX).map(Some).map_err(|error| format!("{error}, or \"off\""))
}

fn timeout(text: &str) -> Parsed<Duration> {
    const MAX: Duration = Duration::from_secs(60);
    value::duration(text).and_then(|timeout| {
        if timeout > MAX { Err(format!("{text:?} is too long: write at most \"1min\"")) } else { Ok(timeout) }
    })
}

fn authorities(text: &str) -> Parsed<Vec<CertificateDer<'static>>> {
    let path = Path::new(text);
    let file = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    pem::certificates(&file).map_err(|fault| format!("{} {fault}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs};

    use super::*;
    use crate::config::flags::{self, Command};

    /// Parses a command line and an environment.
    fn check(args: &str, environment: &[(&str, &str)]) -> Result<NameCheck, ConfigError> {
        let args = ["edge", "dns"].into_iter().chain(args.split_whitespace()).map(OsString::from);
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        match flags::parse(args, environment) {
            Ok(Command::Dns(lookup)) => NameCheck::new(&lookup),
            other => panic!("{other:?}"),
        }
    }

    /// The flags of `edge dns`, without their dashes.
    fn dns_flags() -> Vec<String> {
        let command = flags::command();
        let arguments = command.find_subcommand("dns").unwrap().get_arguments();
        arguments.filter_map(clap::Arg::get_long).map(str::to_owned).collect()
    }

    fn variable(flag: &str) -> String {
        format!("EDGE_{}", flag.replace('-', "_").to_ascii_uppercase())
    }

    #[test]
    fn flags_and_variables_set_every_setting() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert;
        fs::write(&ca, authority.pem()).unwrap();
        let flags = [
            ("resolver", "192.0.2.53,192.0.2.54:5353 192.0.2.53"),
            ("no-system", "yes"),
            ("http-port", "8080"),
            ("https-port", "off"),
            ("ca", ca.to_str().unwrap()),
            ("timeout", "2s"),
            ("json", "true"),
        ];
        let expected = NameCheck {
            name: "www.example.com".to_owned(),
            system: false,
            resolvers: vec!["192.0.2.53:53".parse().unwrap(), "192.0.2.54:5353".parse().unwrap()],
            ports: Ports { http: Some(8080), https: None },
            roots: vec![authority.der().clone()],
            timeout: Duration::from_secs(2),
            json: true,
        };
        let variables: Vec<_> = flags.iter().map(|(flag, value)| (variable(flag), *value)).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(check("WWW.Example.com.", &variables).unwrap(), expected);
        let args: Vec<_> = flags.iter().map(|(flag, value)| format!("--{flag}={}", value.replace(' ', ","))).collect();
        assert_eq!(check(&format!("www.example.com {}", args.join(" ")), &[]).unwrap(), expected);
        assert!(dns_flags().iter().all(|flag| flags.iter().any(|(tested, _)| tested == flag)));

        let default = check("www.example.com", &[]).unwrap();
        assert_eq!((default.system, default.ports), (true, Ports { http: Some(80), https: Some(443) }));
    }
}
