//! The Redis servers.

use super::*;

#[test]
fn redis_needs_a_master_and_a_replica() {
    let mut cluster = well();
    let mut with = |redis| {
        cluster.redis = Some(redis);
        described(&cluster).join("")
    };
    let (master, replica) = (("redis-1:6379", Role::Master, true), ("redis-2:6379", Role::Replica, true));
    let gone = ("redis-3:6379", Role::Replica, false);
    assert_eq!(with(redis(&[master, replica, gone])), "");
    assert!(with(redis(&[master, gone])).starts_with("redis_replica/count critical: no replica follows redis-1:6379"));
    assert_eq!(
        with(redis(&[("redis-1:6379", Role::Master, false), replica])),
        "redis_master/count critical: the redis master redis-1:6379 does not answer"
    );
    assert_eq!(
        with(Redis { master: None, error: Some("sentinels disagree".into()), ..redis(&[replica]) }),
        "redis_master/count critical: no redis is master: sentinels disagree"
    );
    assert!(with(Redis { sentinels_up: 0, ..redis(&[master, replica]) }).contains("none of 3 sentinels answers"));
    // A single server without sentinels is a decision.
    assert_eq!(with(Redis { sentinels: 0, sentinels_up: 0, ..redis(&[master]) }), "");
    // Redis has not been asked yet.
    cluster.redis = Some(Redis::default());
    let observation = observe(&cluster);
    assert_eq!(observation.conditions, []);
    assert!(!observation.knows("redis_master/count"));
}
