//! The counter's settings, log and health check.

use std::fs;

use http::StatusCode;
use tests::process::Process;
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

use crate::replica::{ANY, Replica, plan};

const PASSWORD: &str = "s3cret-of-the-swarm";

#[tokio::test]
async fn the_url_of_redis_may_come_from_a_file() {
    let redis = Redis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("redis_url");
    // Editors end a file with a line break.
    fs::write(&file, format!("{}\n", redis.url())).unwrap();
    let replica = Replica::start(plan(&[]).env("REDIS_URL_FILE", &file), ANY).await;
    assert_eq!(replica.visit().await, 1);
    assert_eq!(redis.number("hits").await, 1);
}

/// Waits until the process exits. Returns its exit code and output.
async fn end(mut process: Process) -> (Option<i32>, String) {
    let (status, output) = process.output(SOON).await;
    (status.code(), output)
}

#[tokio::test]
async fn two_urls_are_refused_with_both_option_names() {
    let plan = plan(&[]).env("REDIS_URL", "redis://a").env("REDIS_URL_FILE", "b");
    let (code, text) = end(plan.start()).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("(REDIS_URL)") && text.contains("(REDIS_URL_FILE)"), "{text}");
}

#[tokio::test]
async fn a_password_is_never_logged() {
    let mut redis = Redis::start().await;
    let _: () = redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", PASSWORD])
        .query_async(&mut redis.connection().await)
        .await
        .unwrap();
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let right = plan(&[]).env("REDIS_URL", url(PASSWORD)).env("LOG", "trace");
    let right = Replica::start(right, ANY).await;
    let wrong = plan(&["--redis-url", &url(&PASSWORD.to_uppercase())]).env("RUST_LOG", "trace");
    let mut wrong = Replica::start(wrong, ANY).await;
    assert_eq!(right.visit().await, 1);
    eventually("the wrong password's refusal", SOON, async || wrong.get("/readyz").await.text().contains("refuses"))
        .await;
    // Details are in the log only.
    assert!(!wrong.get("/readyz").await.text().contains("WRONGPASS"));
    wrong.process.line("WRONGPASS").await;
    redis.kill();
    for replica in [&right, &wrong] {
        eventually("the loss of Redis", SOON, async || replica.get("/readyz").await.text().contains("cannot connect"))
            .await;
    }
    for replica in [right, wrong] {
        let mut output = replica.process.lines();
        assert!(output.iter().any(|line| line.contains("\"DEBUG\"")), "the log has no debug lines");
        for path in ["/", "/readyz", "/metrics", "/x"] {
            let reply = replica.get(path).await;
            output.push(format!("{:?} {}", reply.headers, reply.text()));
        }
        assert_no_password(&output.join("\n"));
    }
}

#[tokio::test]
async fn a_wrong_url_is_refused_without_its_password() {
    let wrong = [
        ("REDIS_URL", format!("redis://:{PASSWORD}@redis:port")),
        ("REDIS_URL", format!("redis://:{PASSWORD}@redis/database")),
        ("REDIS_URL", format!("http://:{PASSWORD}@redis")),
        ("REDIS_URL", format!(":{PASSWORD}@redis")),
        // The URL in place of the file's path.
        ("REDIS_URL_FILE", format!("redis://:{PASSWORD}@redis")),
    ];
    for (name, value) in wrong {
        let (code, text) = end(plan(&[]).env(name, &value).start()).await;
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(name), "{text}");
        assert_no_password(&text);
    }
    for name in ["REDIS_URL", "REDIS_URL_FILE"] {
        let (code, text) = end(plan(&["--help"]).env(name, format!("redis://:{PASSWORD}@redis")).start()).await;
        assert_eq!(code, Some(0), "{text}");
        assert_no_password(&text);
    }
}

/// Asserts that `text` does not contain the password, in any case.
fn assert_no_password(text: &str) {
    let at = text.to_lowercase().find(PASSWORD);
    assert!(at.is_none(), "the password is in: {text}");
}

#[tokio::test]
async fn the_health_check_tests_the_process_and_not_redis() {
    let mut redis = Redis::start().await;
    let mut replica = Replica::on_redis(&redis).await;
    let listen = replica.address.to_string();
    let check = async || {
        // Configured by the variables of the service, as when the engine runs it in the container.
        let mut check = plan(&["healthcheck"]).env("APP_LISTEN", &listen).start();
        check.exit(SOON).await.code()
    };
    assert_eq!(check().await, Some(0));
    redis.kill();
    eventually("failed readiness", SOON, async || {
        replica.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert_eq!(check().await, Some(0), "without Redis");
    replica.process.freeze();
    assert_eq!(check().await, Some(1), "frozen");
    replica.process.thaw();
    assert_eq!(check().await, Some(0), "thawed");
    replica.process.kill();
    assert_eq!(check().await, Some(1), "killed");
}
