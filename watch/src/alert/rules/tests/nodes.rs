//! Nodes, managers and disks.

use super::*;

#[test]
fn a_node_that_is_down_describes_the_effect_on_the_quorum() {
    let mut cluster = well();
    cluster.quorum.reachable = 2;
    node(&mut cluster, "n2").state = NodeState::Down;
    node(&mut cluster, "n2").reachable = Some(false);
    node(&mut cluster, "n2").message = Some("heartbeat failure".into());
    assert_eq!(
        described(&cluster),
        [
            "node_down/n2 critical: serveur18 (10.10.25.165) is down: heartbeat failure; 2 of 3 managers are left, one more \
         loss would lose the quorum",
            "manager_unreachable/n2 warning: serveur18 (10.10.25.165): the other managers cannot reach it; 2 of 3 managers \
         are left, one more loss would lose the quorum",
            "quorum_at_risk/swarm warning: 2 of 3 managers are reachable: one more loss would lose the quorum",
        ]
    );
    let found = observe(&cluster).conditions;
    assert_eq!(found[0].causes, [""; 0]);
    assert_eq!(found[0].subject.node_name.as_deref(), Some("serveur18"));
    assert_eq!(found[1].causes, ["node_down/n2"]);
    assert_eq!(found[2].causes, ["node_down/n2", "manager_unreachable/n2"]);
}

#[test]
fn a_drained_node_is_not_down_and_only_a_warning_when_it_is() {
    let mut cluster = well();
    node(&mut cluster, "n2").availability = Availability::Drain;
    assert_eq!(described(&cluster), [""; 0]);
    node(&mut cluster, "n2").state = NodeState::Down;
    let down = one(&cluster);
    assert_eq!((down.fingerprint.as_str(), down.severity), ("node_down/n2", Severity::Warning));
}

#[test]
fn after_a_change_of_leaders_only_an_unreachable_manager_counts_as_down() {
    let mut cluster = well();
    for id in ["n1", "n2", "n3"] {
        node(&mut cluster, id).state = NodeState::Unknown;
    }
    assert_eq!(described(&cluster), [""; 0]);
    node(&mut cluster, "n1").reachable = Some(false);
    let found = observe(&cluster).conditions;
    assert_eq!(found[0].fingerprint, "node_down/n1");
}

#[test]
fn quorum_is_at_risk_where_one_more_loss_loses_it() {
    for (managers, reachable, at_risk) in
        [(1, 1, false), (2, 2, true), (3, 3, false), (3, 2, true), (5, 4, false), (5, 3, true), (3, 1, false)]
    {
        let mut cluster = well();
        cluster.quorum = Quorum { managers, reachable, lost: false };
        assert_eq!(!described(&cluster).is_empty(), at_risk, "{reachable} of {managers}");
    }
}

#[test]
fn a_disk_is_reported_when_little_is_free() {
    let mut cluster = well();
    let mut with = |free: u64, total: u64| {
        node(&mut cluster, "n1").disk = Some(Disk { total_bytes: total << 30, free_bytes: free << 30 });
        described(&cluster).join("")
    };
    assert_eq!(with(10, 100), "");
    assert_eq!(
        with(9, 100),
        "disk/n1 warning: serveur17 (10.10.25.165): 9.0 gib of the disk's 100.0 gib are free (9 %)"
    );
    assert!(with(4, 100).starts_with("disk/n1 critical"));
    assert_eq!(with(0, 0), "");
}
