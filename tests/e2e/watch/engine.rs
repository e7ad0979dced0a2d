//! A real engine with a swarm of one node, which is changed, frozen, killed and restarted.

use http::header;
use serde_json::{Value, json};
use tests::client::{Connection, request};
use tests::dockerd::{self, Dockerd};
use tests::wait::{SOON, deadline, eventually, eventually_some};

use super::stream::Stream;
use super::{Watch, entries, entry};

/// Starts an engine. If that is not possible here, prints the reason and returns `None`.
#[expect(clippy::print_stderr, reason = "prints why the test was skipped")]
async fn engine() -> Option<Dockerd> {
    if let Some(why) = dockerd::obstacle() {
        eprintln!("SKIPPED: {why}");
        return None;
    }
    Some(Dockerd::start().await)
}

fn service<'a>(cluster: &'a Value, name: &str) -> &'a Value {
    entry(cluster, "services", "name", name)
}

fn runs(cluster: &Value, name: &str, tasks: u64) -> bool {
    let service = service(cluster, name);
    service["running"] == tasks && service["desired"] == tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_real_engine_are_shown() {
    let Some(mut engine) = engine().await else { return };
    let watch = Watch::start(&engine.url(), &["--fresh", "3s"]).await;

    // There is no swarm yet.
    let cluster =
        watch.until("the error of an engine without a swarm", |cluster| cluster["source"]["error"].is_string()).await;
    assert_eq!(cluster["source"]["error"], "this engine is not a swarm manager");
    assert_eq!(watch.get("/api/nodes").await.status, 503);
    engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1"]);
    let is_known = |cluster: &Value| cluster["source"]["error"].is_null() && cluster["source"]["leader"] == true;
    let cluster = watch.until("a swarm, and which node this is", is_known).await;
    let node = entries(&cluster, "nodes").next().unwrap();
    assert_eq!((&node["hostname"], &node["state"], &node["leader"]), (&json!("engine"), &json!("ready"), &json!(true)));
    assert_eq!(node["address"], "127.0.0.1");
    assert_eq!(cluster["quorum"], json!({"managers": 1, "reachable": 1, "lost": false}));

    // A service with a secret in every field that may hold one.
    let folder = tempfile::tempdir().unwrap();
    let program = dockerd::program(folder.path());
    for image in ["tiny:1", "tiny:2"] {
        engine.import(&program, image);
    }
    let mut stream = Stream::open(watch.address, None).await;
    stream.until("snapshot").await;
    let create = ["service", "create", "--quiet", "--detach", "--no-resolve-image", "--restart-delay", "500ms"];
    // Short periods for the update: the program ignores signals.
    let web = [
        "--stop-grace-period",
        "1s",
        "--update-monitor",
        "1s",
        "--name",
        "web",
        "--replicas",
        "2",
        "--env",
        "A=s3cret",
        "--label",
        "a=s3cret",
    ];
    let container = ["--container-label", "a=s3cret", "tiny:1", "/tiny", "sleep", "s3cret"];
    engine.docker(&[&create[..], &web, &container].concat());
    watch.until("two tasks", |cluster| runs(cluster, "web", 2)).await;
    let created = loop {
        let delta = stream.until("delta").await;
        if let Some(event) = delta.data["timeline"].get(0) {
            break event["text"].clone();
        }
    };
    assert_eq!(created, "web was created");

    // More replicas, another image, and a service that cannot run.
    engine.docker(&["service", "scale", "--detach", "web=3"]);
    watch.until("three tasks", |cluster| runs(cluster, "web", 3)).await;
    let _ =
        engine.docker(&["service", "update", "--quiet", "--detach", "--no-resolve-image", "--image", "tiny:2", "web"]);
    watch.until("an update", |cluster| service(cluster, "web")["update"]["state"] == "updating").await;
    let cluster = watch.until("its end", |cluster| service(cluster, "web")["update"]["state"] == "completed").await;
    let new = |task: &&Value| task["state"] == "running" && task["image"]["tag"] == "2";
    assert_eq!(entries(&cluster, "tasks").filter(new).count(), 3);
    engine.docker(&[&create[..], &["--name", "bad", "tiny:1", "/tiny", "exit", "3"]].concat());
    let cluster = watch
        .until("counted restarts", |cluster| {
            entries(cluster, "tasks").any(|task| task["name"] == "bad.1" && task["restarts"].as_u64() >= Some(2))
        })
        .await;
    let failed = entries(&cluster, "tasks").find(|task| task["name"] == "bad.1" && task["state"] == "failed").unwrap();
    assert_eq!((&failed["error"], &failed["exit_code"]), (&json!("task: non-zero exit (3)"), &json!(3)));
    engine.docker(&["service", "rm", "bad"]);
    for path in ["/", "/api/swarm", "/api/nodes", "/api/local", "/metrics", "/readyz"] {
        assert!(!watch.get(path).await.text().contains("s3cret"), "{path}");
    }

    drain(&engine, &watch).await;
    outages(&mut engine, &watch).await;
}

/// Drains the node: a long poll of the nodes returns on the change.
async fn drain(engine: &Dockerd, watch: &Watch) {
    let nodes = watch.get("/api/nodes").await;
    let tag = nodes.header("etag").unwrap().to_owned();
    assert_eq!(nodes.json()["nodes"], json!([{"address": "127.0.0.1", "hostname": "engine", "ready": true}]));
    let mut connection = Connection::http1(watch.address).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut request = request("watch", "/api/nodes?wait=30");
        request.headers_mut().insert(header::IF_NONE_MATCH, tag.parse().unwrap());
        connection.send(request).await.unwrap().json()
    });
    engine.docker(&["node", "update", "--availability", "drain", "engine"]);
    // The change ends the long poll: its own wait of 30 s would end after this deadline.
    let nodes = deadline("the end of the long poll", SOON, waiting).await.unwrap();
    assert_eq!(nodes["nodes"][0]["ready"], false);
    engine.docker(&["node", "update", "--availability", "active", "engine"]);
    watch.until("three tasks", |cluster| runs(cluster, "web", 3)).await;
}

