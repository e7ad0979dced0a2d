//! The event stream over a real connection.

use std::net::SocketAddr;

use serde_json::Value;
use tests::client::raw::Raw;
use tests::recorded::Recorded;
use tests::wait::{SOON, eventually};

use super::{Watch, entries, entry};

/// A client of the event stream.
pub(super) struct Stream {
    connection: Raw,
}

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) data: Value,
}

impl Stream {
    pub(super) async fn open(address: SocketAddr, last: Option<&str>) -> Self {
        let mut connection = Raw::open(address).await;
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        // HTTP/1.0, so that the body is not chunked.
        connection.send(format!("GET /api/events HTTP/1.0\r\nHost: watch\r\n{last}\r\n").as_bytes()).await;
        let head = connection.until("\r\n\r\n").await;
        assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
        Self { connection }
    }

    /// Returns the next event called `name`, skipping others.
    pub(super) async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.connection.until("\n\n").await;
            let field = |field: &str| {
                event.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": ")).unwrap_or_default()
            };
            if field("event") == name {
                let data = serde_json::from_str(field("data")).unwrap();
                return Event { id: field("id").to_owned(), data };
            }
        }
    }
}

#[tokio::test]
async fn changes_are_sent_to_clients_and_missed_ones_after_a_reconnect() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &[]).await;
    watch.until("a cluster state", |cluster| entries(cluster, "tasks").count() > 5).await;
    let mut stream = Stream::open(watch.address, None).await;
    let snapshot = stream.until("snapshot").await;
    assert_eq!(entries(&snapshot.data, "nodes").count(), 3);

    engine.set("down");
    engine.send_event();
    let delta = loop {
        let delta = stream.until("delta").await;
        if delta.data["nodes"].is_object() {
            break delta;
        }
    };
    assert_eq!(entry(&delta.data, "nodes", "hostname", "serveur19")["state"], "down");
    let texts: Vec<&str> =
        delta.data["timeline"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.starts_with("serveur19 is down")), "{texts:?}");

    let mut again = Stream::open(watch.address, Some(&snapshot.id)).await;
    let missed = loop {
        let delta = again.until("delta").await;
        if delta.data["nodes"].is_object() {
            break delta;
        }
    };
    assert_eq!(missed.data["nodes"], delta.data["nodes"]);
    let mut elsewhere = Stream::open(watch.address, Some("0000000000000000-7")).await;
    assert_eq!(entries(&elsewhere.until("snapshot").await.data, "nodes").count(), 3);
    again.until("beat").await;
}

#[tokio::test]
async fn without_a_quorum_the_last_state_is_kept_with_the_error() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &["--fresh", "2s"]).await;
    let before = watch.until("a cluster state", |cluster| entries(cluster, "tasks").count() > 5).await;
    assert_eq!(watch.get("/readyz").await.status, 200);
    engine.set("lost");
    let lost = watch.until("the loss", |cluster| cluster["quorum"]["lost"] == true).await;
    assert_eq!(lost["source"]["error"], "the swarm has no leader: too few managers are reachable");
    assert!(lost["source"]["failing_since"].as_i64().unwrap() >= lost["source"]["at"].as_i64().unwrap());
    for map in ["services", "tasks"] {
        assert_eq!(lost[map], before[map], "{map}");
    }
    assert_eq!(entries(&lost, "nodes").filter(|node| node["state"] == "ready").count(), 3);
    assert_eq!(lost["quorum"]["managers"], 3);
    eventually("failed readiness", SOON, async || watch.get("/readyz").await.status == 503).await;
    assert_eq!(watch.get("/api/nodes").await.status, 503);
    assert_eq!(watch.get("/healthz").await.status, 200);
    engine.set("steady");
    let again = watch.until("a new cluster state", |cluster| cluster["source"]["error"].is_null()).await;
    assert_eq!(again["quorum"]["lost"], false);
    eventually("readiness", SOON, async || watch.get("/readyz").await.status == 200).await;
}
