//! Handshakes in memory, and certificates that cannot be loaded.

mod reload;

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use net::tls::AnyCertificate;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConnection, SignatureScheme, SupportedProtocolVersion,
    client::{ClientConnection, Resumption},
    pki_types::{CertificateDer, ServerName},
};

use super::*;

const NOW: SystemTime = UNIX_EPOCH;

/// The client and the server after a handshake in memory.
struct Connected {
    client: ClientConnection,
    server: ServerConnection,
}

impl Connected {
    fn certificate(&self) -> &CertificateDer<'static> {
        &self.client.peer_certificates().unwrap()[0]
    }

    fn names(&self) -> Vec<String> {
        let (_, parsed) = x509_parser::parse_x509_certificate(self.certificate()).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        names.value.general_names.iter().map(ToString::to_string).collect()
    }
}

fn connect(listener: &TlsListener, config: &Arc<ClientConfig>, name: &'static str) -> Connected {
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(config.clone(), name).unwrap();
    let mut server = ServerConnection::new(listener.server_config()).unwrap();
    for _ in 0..10 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Connected { client, server }
}

/// A client that accepts any certificate if the server has its key. Tests inspect which one it received.
fn client(versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let schemes = aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes();
    client_with(versions, &schemes)
}

fn client_with(versions: &[&'static SupportedProtocolVersion], schemes: &[SignatureScheme]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider).with_schemes(schemes)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(16);
    Arc::new(config)
}

fn issue(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn write(directory: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
    let (certificate, key) = issue(names);
    let files = files(directory, stem);
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    files
}

fn files(directory: &Path, stem: &str) -> CertificateFiles {
    CertificateFiles { certificate: directory.join(format!("{stem}.crt")), key: directory.join(format!("{stem}.key")) }
}

fn listener(certificates: &[CertificateFiles]) -> TlsListener {
    let tls = Tls { certificates: certificates.to_vec(), self_signed: Vec::new() };
    TlsListener::new(&tls, NOW).unwrap()
}

fn load_error(certificates: &[CertificateFiles]) -> TlsError {
    TlsListener::new(&Tls { certificates: certificates.to_vec(), self_signed: Vec::new() }, NOW).unwrap_err()
}

#[test]
fn exact_name_wins_over_wildcard_and_first_certificate_is_for_unknown_names() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[
        write(directory.path(), "first", &["first.test"]),
        write(directory.path(), "wild", &["*.example.test"]),
        write(directory.path(), "exact", &["www.example.test"]),
    ]);
    let client = client(&[&TLS13]);
    for (requested, presented) in [
        ("www.example.test", "www.example.test"),
        ("WWW.example.test", "www.example.test"),
        ("api.example.test", "*.example.test"),
        ("a.b.example.test", "first.test"),
        ("example.test", "first.test"),
        ("unknown.test", "first.test"),
        ("192.0.2.1", "first.test"),
    ] {
        assert_eq!(connect(&listener, &client, requested).names(), [format!("DNSName({presented})")], "{requested}");
    }
}

#[test]
fn h2_is_preferred_and_both_tls_versions_are_supported() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["a.test"])]);
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let connected = connect(&listener, &client(&[version]), "a.test");
        assert_eq!(connected.client.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(format!("{:?}", connected.server.protocol_version().unwrap()), name);
    }
}

#[test]
fn self_signed_certificate_is_for_the_configured_names() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let names = ["edge.test".to_owned(), "192.0.2.7".to_owned()];
    let listener = TlsListener::new(&Tls { certificates: Vec::new(), self_signed: names.to_vec() }, now).unwrap();
    let info = &listener.certificates()[0];
    assert_eq!(info.names, names);
    assert_eq!(info.not_before, now - Duration::from_secs(86_400));
    assert!(info.warning(now).unwrap().contains("self-signed"));
    assert!(listener.reload_if_changed().is_empty());
    connect(&listener, &client(&[&TLS13]), "edge.test");

    let default = TlsListener::new(&Tls::default(), now).unwrap();
    assert_eq!(default.certificates()[0].names, ["localhost"]);
    let bad = Tls { certificates: Vec::new(), self_signed: vec!["münchen.test".to_owned()] };
    let error = TlsListener::new(&bad, now).unwrap_err().to_string();
    assert!(error.contains("münchen.test"), "{error}");
}