/// Freezes, kills and restarts the engine.
async fn outages(engine: &mut Dockerd, watch: &Watch) {
    engine.freeze();
    let stale = watch.until("the error of a hanging engine", |cluster| cluster["source"]["error"].is_string()).await;
    assert_eq!(stale["source"]["error"], "the engine does not answer in time");
    assert!(runs(&stale, "web", 3), "the last state stays");
    let age = |cluster: &Value| {
        cluster["source"]["failing_since"].as_i64().unwrap() - cluster["source"]["at"].as_i64().unwrap()
    };
    assert!(age(&stale) >= 5000, "the time limit is five seconds: {}", age(&stale));
    assert_eq!(watch.get("/readyz").await.status, 503);
    assert_eq!(watch.get("/healthz").await.status, 200);
    engine.thaw();
    watch.until("the end of the error", |cluster| cluster["source"]["error"].is_null()).await;

    engine.kill();
    let dead = watch.until("the error of a dead engine", |cluster| cluster["source"]["error"].is_string()).await;
    let error = dead["source"]["error"].as_str().unwrap();
    assert!(error.starts_with("the engine is unreachable: "), "{error}");
    assert!(runs(&dead, "web", 3), "the last state stays");
    engine.restart().await;
    let ready = async || (watch.get("/readyz").await.status == 200).then_some(());
    eventually_some("readiness", SOON * 3, ready).await;
    let reported = async || {
        let cluster = watch.cluster().await;
        let events = cluster["timeline"].as_array().unwrap();
        events.iter().any(|event| event["text"] == "the engine reports the state of the swarm again")
    };
    eventually("the event", SOON, reported).await;
    eventually("three tasks", SOON * 3, async || runs(&watch.cluster().await, "web", 3)).await;
}
