use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use net::tls::AnyCertificate;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConnection, SignatureScheme, SupportedProtocolVersion,
    client::{ClientConnection, Resumption},
    pki_types::{CertificateDer, ServerName},
};

use super::*;

const NOW: SystemTime = UNIX_EPOCH;

/// Both sides after a handshake in memory.
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

/// A client that takes any certificate whose signature fits; which one it got is what tests look at.
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

fn refusal(certificates: &[CertificateFiles]) -> TlsError {
    TlsListener::new(&Tls { certificates: certificates.to_vec(), self_signed: Vec::new() }, NOW).unwrap_err()
}

#[test]
fn an_exact_name_beats_a_wildcard_and_the_first_certificate_answers_unknown_names() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[
        write(directory.path(), "first", &["first.test"]),
        write(directory.path(), "wild", &["*.example.test"]),
        write(directory.path(), "exact", &["www.example.test"]),
    ]);
    let client = client(&[&TLS13]);
    for (asked, got) in [
        ("www.example.test", "www.example.test"),
        ("WWW.example.test", "www.example.test"),
        ("api.example.test", "*.example.test"),
        ("a.b.example.test", "first.test"),
        ("example.test", "first.test"),
        ("unknown.test", "first.test"),
        ("192.0.2.1", "first.test"),
    ] {
        assert_eq!(connect(&listener, &client, asked).names(), [format!("DNSName({got})")], "{asked}");
    }
}

#[test]
fn h2_is_preferred_and_both_versions_are_spoken() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["a.test"])]);
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let connected = connect(&listener, &client(&[version]), "a.test");
        assert_eq!(connected.client.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(format!("{:?}", connected.server.protocol_version().unwrap()), name);
    }
}

#[test]
fn a_client_resumes_also_after_its_certificate_was_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["a.test"])]);
    for version in [&TLS12, &TLS13] {
        let client = client(&[version]);
        let kind = |connected: Connected| connected.server.handshake_kind().unwrap();
        assert_ne!(kind(connect(&listener, &client, "a.test")), HandshakeKind::Resumed);
        assert_eq!(kind(connect(&listener, &client, "a.test")), HandshakeKind::Resumed);
        write(directory.path(), "a", &["a.test"]);
        assert!(listener.reload_if_changed()[0].result.is_ok());
        assert_eq!(kind(connect(&listener, &client, "a.test")), HandshakeKind::Resumed);
    }
}

#[test]
fn new_files_are_presented_without_a_new_server_config() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["old.test"])]);
    let before = listener.server_config();
    assert!(listener.reload_if_changed().is_empty());

    write(directory.path(), "a", &["new.test"]);
    let outcomes = listener.reload_if_changed();
    assert!(outcomes[0].to_string().ends_with("a.crt for new.test"), "{}", outcomes[0]);
    assert!(listener.reload_if_changed().is_empty());
    assert!(Arc::ptr_eq(&before, &listener.server_config()));
    let connected = connect(&listener, &client(&[&TLS13]), "new.test");
    assert_eq!(connected.names(), ["DNSName(new.test)"]);
    assert_eq!(listener.certificates()[0].names, ["new.test"]);
}

#[test]
fn a_swap_of_a_link_above_the_files_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    for (version, name) in [("v1", "one.test"), ("v2", "two.test")] {
        fs::create_dir(directory.path().join(version)).unwrap();
        write(&directory.path().join(version), "tls", &[name]);
    }
    let current = directory.path().join("current");
    symlink("v1", &current).unwrap();
    let listener = listener(&[files(&current, "tls")]);
    symlink("v2", directory.path().join("next")).unwrap();
    fs::rename(directory.path().join("next"), &current).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_ok());
    assert_eq!(listener.certificates()[0].names, ["two.test"]);
}

