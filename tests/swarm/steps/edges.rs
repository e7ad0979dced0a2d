//! Step 5: names that lead to several edges, and their certificates.

use tests::cert::Authority;
use tests::chaos::history::Hit;
use tests::swarm::checker::{Happened, Seen};
use tests::swarm::cluster::SITE;

use crate::journey::Journey;

/// An edge is killed while everybody looks the site's name up.
pub(crate) async fn dies(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let asked = cluster.dns.queries(SITE);
    let seen = checker
        .round(cluster, "edge killed", async |cluster| {
            let host = &cluster.hosts[1];
            // Until the swarm has put another one in its place.
            let kill = "old=$(docker ps --quiet --filter name=stackdemo_edge)
                docker kill --signal KILL \"$old\"
                timeout 60 sh -c 'until docker ps --quiet --filter name=stackdemo_edge | grep -qv \"$1\"; do sleep 0.2; done' sh \"$old\"";
            host.run(kill).await.expect("an edge to kill");
            Happened::of("edge of serveur18 killed")
        })
        .await;
    nobody_failed(&seen);
    assert!(cluster.dns.queries(SITE) > asked, "nobody asked for the name");
    // They were there, and they are there again: of those who have no other address.
    let second = |hit: &&Hit| hit.client == 1 + first_client(&seen.one_address);
    let mut outcomes = seen.one_address.iter().filter(second).map(|hit| hit.number().is_some());
    assert!(outcomes.any(|counted| !counted), "nobody noticed that the edge was gone");
}

fn first_client(hits: &[Hit]) -> usize {
    hits.iter().map(|hit| hit.client).min().unwrap_or_default()
}

/// Who goes by DNS and tries the next address was served every time.
pub(crate) fn nobody_failed(seen: &Seen) {
    assert!(seen.by_dns.len() > 50, "only {} visits", seen.by_dns.len());
    assert!(seen.failed.is_empty(), "{} visits failed: {:?}", seen.failed.len(), seen.failed);
}

/// The first certificate, and its successor: each is an update of the edges, one after the other.
pub(crate) async fn certificates(journey: &mut Journey) {
    let authority = Authority::new();
    journey.page.export("CURL_CA_BUNDLE", &authority.root_file().to_string_lossy());
    for (block, what) in [("tls", "edges updated: first certificate"), ("renew", "edges updated: new certificate")] {
        let site = journey.cluster.hosts[0].home().join("site.pem");
        let certificate = authority.issue(block, &[SITE]);
        std::fs::copy(certificate.combined_file, site).expect("a writable folder");
        let Journey { cluster, page, checker, .. } = journey;
        let Some(checker) = checker else { return };
        let seen = checker
            .round(cluster, "edges updated", async |cluster| {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
                Happened::of(what)
            })
            .await;
        nobody_failed(&seen);
        journey.block("tls-try").await;
    }
    journey.block("dns").await;
}