#[test]
fn client_that_trusts_the_self_signed_certificate_accepts_it() {
    let listener = TlsListener::new(&Tls::default(), SystemTime::now()).unwrap();
    let connected = connect(&listener, &client(&[&TLS13]), "localhost");
    let mut roots = RootCertStore::empty();
    roots.add(connected.certificate().clone()).unwrap();
    let strict = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    connect(&listener, &Arc::new(strict), "localhost");
}

#[test]
fn client_gets_the_certificate_whose_signature_it_can_verify() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let names = vec!["a.test".to_owned(), "ed25519.test".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let first = files(directory.path(), "ed25519");
    fs::write(&first.certificate, certificate.pem()).unwrap();
    fs::write(&first.key, key.serialize_pem()).unwrap();
    let listener = listener(&[first, write(directory.path(), "p256", &["a.test"])]);

    let all = connect(&listener, &client(&[&TLS13]), "a.test");
    assert_eq!(all.names(), ["DNSName(a.test)", "DNSName(ed25519.test)"]);
    let p256 = connect(&listener, &client_with(&[&TLS13], &[SignatureScheme::ECDSA_NISTP256_SHA256]), "a.test");
    assert_eq!(p256.names(), ["DNSName(a.test)"]);
}

#[test]
fn errors_name_the_file_and_the_cause() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(directory.path(), "good", &["a.test"]);
    let other = write(directory.path(), "other", &["b.test"]);

    let missing = files(directory.path(), "missing");
    let error = load_error(&[good.clone(), missing]).to_string();
    assert!(error.contains("missing.crt: No such file"), "{error}");

    let swapped = CertificateFiles { certificate: good.key.clone(), key: good.certificate.clone() };
    let error = load_error(&[swapped]).to_string();
    assert!(error.contains("good.key has no PEM block `CERTIFICATE`"), "{error}");

    let no_key = CertificateFiles { certificate: good.certificate.clone(), key: good.certificate.clone() };
    let error = load_error(&[no_key]).to_string();
    assert!(error.contains("good.crt has no PEM block `PRIVATE KEY`"), "{error}");

    let mixed = CertificateFiles { certificate: good.certificate.clone(), key: other.key };
    let error = load_error(&[mixed]).to_string();
    assert!(error.contains("other.key does not belong") && error.contains("good.crt"), "{error}");

    let folder = CertificateFiles { certificate: directory.path().to_owned(), key: good.key.clone() };
    let error = load_error(&[folder]).to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn unusable_certificate_is_identified() {
    let directory = tempfile::tempdir().unwrap();
    let pair = files(directory.path(), "a");
    fs::write(&pair.key, issue(&["a.test"]).1).unwrap();
    let error_of = |certificate: &str| {
        fs::write(&pair.certificate, certificate).unwrap();
        load_error(std::slice::from_ref(&pair)).to_string()
    };
    let error = error_of(include_str!("rsa1024.pem"));
    assert!(error.contains("a.crt is for an RSA key of 1024 bits"), "{error}");
    let error = error_of(include_str!("secp256k1.pem"));
    assert!(error.contains("a.crt is for a key on an unsupported curve"), "{error}");
    let error = error_of("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    assert!(error.ends_with("a.crt has a malformed certificate"), "{error}");
}

#[test]
fn chain_with_a_gap_has_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let authority = |name: &str, issuer: Option<&Issuer<'_, KeyPair>>| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        (certificate.unwrap().pem(), Issuer::new(params, key))
    };
    let (root, root_issuer) = authority("root", None);
    let (intermediate, issuer) = authority("intermediate", Some(&root_issuer));
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap().pem();
    for (chain, expected) in [
        (vec![&leaf], Some("no chain")),
        (vec![&leaf, &root], Some("a gap")),
        (vec![&leaf, &root, &intermediate], Some("a gap")),
        (vec![&leaf, &intermediate], None),
        (vec![&leaf, &intermediate, &root], None),
    ] {
        let pair = files(directory.path(), "a");
        fs::write(&pair.certificate, chain.iter().map(|pem| pem.as_str()).collect::<String>()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        let warning = listener(&[pair]).certificates()[0].warning(SystemTime::now());
        assert_eq!(warning.is_some(), expected.is_some(), "{warning:?}, not {expected:?}");
        assert!(expected.is_none_or(|expected| warning.unwrap().contains(expected)), "{warning:?}");
    }
}

