//! The sources other than the engine: a real replicated Redis, real edges, other instances of `watch`.

use redis::AsyncCommands;
use serde_json::json;
use tests::port;
use tests::process::Process;
use tests::recorded::Recorded;
use tests::redis::{Redis, group::Group};
use tests::upstream::Upstream;
use tests::wait::{SOON, eventually};

use super::{Watch, entries};

#[tokio::test]
async fn the_master_the_lag_and_the_count_are_reported_before_and_after_a_failover() {
    let engine = Recorded::start("steady").await;
    let mut group = Group::start().await;
    group.until_settled().await;
    let master = group.servers[0].port();
    let _: () = group.servers[0].connection().await.set("hits", 41).await.unwrap();
    let watch = Watch::start(&engine.url(), &["--redis-sentinels", &group.list()]).await;
    let address = |port: u16| json!(format!("127.0.0.1:{port}"));
    let cluster = watch
        .until("three servers", |cluster| {
            let servers = cluster["redis"]["servers"].as_array();
            servers.is_some_and(|all| all.len() == 3 && all.iter().all(|server| server["up"] == true))
        })
        .await;
    let redis = &cluster["redis"];
    assert_eq!((&redis["master"], &redis["count"]), (&address(master), &json!(41)));
    assert_eq!((&redis["sentinels"], &redis["sentinels_up"]), (&json!(3), &json!(3)));
    for server in redis["servers"].as_array().unwrap() {
        let is_master = server["address"] == address(master);
        assert_eq!(server["role"], if is_master { "master" } else { "replica" });
        assert_eq!(server["lag_bytes"].is_null(), is_master, "{server}");
    }
    let _: () = group.servers[0].connection().await.incr("hits", 1).await.unwrap();
    watch.until("the new count", |cluster| cluster["redis"]["count"] == 42).await;

    group.on(master).kill();
    let cluster = watch
        .until("another master", |cluster| {
            let redis = &cluster["redis"];
            let up = redis["servers"].as_array().into_iter().flatten().any(|server| {
                server["role"] == "master" && server["up"] == true && server["address"] == redis["master"]
            });
            up && redis["master"] != address(master)
        })
        .await;
    assert_eq!(cluster["redis"]["count"], 42);
    let is_failover = |event: &serde_json::Value| event["text"].as_str().unwrap().contains("is now the master");
    assert!(cluster["timeline"].as_array().unwrap().iter().any(is_failover), "{}", cluster["timeline"]);
    for sentinel in &mut group.sentinels {
        sentinel.kill();
    }
    let cluster = watch.until("the loss of all sentinels", |cluster| cluster["redis"]["sentinels_up"] == 0).await;
    assert_eq!(cluster["redis"]["error"], "no sentinel answers");
    assert_eq!(cluster["redis"]["count"], 42, "the last known value stays");
    assert!(cluster["source"]["error"].is_null(), "an error of Redis is reported for the engine");
}

#[tokio::test]
async fn a_new_password_of_redis_is_used_without_a_restart() {
    let engine = Recorded::start("steady").await;
    let redis = Redis::start().await;
    let mut connection = redis.connection().await;
    let mut send = async |command: &str| {
        let words: Vec<&str> = command.split(' ').collect();
        let sent: Result<redis::Value, _> = redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await;
        sent.unwrap();
    };
    send("ACL SETUSER watch on ~* +@all >old").await;
    send("SET hits 41").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = |password: &str| format!("redis://watch:{password}@127.0.0.1:{}", redis.port());
    std::fs::write(&file, url("old")).unwrap();
    let mut watch = Watch::start(&engine.url(), &["--redis-url-file", file.to_str().unwrap()]).await;
    watch.until("the count", |cluster| cluster["redis"]["count"] == 41).await;
    send("ACL SETUSER watch >new").await;
    std::fs::write(&file, url("new")).unwrap();
    watch.process.line("the login and the certificates in the files work").await;
    send("ACL SETUSER watch <old").await;
    send("CLIENT KILL USER watch").await;
    send("INCR hits").await;
    let cluster = watch.until("the new count", |cluster| cluster["redis"]["count"] == 42).await;
    assert!(cluster["redis"]["error"].is_null(), "{}", cluster["redis"]);
}

#[tokio::test]
async fn edges_are_reported_with_their_pools_and_a_dead_edge_with_its_error() {
    let engine = Recorded::start("steady").await;
    let upstream = Upstream::start().await;
    let admin = format!("127.0.0.1:{}", port::free());
    let mut edge = Process::ours("edge")
        .args(["run", "--listen", &format!("127.0.0.1:{}", port::free()), "--admin", &admin])
        .args(["--to", &upstream.address().to_string()])
        .start();
    edge.line("listening").await;
    let watch = Watch::start(&engine.url(), &["--edges", &admin]).await;
    let cluster = watch.until("a ready edge", |cluster| cluster["edges"][&admin]["ready"] == true).await;
    let seen = &cluster["edges"][&admin];
    let pool = &seen["pools"][0];
    assert_eq!((&pool["usable"], &pool["panic"]), (&json!(1), &json!(false)), "{seen}");
    assert_eq!(pool["endpoints"][0]["address"], upstream.address().to_string());
    assert!(seen["error"].is_null() && seen["at"].is_i64() && seen["version"].is_string(), "{seen}");

    edge.freeze();
    let cluster = watch.until("a silent edge", |cluster| cluster["edges"][&admin]["error"].is_string()).await;
    assert_eq!(cluster["edges"][&admin]["error"], "no answer in time");
    assert_eq!(cluster["edges"][&admin]["ready"], false);
    assert_eq!(cluster["edges"][&admin]["pools"], seen["pools"], "the last known value stays");
    edge.thaw();
    watch.until("the edge again", |cluster| cluster["edges"][&admin]["ready"] == true).await;
    edge.kill();
    watch.until("its end", |cluster| cluster["edges"][&admin]["error"].is_string()).await;
}

#[tokio::test]
async fn instances_report_their_disk_space_to_each_other() {
    let (first, second) = (Recorded::start("steady").await, Recorded::start("steady").await);
    let nodes = tests::recorded::nodes("steady");
    first.set_node(&nodes[0]);
    second.set_node(&nodes[1]);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t0ken").unwrap();
    let closed = Watch::start(&second.url(), &["--token-file", token.to_str().unwrap()]).await;
    eventually("a cluster state", SOON, async || closed.get("/readyz").await.status == 200).await;
    let watch = Watch::start(&first.url(), &["--peers", &closed.address.to_string()]).await;
    // Without the token, an instance only knows its own disk.
    let cluster = watch.until("its own disk", |cluster| cluster["nodes"][&nodes[0]]["disk"].is_object()).await;
    assert!(cluster["nodes"][&nodes[1]]["disk"].is_null(), "{cluster}");
    drop((watch, closed));

    let open = Watch::start(&second.url(), &[]).await;
    eventually("a cluster state", SOON, async || open.get("/readyz").await.status == 200).await;
    let watch = Watch::start(&first.url(), &["--peers", &open.address.to_string()]).await;
    let both = |cluster: &serde_json::Value| {
        entries(cluster, "nodes").filter(|node| node["disk"]["total_bytes"].as_u64() > Some(0)).count() == 2
    };
    watch.until("both disks", both).await;
}
