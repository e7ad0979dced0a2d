//! An engine that does not answer, and a lost quorum.

use super::*;

#[test]
fn an_engine_that_does_not_answer_leaves_conditions_unknown() {
    let mut cluster = well();
    node(&mut cluster, "n2").state = NodeState::Down;
    cluster.services.get_mut("web").unwrap().running = 0;
    cluster.source.error = Some("rpc error: deadline exceeded".into());
    cluster.source.at = Some(NOW - 7000);
    let observation = observe(&cluster);
    assert_eq!(
        described(&cluster),
        [
            "picture_stale/n1 warning: the engine of serveur17 (10.10.25.165) has reported no cluster state since 2026-11-27 \
         13:24:56 utc: rpc error: deadline exceeded"
        ]
    );
    for fingerprint in ["node_down/n2", "service_below/web", "quorum_lost/swarm", "crash_loop/x", "disk/n1"] {
        assert!(!observation.knows(fingerprint), "{fingerprint}");
    }
    for fingerprint in ["picture_stale/n1", "channel_failing/mail@n1"] {
        assert!(observation.knows(fingerprint), "{fingerprint}");
    }
    // It may also have stopped reporting, or never have begun.
    cluster.source.error = None;
    cluster.source.at = Some(NOW - 50_000);
    assert_eq!(one(&cluster).rule, Rule::PictureStale);
    cluster.source.at = None;
    assert_eq!(one(&cluster).rule, Rule::PictureStale);
}

#[test]
fn a_lost_quorum_is_reported_without_a_fresh_cluster_state_and_is_the_cause_of_that() {
    let mut cluster = well();
    cluster.quorum = Quorum { managers: 3, reachable: 1, lost: true };
    cluster.source.error = Some("no quorum".into());
    let found = observe(&cluster).conditions;
    assert_eq!(found.iter().map(|c| c.rule).collect::<Vec<_>>(), [Rule::PictureStale, Rule::QuorumLost]);
    assert_eq!(found[0].causes, ["quorum_lost/swarm"]);
    assert_eq!(found[1].severity, Severity::Critical);
}

#[test]
fn a_lost_quorum_has_numbers_only_if_the_engine_knows_them() {
    let mut cluster = well();
    cluster.quorum = Quorum { managers: 3, reachable: 1, lost: true };
    let summary = |cluster: &ClusterState| {
        let found = observe(cluster).conditions;
        found.into_iter().find(|condition| condition.rule == Rule::QuorumLost).unwrap().summary
    };
    assert_eq!(
        summary(&cluster),
        "the swarm has lost its quorum: 1 of 3 managers are reachable, nothing can be changed"
    );
    // The last list of nodes is from before the loss.
    cluster.quorum = Quorum { managers: 3, reachable: 3, lost: true };
    cluster.source.error = Some("no leader".into());
    assert_eq!(
        summary(&cluster),
        "the engine of serveur17 (10.10.25.165) finds no leader: the quorum is lost, or this node is cut off"
    );
}

#[test]
fn a_node_that_may_be_cut_off_reports_nothing_about_redis_and_edges() {
    let mut cluster = well();
    let master = ("redis-1:6379", Role::Master, false);
    cluster.redis = Some(Redis { sentinels_up: 0, ..redis(&[master]) });
    let gone = Edge { error: Some("no route to host".into()), ..edge(Some("n2"), 0, true) };
    cluster.edges = [("10.0.1.3:9901".into(), gone)].into();
    assert_eq!(described(&cluster).len(), 2);
    cluster.source.error = Some("no leader".into());
    let observation = observe(&cluster);
    assert_eq!(observation.conditions.iter().map(|c| c.rule).collect::<Vec<_>>(), [Rule::PictureStale]);
    for fingerprint in [
        "redis_master/count",
        "redis_replica/count",
        "edge_down/n2",
        "edge_pool/n2/web",
        "certificate/x",
        "self_signed/x",
    ] {
        assert!(!observation.knows(fingerprint), "{fingerprint}");
    }
}