/// Applies every kind of damage that was ever found, and more, to every file. Messages must contain only our own text.
#[test]
fn no_error_quotes_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(directory.path(), "good", &["a.test"]);
    let key = fs::read_to_string(&good.key).unwrap();
    let certificate = fs::read_to_string(&good.certificate).unwrap();
    let secret: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = files(directory.path(), "bad");
    let mut errors = 0;
    for (which, whole) in [("key", &key), ("certificate", &certificate), ("both", &format!("{certificate}{key}"))] {
        let half = whole.len() / 2;
        let mut forms = vec![
            whole.replace('\n', ""),
            whole.replace('\n', " "),
            whole.replace('\n', "\\n"),
            whole.replace("-----\n", "-----"),
            whole.replace("\n-----END", "-----END"),
            whole.replace('-', ""),
            whole.replace("-----", "----"),
            whole.replace("KEY-----", "KEY----"),
            whole.replace('\n', "\n "),
            whole.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            whole.replace("PRIVATE KEY", "EC PRIVATE KEY"),
            whole.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            whole.replace("PRIVATE", "SECRET"),
            whole.replace("=", "*"),
            whole.replace("END", "BEGIN"),
            whole.lines().filter(|line| !line.starts_with("-----")).collect(),
            format!("\u{feff}{whole}"),
            whole[..half].to_owned(),
            whole[half..].to_owned(),
        ];
        forms.extend((0..20).map(|seed| {
            let at = whole.len() * seed / 20;
            format!("{}{}{}", &whole[..at], "\0!*", &whole[at..])
        }));
        forms.extend((1..12).map(|cut| whole[..whole.len() - cut].to_owned()));
        for form in forms {
            fs::write(&pair.key, if which == "certificate" { &key } else { &form }).unwrap();
            fs::write(&pair.certificate, if which == "key" { &certificate } else { &form }).unwrap();
            let loaded = TlsListener::new(&Tls { certificates: vec![pair.clone()], self_signed: Vec::new() }, NOW);
            let Err(error) = loaded else { continue };
            errors += 1;
            for text in [error.to_string(), format!("{error:?}")] {
                let quotes = |part: &[u8]| text.contains(str::from_utf8(part).unwrap());
                assert!(!secret.as_bytes().windows(8).any(quotes), "{text}");
                // The bytes in decimal, as `Debug` has them.
                assert!(!text.contains("[45, ") && !text.contains(", 45, 45"), "{text}");
            }
        }
    }
    assert!(errors > 100, "only {errors} forms were refused");
}

#[test]
fn certificate_that_is_not_valid_now_has_a_warning() {
    let info = |not_before, not_after| CertificateInfo {
        file: Some(PathBuf::from("a.crt")),
        names: vec!["a.test".to_owned()],
        not_before: UNIX_EPOCH + Duration::from_secs(not_before),
        not_after: UNIX_EPOCH + Duration::from_secs(not_after),
        problem: None,
        chain_warning: None,
    };
    let now = UNIX_EPOCH + Duration::from_secs(100);
    assert_eq!(info(50, 1_000_000).warning(now), None);
    assert!(info(50, 150).warning(now).unwrap().contains("within a week"));
    assert!(info(50, 99).warning(now).unwrap().contains("expired"));
    assert!(info(101, 150).warning(now).unwrap().contains("not valid yet"));
}
