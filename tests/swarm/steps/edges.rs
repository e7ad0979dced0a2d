//! Step 5: several edges behind one name, and its certificates.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::Value;
use tests::cert::Authority;
use tests::chaos::history::Hit;
use tests::client::{Connection, request};
use tests::swarm::checker::{Event, Observations};
use tests::swarm::cluster::{Cluster, SITE};

use crate::journey::Journey;

/// The words with which the page runs a program of the image.
pub(crate) const RUN: &str = "run --rm";

/// The time limit for watch to show the endpoints of all edges.
const ENDPOINTS: Duration = Duration::from_secs(30);

/// Kills an edge while all visitors look up the site's name.
pub(crate) async fn kill(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let asked = cluster.dns.queries(SITE);
    let seen = checker
        .round(cluster, "edge killed", async |cluster| {
            let host = &cluster.hosts[1];
            // Kills the edge, and waits until the swarm has replaced it.
            let kill = "old=$(docker ps --quiet --filter name=stackdemo_edge)
                docker kill --signal KILL \"$old\"
                timeout 60 sh -c 'until docker ps --quiet --filter name=stackdemo_edge | grep -qv \"$1\"; do sleep 0.2; done' sh \"$old\"";
            host.run(kill).await.expect("an edge to kill");
            Event::new("edge of serveur18 killed")
        })
        .await;
    assert_no_visit_failed(&seen);
    assert!(cluster.dns.queries(SITE) > asked, "no visitor looked up the name");
    // The visitor without another address noticed it; the round has waited until it is served again.
    let second = |hit: &&Hit| hit.client == 1 + first_client(&seen.one_address);
    let mut outcomes = seen.one_address.iter().filter(second).map(|hit| hit.number().is_some());
    assert!(outcomes.any(|counted| !counted), "no visitor noticed that the edge was down");
}

fn first_client(hits: &[Hit]) -> usize {
    hits.iter().map(|hit| hit.client).min().unwrap_or_default()
}

/// Asserts that every visit by DNS got a number.
pub(crate) fn assert_no_visit_failed(seen: &Observations) {
    assert!(seen.by_dns.len() > 50, "only {} visits", seen.by_dns.len());
    assert!(seen.failed.is_empty(), "{} visits failed: {:?}", seen.failed.len(), seen.failed);
}

/// Returns the endpoints of each edge, as watch reports them.
async fn endpoints(cluster: &Cluster) -> Vec<BTreeSet<String>> {
    // The first deployment has written the token for the page.
    let token = std::fs::read_to_string(cluster.hosts[0].home().join("token.txt")).expect("a token");
    let mut swarm = request("watch", "/api/swarm");
    swarm.headers_mut().insert(AUTHORIZATION, format!("Bearer {}", token.trim_end()).parse().expect("a token"));
    let asked = async { Connection::http1(cluster.addresses(8080)[0]).await?.send(swarm).await };
    let Ok(cluster) = asked.await else { return Vec::new() };
    assert_eq!(cluster.status, 200, "{}", cluster.text());
    let cluster = cluster.json();
    let edges = cluster["edges"].as_object().into_iter().flat_map(|edges| edges.values());
    let of = |edge: &Value| {
        let endpoints = edge["pools"][0]["endpoints"].as_array().into_iter().flatten();
        endpoints.filter_map(|endpoint| endpoint["address"].as_str()).map(str::to_owned).collect()
    };
    edges.filter(|edge| edge["error"].is_null()).map(of).collect()
}

/// Installs the first certificate and renews it: both update the edges one after the other. Between the two updates the
/// edges use the replicas that the swarm's DNS returns, instead of the nodes that watch reports.
pub(crate) async fn install_certificates(journey: &mut Journey) {
    let authority = Authority::new();
    journey.page.export("CURL_CA_BUNDLE", &authority.root_file().to_string_lossy());
    for (block, what, nodes) in [
        ("tls", "edges updated: first certificate, replicas by DNS", "echo NODES=off >>stack.env"),
        ("renew", "edges updated: new certificate, nodes by watch", "sed -i '/^NODES=/d' stack.env"),
    ] {
        journey.cluster.hosts[0].run(nodes).await.expect("a writable file");
        let site = journey.cluster.hosts[0].home().join("site.pem");
        let certificate = authority.issue(block, &[SITE]);
        std::fs::copy(certificate.combined_file, site).expect("a writable folder");
        let Journey { cluster, page, checker, .. } = journey;
        let Some(checker) = checker else { return };
        let seen = checker
            .round(cluster, "edges updated", async |cluster| {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
                Event::new(what)
            })
            .await;
        assert_no_visit_failed(&seen);
        journey.block("tls-try").await;
        let nodes: BTreeSet<_> = journey.cluster.addresses(8000).into_iter().map(|node| node.to_string()).collect();
        let by_watch = block == "renew";
        let what = if by_watch { "every edge has the nodes" } else { "no edge has the nodes" };
        journey
            .cluster
            .until(what, ENDPOINTS, async || {
                let found = endpoints(&journey.cluster).await;
                // Behind the mesh the replicas are there as well, as backups.
                let wrong = found.iter().any(|edge| edge.is_superset(&nodes) != by_watch);
                (wrong || found.len() != journey.cluster.hosts.len()).then(|| format!("{found:?}"))
            })
            .await;
    }
    // The test's authority is not a public one; the block's container gets its root certificate.
    let host = &journey.cluster.hosts[0];
    let root = host.home().join("root.pem");
    std::fs::copy(authority.root_file(), &root).expect("a writable folder");
    let trusting = format!("{RUN} --volume {}:/root.pem:ro --env SSL_CERT_FILE=/root.pem", root.display());
    let Journey { cluster, page, trust, .. } = journey;
    let output = page.run_with(cluster, "dns", RUN, trust.insert(trusting)).await;
    let (report, _) = output.unwrap_or_else(|error| panic!("dns: {error}"));
    for address in cluster.addresses(443) {
        let line = report.lines().find(|line| line.trim_start().starts_with(&address.ip().to_string()));
        assert!(line.is_some_and(|line| line.contains("; trusted")), "{address}:\n{report}");
    }
}
