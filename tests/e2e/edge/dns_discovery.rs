//! A pool that is a DNS name, while the name server's answers change.

use std::net::{IpAddr, SocketAddr};

use http::StatusCode;
use tests::{
    client::{Connection, get, load::Load},
    dns::{Answer, DOCKER_TTL, Dns},
    upstream::Upstream,
    wait::{SOON, eventually},
};

use super::{CHECKS, Edge, LISTENER, assert_all_ok, assert_no_more_requests};

const NAME: &str = "tasks.web";

/// Tasks of a service, a name server that resolves its name, and an edge.
struct Service {
    tasks: [Upstream; 3],
    dns: Dns,
    edge: Edge,
}

impl Service {
    /// Starts all of them. The name resolves to the first `known` tasks.
    async fn start(known: usize) -> Self {
        let tasks: [Upstream; 3] = Upstream::start_tasks().await;
        let dns = Dns::start().await;
        dns.set(NAME, answer(&tasks[..known]));
        let edge = Edge::start(&config(dns.address(), tasks[0].address().port())).await;
        if known > 0 {
            let service = |edge: SocketAddr| async move { get(edge, "/").await.unwrap().status == StatusCode::OK };
            eventually("the first resolution", SOON, async || service(edge.address()).await).await;
        }
        Self { tasks, dns, edge }
    }

    /// Waits until the edge has resolved the name twice more: one resolution may have begun before.
    async fn is_resolved_again(&self) {
        // A resolution is one query for each address family.
        let before = self.dns.queries(NAME);
        eventually("another resolution", SOON, async || self.dns.queries(NAME) >= before + 4).await;
    }
}

fn config(dns: SocketAddr, port: u16) -> String {
    format!(
        "[dns]\nservers = \"{dns}\"\ninterval = \"100ms\"\ntimeout = \"300ms\"\n\
         {LISTENER}[pool.web]\nendpoints = \"{NAME}:{port}\"\n{CHECKS}"
    )
}

/// Returns an answer with the addresses of these tasks.
fn answer(tasks: &[Upstream]) -> Answer {
    Answer::addresses(tasks.iter().map(|task| task.address().ip()))
}

#[tokio::test]
async fn a_new_task_gets_requests_and_a_removed_one_does_not() {
    let Service { tasks, dns, edge } = Service::start(2).await;
    let load = Load::on(&[edge.address()]).start();
    dns.set(NAME, answer(&tasks));
    eventually("requests to the new task", SOON, async || tasks[2].requests_for("/") > 0).await;
    dns.set(NAME, answer(&tasks[1..]));
    assert_no_more_requests(&tasks[0], &load).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn the_last_good_answer_is_kept_while_the_name_server_fails() {
    let service = Service::start(3).await;
    let load = Load::on(&[service.edge.address()]).start();
    for bad in [Answer::NoSuchName, Answer::ServerFailure, Answer::Empty, Answer::Silence] {
        service.dns.set(NAME, bad);
        service.is_resolved_again().await;
        let before = service.tasks.each_ref().map(|task| task.requests_for("/"));
        eventually("requests to every task", SOON, async || {
            service.tasks.iter().zip(before).all(|(task, before)| task.requests_for("/") > before)
        })
        .await;
    }
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn a_name_that_appears_after_the_start_is_used() {
    let service = Service::start(0).await;
    service.dns.set(NAME, Answer::NoSuchName);
    let reply = get(service.edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    service.dns.set(NAME, answer(&service.tasks));
    eventually("service", SOON, async || get(service.edge.address(), "/").await.unwrap().status == StatusCode::OK)
        .await;
}

#[tokio::test]
async fn a_client_that_connects_before_the_first_answer_waits_for_it() {
    let tasks: [Upstream; 1] = Upstream::start_tasks().await;
    let dns = Dns::start().await;
    dns.set(NAME, Answer::NoSuchName);
    let edge = Edge::start(&config(dns.address(), tasks[0].address().port())).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    eventually("a resolution without an address", SOON, async || dns.queries(NAME) > 0).await;
    dns.set(NAME, answer(&tasks));
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_truncated_answer_is_repeated_over_tcp_and_all_sixty_addresses_are_used() {
    let tasks: [Upstream; 60] = Upstream::start_tasks().await;
    let dns = Dns::start().await;
    let addresses: Vec<IpAddr> = tasks.iter().map(|task| task.address().ip()).collect();
    dns.set(NAME, Answer::Addresses { addresses, ttl: DOCKER_TTL, truncated: true });
    let edge = Edge::start(&config(dns.address(), tasks[0].address().port())).await;
    let load = Load::on(&[edge.address()]).start();
    eventually("requests to all", SOON, async || tasks.iter().all(|task| task.requests_for("/") > 0)).await;
    assert!(dns.queries_over_tcp(NAME) > 0);
    drop(load);
}

#[tokio::test]
async fn an_address_that_was_removed_and_returns_is_used_again() {
    let Service { tasks, dns, edge } = Service::start(2).await;
    let load = Load::on(&[edge.address()]).start();
    for _ in 0..2 {
        dns.set(NAME, answer(&tasks[1..2]));
        eventually("the end of its connections", SOON, async || tasks[0].open_connections() == 0).await;
        let before = tasks[0].requests_for("/");
        dns.set(NAME, answer(&tasks[..2]));
        eventually("requests again", SOON, async || tasks[0].requests_for("/") > before).await;
    }
    assert_all_ok(&load.stop().await);
}
