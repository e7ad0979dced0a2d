//! Reloads: pools and endpoints that are kept, changed and removed.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use edge::{
    config::Pool,
    upstream::{EndpointState, manager::Manager},
};

use crate::{
    name_server::NameServer,
    server::{OK, Upstream},
    settings::{check, config, eventually, named, on_control_thread, pool},
    state::{addresses, snapshot, status, tasks},
};

#[test]
fn a_reload_keeps_handles_of_equal_pools_and_endpoints_of_changed_ones() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        dns.set_addresses("a", &["10.0.0.1", "10.0.0.2"]);
        dns.set_addresses("b", &["10.0.0.3"]);
        let settings = |pools| config(vec![dns.address], pools);
        let mut manager = Manager::new(1);
        let pools = manager.apply(&settings(vec![pool("a", named("a"), None), pool("b", named("b"), None)]));
        eventually("both resolved", || addresses(&pools[0]).len() == 2 && addresses(&pools[1]).len() == 1).await;
        let before = snapshot(&pools[0]);
        before.endpoints[0].connections.store(7, Relaxed);

        let changed = Pool { max_idle: 9, ..pool("a", named("a"), None) };
        let after = manager.apply(&settings(vec![pool("b", named("b"), None), changed]));
        assert!(Arc::ptr_eq(&after[0], &pools[1]), "the unchanged pool kept its handle");
        assert!(!Arc::ptr_eq(&after[1], &pools[0]) && Arc::ptr_eq(&after[1].stats, &pools[0].stats));
        let now = snapshot(&after[1]);
        assert_eq!(now.endpoints.len(), 2, "endpoints are known at once");
        assert!(Arc::ptr_eq(&now.endpoints[0], &before.endpoints[0]));
        assert_eq!(now.endpoints[0].connections.load(Relaxed), 7);

        dns.set_addresses("a", &["10.0.0.2"]);
        eventually("the new pool is updated", || addresses(&after[1]) == ["10.0.0.2"]).await;
        assert_eq!(addresses(&pools[0]).len(), 2, "the replaced pool is not updated");

        let other = NameServer::start().await;
        other.set_addresses("b", &["10.0.0.5"]);
        let last = manager.apply(&config(vec![other.address], vec![pool("b", named("b"), None)]));
        assert_eq!(addresses(&last[0]), ["10.0.0.3"], "endpoints of the old server are kept");
        eventually("the new server is asked", || addresses(&last[0]) == ["10.0.0.5"]).await;
    });
}

#[test]
fn a_removed_pool_leaves_nothing_behind() {
    on_control_thread(async {
        let (dns, upstream) = (NameServer::start().await, Upstream::start(OK).await);
        let before = tasks();
        let sources = [named("a"), vec![upstream.source()]].concat();
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("a", sources, Some(check()))]));
        eventually("it is checked", || status(&pools[0], 0).0 == EndpointState::Healthy).await;
        let endpoint = Arc::clone(&snapshot(&pools[0]).endpoints[0]);
        assert!(manager.apply(&config(vec![dns.address], Vec::new())).is_empty());
        drop(pools);
        eventually("its tasks are gone", || tasks() == before).await;
        assert_eq!(Arc::strong_count(&endpoint), 1);
    });
}

#[test]
fn a_removed_endpoint_leaves_no_task_behind() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("a", named("a"), None)]));
        dns.set_addresses("a", &["10.0.0.1"]);
        eventually("one endpoint", || addresses(&pools[0]).len() == 1).await;
        let before = tasks();
        dns.set_addresses("a", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        eventually("two more, each with a task", || tasks() >= before + 2).await;
        dns.set_addresses("a", &["10.0.0.1"]);
        eventually("their tasks are gone", || addresses(&pools[0]).len() == 1 && tasks() <= before).await;
    });
}
