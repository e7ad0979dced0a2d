//! Redis, and the tutorial's application that uses it.

use std::time::Duration;

use redis::AsyncCommands;
use tests::client::{Error, get};
use tests::flask::Flask;
use tests::redis::Redis;

#[tokio::test]
async fn writes_that_redis_acknowledged_survive_a_kill() {
    let mut server = Redis::start().await;
    let mut connection = server.connection().await;
    for expected in 1..=5_u64 {
        let hits: u64 = connection.incr("hits", 1).await.unwrap();
        assert_eq!(hits, expected);
    }
    server.kill();
    let failed: Result<u64, _> = connection.incr("hits", 1).await;
    assert!(failed.is_err(), "{failed:?}");
    server.restart().await;
    assert_eq!(server.number("hits").await, 5);
}

#[tokio::test]
async fn redis_without_an_append_only_file_restarts_empty() {
    let mut server = Redis::start_with(&[]).await;
    let hits: u64 = server.connection().await.incr("hits", 1).await.unwrap();
    assert_eq!(hits, 1);
    server.restart().await;
    assert_eq!(server.number("hits").await, 0);
}

#[tokio::test]
async fn a_frozen_redis_does_not_reply_until_it_thaws() {
    let mut server = Redis::start().await;
    let mut connection = server.connection().await;
    server.freeze();
    let increment = connection.incr::<_, _, u64>("hits", 1);
    tokio::pin!(increment);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut increment).await;
    assert!(early.is_err(), "{early:?}");
    server.thaw();
    assert_eq!(increment.await.unwrap(), 1);
}

#[tokio::test]
async fn the_tutorials_application_counts() {
    let redis = Redis::start().await;
    let flask = Flask::start(&redis).await;
    for hits in 1..=3 {
        let reply = get(flask.address(), "/").await.unwrap();
        assert_eq!(reply.text(), format!("Hello World! I have been seen {hits} times.\n"));
    }
    assert_eq!(redis.number("hits").await, 3);
    drop(flask);
}

#[tokio::test]
async fn dropping_the_value_ends_the_tutorials_application() {
    let redis = Redis::start().await;
    let flask = Flask::start(&redis).await;
    let address = flask.address();
    drop(flask);
    let refused = get(address, "/").await;
    assert!(matches!(refused, Err(Error::Connect(_))), "{refused:?}");
}
