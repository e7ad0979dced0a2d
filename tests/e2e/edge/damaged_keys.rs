//! A reload with a damaged key: no piece of it is in the log or on the status pages, and the old one stays in use.

use tests::client::get;

use super::Edge;
use crate::secrets::Key;
use crate::secrets::damage::damages;

#[tokio::test]
async fn reload_with_a_damaged_key_displays_no_piece_of_it() {
    let (good, other) = (Key::new(), Key::new());
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let put = |pair: &Key| {
        std::fs::write(&chain, &pair.chain).unwrap();
        std::fs::write(&key, &pair.key).unwrap();
    };
    put(&good);
    let config = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
         certificates = [{{ certificate = {chain:?}, key = {key:?} }}]\n\
         [pool.web]\nendpoints = \"127.0.0.1:1\"\nhealth = false\n"
    );
    let mut edge = Edge::start(&config).await;
    let pieces = [good.pieces(), other.pieces()];
    for damage in damages() {
        put(&other);
        std::fs::remove_file(&key).unwrap();
        damage.put(&other.key, &key);
        let outcome = edge.reload(&config).await;
        let mut displayed = outcome.clone();
        for path in ["/", "/status.json"] {
            displayed += &get(edge.admin, path).await.unwrap().text();
        }
        for pieces in &pieces {
            assert_eq!(pieces.find(&displayed), None, "{}: {displayed}", damage.name);
        }
        // There may be nothing.
        drop(if key.is_dir() { std::fs::remove_dir(&key) } else { std::fs::remove_file(&key) });
    }
    let log = edge.process.lines().join("\n");
    assert!(log.contains("configuration stays"), "{log}");
    for pieces in &pieces {
        assert_eq!(pieces.find(&log), None, "{log}");
    }
    // It still takes a good one.
    put(&good);
    assert!(edge.reload(&config).await.contains("configuration is in use"));
}
