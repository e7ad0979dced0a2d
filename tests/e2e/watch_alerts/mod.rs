//! Alerts sent to real peers: a mail server, HTTP servers, Redis.

mod heartbeat;
mod instances;
mod mail;
mod settings;
mod sms;
mod webhooks;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use tests::cert::Certificate;
use watch::alert::channel::{Sender, senders};
use watch::alert::condition::Subject;
use watch::alert::notifier::{Failure, Item, Kind, Notification};
use watch::alert::{Settings, time};
use watch::cluster_state::Severity;

/// A folder for settings and the files that they name.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Adds a file. Settings can refer to it by name.
    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// Adds a copy of a file.
    fn copy(self, name: &str, from: &Path) -> Self {
        fs::copy(from, self.folder.path().join(name)).unwrap();
        self
    }

    fn settings(&self, text: &str) -> Settings {
        let path = self.folder.path().join("watch.toml");
        Settings::parse(&path, text).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Creates the only channel of these settings.
    fn sender(&self, text: &str) -> Arc<Sender> {
        let senders = senders(&self.settings(text)).unwrap();
        assert_eq!(senders.len(), 1);
        senders.into_values().next().unwrap()
    }
}

/// Writes the self-signed certificate of an authority that is also that of a server, as `openssl req -x509` creates it.
fn own_authority(folder: &Path, name: &str) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let (certificate, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let write = |end: &str, text: &str| {
        let path = folder.join(format!("{name}.{end}"));
        fs::write(&path, text).unwrap();
        path
    };
    Certificate {
        certificate_file: write("crt", &certificate),
        key_file: write("key", &key),
        combined_file: write("pem", &format!("{certificate}{key}")),
    }
}

fn notification(id: &str, kind: Kind, thread: Option<&str>) -> Notification {
    let now = time::now();
    let item = Item {
        fingerprint: "node_down/n2".into(),
        severity: Severity::Critical,
        summary: "serveur18 (10.10.25.166) is down: heartbeat failure".into(),
        end: (kind != Kind::Firing).then(|| "serveur18 (10.10.25.166) is up again after 20 s".to_owned()),
        subject: Subject { node: Some("n2".into()), node_name: Some("serveur18".into()), ..Subject::default() },
        since: now - 20_000,
        ended: (kind != Kind::Firing).then_some(now),
        thread: thread.map(Into::into),
    };
    Notification {
        id: id.into(),
        receiver: "x".into(),
        kind,
        rule: "node_down",
        items: vec![item],
        silent: false,
        failures: 0,
        recipients: Vec::new(),
    }
}

/// Creates the notification of an alert that begins.
fn firing() -> Notification {
    notification("n.1.0", Kind::Firing, None)
}

/// Asserts that sending fails, and that the failure contains none of the secrets.
async fn fails(sender: &Sender, secrets: &[&str]) -> Failure {
    let failure = sender.send(&firing()).await.unwrap_err();
    for secret in secrets {
        assert!(!format!("{failure:?}").contains(secret), "{failure:?}");
    }
    failure
}
