//! Steps 3 and 4: the stack, and its first visitors.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tests::client::tls::Offer;
use tests::client::{Connection, Reply, get};
use tests::netns::capture;
use tests::swarm::checker::Checker;
use tests::swarm::cluster::{HOSTS, SITE};
use tests::swarm::fabric::VISITOR;
use tests::swarm::shell;
use tests::wait::{deadline, eventually};

use crate::journey::Journey;

/// The time limit for a deployment.
const DEPLOYMENT: Duration = Duration::from_secs(120);

/// The time limit for a response.
const ANSWER: Duration = Duration::from_secs(20);

/// The variable that sets `NODES` of the stack. With `off` the edges connect to the replicas instead of the nodes.
const NODES: &str = "SWARM_NODES";

/// The line of the page that writes the stack's settings.
const SETTINGS: &str = "echo IMAGE=127.0.0.1:5000/stackdemo:1 >stack.env";

/// Step 3: deploys the stack.
pub(crate) async fn deploy_stack(journey: &mut Journey) {
    let Journey { cluster, page, .. } = &mut *journey;
    let deployed = match std::env::var(NODES) {
        Ok(nodes) => {
            let settings = format!("{SETTINGS}\necho NODES={nodes} >>stack.env");
            page.run_with(cluster, "deploy", SETTINGS, &settings).await
        }
        Err(_) => page.run(cluster, "deploy").await,
    };
    let (_, stderr) = deployed.unwrap_or_else(|error| panic!("block deploy: {error}"));
    // The client would print "Ignoring unsupported options: ...".
    for ignored in ["gnoring", "nsupported", "eprecated", "could not be accessed"] {
        assert!(!stderr.contains(ignored), "docker stack deploy warns:\n{stderr}");
    }
    journey.cluster.until_healthy(DEPLOYMENT).await;
}

/// Step 4: visits every address, and starts the checker.
pub(crate) async fn visit_addresses(journey: &mut Journey) {
    // The tutorial's own check, without other visitors.
    for (number, (_, address)) in (1..).zip(HOSTS) {
        let reply = answer(get(SocketAddr::from((address, 8000)), "/")).await;
        assert_eq!(reply.text(), format!("Hello World! I have been seen {number} times.\n"));
    }
    for (number, (_, address)) in (4..).step_by(2).zip(HOSTS) {
        let plain = answer(get(SocketAddr::from((address, 80)), "/")).await;
        assert_eq!(plain.text(), format!("Hello World! I have been seen {number} times.\n"));
        let secure = async {
            let edge = SocketAddr::from((address, 443));
            Connection::https(edge, SITE, Offer::accepting_any_certificate()).await?.get("/").await
        };
        let secure = answer(secure).await;
        assert_eq!(secure.text(), format!("Hello World! I have been seen {} times.\n", number + 1));
    }
    journey.block("try").await;

    // The replicas of every node are reached through the edge of every node.
    let nodes: BTreeSet<String> = HOSTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for edge in journey.cluster.addresses(80) {
        assert_eq!(served_by(edge, &nodes).await, nodes, "through {edge}");
    }
    assert_client_address_is_forwarded(journey).await;
    journey.checker = Some(Checker::start(&journey.cluster).await);
}

/// Sends requests to `edge` until replicas of all `nodes` have responded or the time limit is reached, and returns the
/// nodes whose replicas responded.
pub(crate) async fn served_by(edge: SocketAddr, nodes: &BTreeSet<String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let all = tests::wait::try_eventually(ANSWER, async || {
        if let Ok(reply) = get(edge, "/").await {
            seen.extend(reply.header("x-served-by").map(str::to_owned));
        }
        (seen == *nodes).then_some(())
    });
    // The caller compares.
    all.await.unwrap_or(());
    seen
}

/// Asserts that replicas receive the client's address, in the packets that arrive at them.
async fn assert_client_address_is_forwarded(journey: &Journey) {
    for ((name, address), scheme) in HOSTS.iter().flat_map(|host| [(host, "http"), (host, "https")]) {
        let path = format!("/?visitor-of-{name}-by-{scheme}");
        let mut replicas = Vec::new();
        for host in &journey.cluster.hosts {
            for network in host.networks_of("web").await {
                let path = path.clone();
                replicas.push(tokio::spawn(async move { capture(&network, &path, ANSWER).await }));
            }
        }
        let mut captured = None;
        eventually(&format!("a request through the edge of {name} by {scheme}"), ANSWER, async || {
            // Repeated, since the listeners may not listen yet.
            let visitor = VISITOR.to_string();
            let url = format!("{scheme}://{address}{path}");
            // There is no certificate yet.
            let curl = ["--silent", "--show-error", "--insecure", "--max-time", "5", "--interface", &visitor, &url];
            shell::output(shell::program("curl", curl), ANSWER).await.expect("an answer");
            if let Some(found) = replicas.iter().position(tokio::task::JoinHandle::is_finished) {
                captured = Some(replicas.swap_remove(found));
            }
            captured.is_some()
        })
        .await;
        for replica in replicas {
            replica.abort();
        }
        let Some(captured) = captured else { continue };
        let packet = captured.await.expect("no panic").expect("a namespace to listen in").expect("a packet");
        let is_forwarded = packet.to_ascii_lowercase().contains(&format!("x-forwarded-for: {VISITOR}\r\n"));
        assert!(is_forwarded, "through the edge of {name} by {scheme}:\n{packet}");
    }
}

async fn answer(asked: impl Future<Output = Result<Reply, tests::client::Error>>) -> Reply {
    deadline("an answer", ANSWER, asked).await.expect("an answer")
}
