use std::{fs, os::unix::fs::symlink, sync::Arc};

use rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};

use super::{Connected, NOW, client, connect, files, issue, listener, write};
use crate::{
    config::Tls,
    downstream::tls::{TlsError, TlsListener},
};

#[test]
fn client_resumes_its_session_after_a_renewal() {
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
fn new_certificate_is_presented_without_a_new_server_config() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["old.test"])]);
    let before = listener.server_config();
    assert!(listener.reload_if_changed().is_empty());

    write(directory.path(), "a", &["new.test"]);
    let reloads = listener.reload_if_changed();
    assert!(reloads[0].to_string().ends_with("a.crt for new.test"), "{}", reloads[0]);
    assert!(listener.reload_if_changed().is_empty());
    assert!(Arc::ptr_eq(&before, &listener.server_config()));
    let connected = connect(&listener, &client(&[&TLS13]), "new.test");
    assert_eq!(connected.names(), ["DNSName(new.test)"]);
    assert_eq!(listener.certificates()[0].names, ["new.test"]);
}

#[test]
fn replaced_link_to_the_folder_is_noticed() {
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
fn mismatched_pair_keeps_the_old_certificate_and_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let pair = write(directory.path(), "a", &["old.test"]);
    let listener = listener(std::slice::from_ref(&pair));
    let (certificate, key) = issue(&["new.test"]);

    fs::write(&pair.certificate, &certificate).unwrap();
    let reloads = listener.reload_if_changed();
    assert!(matches!(reloads[0].result, Err(TlsError::Mismatch { .. })), "{reloads:?}");
    assert!(listener.reload_if_changed().is_empty());
    assert_eq!(connect(&listener, &client(&[&TLS13]), "new.test").names(), ["DNSName(old.test)"]);
    assert!(listener.certificates()[0].problem.as_ref().unwrap().contains("does not belong"));

    fs::write(&pair.key, key).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_ok());
    assert_eq!(listener.certificates()[0].problem, None);
}

#[test]
fn half_written_or_missing_file_keeps_the_old_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let pair = write(directory.path(), "a", &["a.test"]);
    let listener = listener(std::slice::from_ref(&pair));
    let whole = fs::read_to_string(&pair.certificate).unwrap();

    fs::write(&pair.certificate, &whole[..whole.len() / 2]).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_err());
    fs::remove_file(&pair.certificate).unwrap();
    let reloads = listener.reload_if_changed();
    assert!(matches!(reloads[0].result, Err(TlsError::Read { .. })), "{reloads:?}");
    assert!(listener.reload_if_changed().is_empty());
    assert_eq!(listener.certificates()[0].names, ["a.test"]);
}

#[test]
fn blank_files_stand_for_a_certificate_to_come() {
    let directory = tempfile::tempdir().unwrap();
    let pair = files(directory.path(), "a");
    fs::write(&pair.certificate, "# none yet\n").unwrap();
    fs::write(&pair.key, "").unwrap();
    let names = vec!["edge.test".to_owned()];
    let tls = Tls { certificates: vec![pair.clone()], self_signed: names.clone() };
    let listener = TlsListener::new(&tls, NOW).unwrap();
    let info = || listener.certificates().remove(0);
    assert_eq!((info().file, info().names), (None, names));
    assert!(info().warning(NOW).unwrap().contains("self-signed"));

    fs::write(&pair.certificate, "\n").unwrap();
    assert!(listener.reload_if_changed().is_empty(), "still blank");
    let (certificate, key) = issue(&["a.test"]);
    fs::write(&pair.certificate, certificate).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_err(), "the key is missing");
    assert_eq!(info().names, ["edge.test"]);
    fs::write(&pair.key, key).unwrap();
    assert!(listener.reload_if_changed()[0].result.is_ok());
    assert_eq!((info().file, info().names), (Some(pair.certificate.clone()), vec!["a.test".to_owned()]));

    fs::write(&pair.certificate, "").unwrap();
    fs::write(&pair.key, "").unwrap();
    let reload = listener.reload_if_changed().remove(0);
    assert!(reload.result.unwrap_err().to_string().ends_with("is empty"));
    assert!(listener.reconfigure(&tls, NOW).unwrap_err().to_string().ends_with("is empty"));
    assert_eq!(info().names, ["a.test"], "a certificate is never given up");
}

#[test]
fn reconfiguration_replaces_the_certificates_unless_one_is_not_usable() {
    let directory = tempfile::tempdir().unwrap();
    let listener = listener(&[write(directory.path(), "a", &["a.test"])]);
    let other = Tls { certificates: vec![write(directory.path(), "b", &["b.test"])], self_signed: Vec::new() };
    listener.reconfigure(&other, NOW).unwrap();
    assert_eq!(listener.certificates()[0].names, ["b.test"]);

    let missing = Tls { certificates: vec![files(directory.path(), "none")], self_signed: Vec::new() };
    listener.reconfigure(&missing, NOW).unwrap_err();
    assert_eq!(listener.certificates()[0].names, ["b.test"]);
}