#[test]
fn a_pair_that_does_not_match_keeps_the_old_one_and_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let pair = write(directory.path(), "a", &["old.test"]);
    let listener = listener(std::slice::from_ref(&pair));
    let (certificate, key) = issue(&["new.test"]);

    fs::write(&pair.certificate, &certificate).unwrap();
    let outcomes = listener.reload_if_changed();
    assert!(matches!(outcomes[0].result, Err(TlsError::Mismatch { .. })), "{outcomes:?}");
    assert!(listener.reload_if_changed().is_empty());
    assert_eq!(connect(&listener, &client(&[&TLS13]), "new.test").names(), ["DNSName(old.test)"]);
    assert!(listener.certificates()[0].problem.as_ref().unwrap().contains("does not belong"));

    fs::write(&pair.key, key).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_ok());
    assert_eq!(listener.certificates()[0].problem, None);
}

#[test]
fn a_half_written_or_missing_file_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let pair = write(directory.path(), "a", &["a.test"]);
    let listener = listener(std::slice::from_ref(&pair));
    let whole = fs::read_to_string(&pair.certificate).unwrap();

    fs::write(&pair.certificate, &whole[..whole.len() / 2]).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_err());
    fs::remove_file(&pair.certificate).unwrap();
    let outcomes = listener.reload_if_changed();
    assert!(matches!(outcomes[0].result, Err(TlsError::Read { .. })), "{outcomes:?}");
    assert!(listener.reload_if_changed().is_empty());
    assert_eq!(listener.certificates()[0].names, ["a.test"]);
}

#[test]
fn other_certificates_of_a_new_configuration_are_presented_unless_one_is_bad() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["a.test"])]);
    let other = Tls { certificates: vec![write(directory.path(), "b", &["b.test"])], self_signed: Vec::new() };
    listener.reconfigure(&other, NOW).unwrap();
    assert_eq!(listener.certificates()[0].names, ["b.test"]);

    let missing = Tls { certificates: vec![files(directory.path(), "none")], self_signed: Vec::new() };
    listener.reconfigure(&missing, NOW).unwrap_err();
    assert_eq!(listener.certificates()[0].names, ["b.test"]);
}

#[test]
fn without_files_a_certificate_for_the_given_names_is_made() {
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
fn a_client_that_trusts_the_self_signed_certificate_accepts_it() {
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
fn of_two_certificates_for_one_name_the_client_gets_the_one_it_can_verify() {
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
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(directory.path(), "good", &["a.test"]);
    let other = write(directory.path(), "other", &["b.test"]);

    let missing = files(directory.path(), "missing");
    let error = refusal(&[good.clone(), missing]).to_string();
    assert!(error.contains("missing.crt: No such file"), "{error}");

    let swapped = CertificateFiles { certificate: good.key.clone(), key: good.certificate.clone() };
    let error = refusal(&[swapped]).to_string();
    assert!(error.contains("good.key: no PEM block `CERTIFICATE`"), "{error}");

    let no_key = CertificateFiles { certificate: good.certificate.clone(), key: good.certificate.clone() };
    let error = refusal(&[no_key]).to_string();
    assert!(error.contains("good.crt: no PEM block `PRIVATE KEY`"), "{error}");

    let mixed = CertificateFiles { certificate: good.certificate.clone(), key: other.key };
    let error = refusal(&[mixed]).to_string();
    assert!(error.contains("other.key does not belong") && error.contains("good.crt"), "{error}");

    let folder = CertificateFiles { certificate: directory.path().to_owned(), key: good.key.clone() };
    let error = refusal(&[folder]).to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_certificate_out_of_its_dates_is_presented_with_a_warning() {
    let info = |not_before, not_after| CertificateInfo {
        file: Some(PathBuf::from("a.crt")),
        names: vec!["a.test".to_owned()],
        not_before: UNIX_EPOCH + Duration::from_secs(not_before),
        not_after: UNIX_EPOCH + Duration::from_secs(not_after),
        problem: None,
    };
    let now = UNIX_EPOCH + Duration::from_secs(100);
    assert_eq!(info(50, 150).warning(now), None);
    assert!(info(50, 99).warning(now).unwrap().contains("expired"));
    assert!(info(101, 150).warning(now).unwrap().contains("not valid yet"));
}
