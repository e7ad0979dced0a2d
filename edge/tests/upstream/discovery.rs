//! Endpoints from a name server.

use std::{net::IpAddr, sync::atomic::Ordering::Relaxed};

use edge::upstream::manager::Manager;
use hickory_server::proto::op::ResponseCode;

use crate::{
    name_server::{NameServer, Says},
    settings::{config, eventually, named, on_control_thread, pool},
    state::{addresses, error, snapshot},
};

#[test]
fn endpoints_follow_the_name_server() {
    on_control_thread(async {
        let dns = NameServer::start().await;
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.stack_web"), None)]));
        eventually("the failure is in the status", || error(&pools[0]).as_deref() == Some("no such name")).await;
        assert!(snapshot(&pools[0]).usable().is_empty());

        dns.say_addresses("tasks.stack_web", &["10.0.0.2", "10.0.0.1", "0.0.0.0"]);
        eventually("two endpoints", || addresses(&pools[0]) == ["10.0.0.1", "10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        let kept = snapshot(&pools[0]).endpoints[1].id;
        dns.say_addresses("tasks.stack_web", &["10.0.0.3", "10.0.0.2", "fd00::1"]);
        eventually("one left, two were added", || addresses(&pools[0]) == ["10.0.0.2", "10.0.0.3", "fd00::1"]).await;
        assert_eq!(snapshot(&pools[0]).endpoints[0].id, kept);

        for (says, reason) in [
            (Says::Addresses(Vec::new()), "no addresses"),
            (Says::Code(ResponseCode::NXDomain), "no such name"),
            (Says::Code(ResponseCode::ServFail), "the name server responded: Server Failure"),
            (Says::Code(ResponseCode::Refused), "the name server responded: Query Refused"),
            (Says::Nothing, "no answer within 600ms"),
        ] {
            dns.say("tasks.stack_web", says);
            eventually(reason, || error(&pools[0]).as_deref() == Some(reason)).await;
            assert_eq!(addresses(&pools[0]), ["10.0.0.2", "10.0.0.3", "fd00::1"], "{reason}");
        }
        dns.say_addresses("tasks.stack_web", &["10.0.0.4"]);
        eventually("the new address", || addresses(&pools[0]) == ["10.0.0.4"] && error(&pools[0]).is_none()).await;
        let asked = dns.zone.questions.lock().unwrap().clone();
        assert!(asked.iter().all(|name| name == "tasks.stack_web"), "no search domains: {asked:?}");
    });
}

#[test]
fn an_answer_too_large_for_a_datagram_is_complete() {
    on_control_thread(async {
        // 60 addresses need EDNS: plain DNS would truncate the answer and ask again over TCP.
        for (count, over_tcp) in [(60_u16, false), (500, true)] {
            let dns = NameServer::start().await;
            let many = (0..count).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
            dns.say("tasks.web", Says::Addresses(many));
            let mut manager = Manager::new(1);
            let pools = manager.apply(&config(vec![dns.address], vec![pool("web", named("tasks.web"), None)]));
            eventually("all are there", || addresses(&pools[0]).len() == usize::from(count)).await;
            assert_eq!(dns.zone.over_tcp.load(Relaxed) > 0, over_tcp, "{count} addresses");
        }
    });
}

#[test]
fn the_next_name_server_is_asked_when_one_fails_or_does_not_answer() {
    on_control_thread(async {
        let (first, second) = (NameServer::start().await, NameServer::start().await);
        second.say_addresses("web", &["10.0.0.2"]);
        let servers = vec![first.address, second.address];
        first.say("web", Says::Code(ResponseCode::ServFail));
        let mut manager = Manager::new(1);
        let pools = manager.apply(&config(servers, vec![pool("web", named("web"), None)]));
        eventually("the second answers", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        first.say_addresses("web", &["10.0.0.1"]);
        eventually("the first is preferred", || addresses(&pools[0]) == ["10.0.0.1"]).await;
        first.say("web", Says::Nothing);
        eventually("the second answers again", || addresses(&pools[0]) == ["10.0.0.2"]).await;
        assert_eq!(error(&pools[0]), None);
        first.say("web", Says::Code(ResponseCode::NXDomain));
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
