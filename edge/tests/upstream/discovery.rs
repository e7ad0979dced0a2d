//! Discovery of endpoints by DNS.

use std::{net::IpAddr, sync::atomic::Ordering::Relaxed};

use edge::upstream::manager::Manager;
use hickory_server::proto::op::ResponseCode;

use crate::{
    name_server::{NameServer, Reply},
    settings::{config, eventually, named, on_control_thread, pool},
    state::{addresses, error, snapshot},
};

#[test]
fn endpoints_follow_the_name_server() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.stack_web"), None)]));
        eventually("the failure in the status", || error(&pools[0]).as_deref() == Some("no such name")).await;
        assert!(snapshot(&pools[0]).usable().is_empty());

        dns.set_addresses("tasks.stack_web", &["10.0.0.2", "10.0.0.1", "0.0.0.0"]);
        eventually("two endpoints", || addresses(&pools[0]) == ["10.0.0.1", "10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        let kept = snapshot(&pools[0]).endpoints[1].id;
        dns.set_addresses("tasks.stack_web", &["10.0.0.3", "10.0.0.2", "fd00::1"]);
        eventually("one removed, two added", || addresses(&pools[0]) == ["10.0.0.2", "10.0.0.3", "fd00::1"]).await;
        assert_eq!(snapshot(&pools[0]).endpoints[0].id, kept);

        for (reply, reason) in [
            (Reply::Addresses(Vec::new()), "no addresses"),
            (Reply::Code(ResponseCode::NXDomain), "no such name"),
            (Reply::Code(ResponseCode::ServFail), "the name server responded: Server Failure"),
            (Reply::Code(ResponseCode::Refused), "the name server responded: Query Refused"),
            (Reply::Silence, "no answer within 600ms"),
        ] {
            dns.set("tasks.stack_web", reply);
            eventually(reason, || error(&pools[0]).as_deref() == Some(reason)).await;
            assert_eq!(addresses(&pools[0]), ["10.0.0.2", "10.0.0.3", "fd00::1"], "{reason}");
        }
        dns.set_addresses("tasks.stack_web", &["10.0.0.4"]);
        eventually("the new address", || addresses(&pools[0]) == ["10.0.0.4"] && error(&pools[0]).is_none()).await;
        let asked = dns.zone.questions.lock().unwrap().clone();
        assert!(asked.iter().all(|name| name == "tasks.stack_web"), "a search domain was queried: {asked:?}");
    });
}

#[test]
fn an_answer_larger_than_a_datagram_is_complete() {
    on_control_thread(async {
        // Without EDNS, 60 addresses would not fit into a datagram, and the edge would repeat the query over TCP.
        for (count, over_tcp) in [(60_u16, false), (500, true)] {
            let dns = NameServer::start().await;
            let many = (0..count).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
            dns.set("tasks.web", Reply::Addresses(many));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.web"), None)]));
            eventually("all addresses", || addresses(&pools[0]).len() == usize::from(count)).await;
            assert_eq!(dns.zone.over_tcp.load(Relaxed) > 0, over_tcp, "{count} addresses");
        }
    });
}

#[test]
fn the_next_name_server_is_queried_when_one_fails_or_does_not_answer() {
    on_control_thread(async {
        let (first, second) = (NameServer::start().await, NameServer::start().await);
        second.set_addresses("web", &["10.0.0.2"]);
        let servers = vec![first.address, second.address];
        first.set("web", Reply::Code(ResponseCode::ServFail));
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(servers, vec![pool("web", named("web"), None)]));
        eventually("the second answers", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        first.set_addresses("web", &["10.0.0.1"]);
        eventually("the first is preferred", || addresses(&pools[0]) == ["10.0.0.1"]).await;
        first.set("web", Reply::Silence);
        eventually("the second answers again", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        first.set("web", Reply::Code(ResponseCode::NXDomain));
        eventually("NXDOMAIN is an answer", || error(&pools[0]).as_deref() == Some("no such name")).await;
    });
}

#[test]
fn localhost_needs_no_name_server() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("localhost"), None)]));
        eventually("loopback", || addresses(&pools[0]).contains(&"127.0.0.1".to_owned())).await;
        assert!(dns.zone.questions.lock().unwrap().is_empty());
    });
}
