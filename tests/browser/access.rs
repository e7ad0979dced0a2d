//! Accessibility: axe in both themes and in all states of the page.

use tests::browser::{Browser, Screen, axe};
use tests::page_server::PageServer;
use watch::cluster_state::UpdateState;

use crate::{clusters, incident};

#[tokio::test(flavor = "multi_thread")]
async fn axe_has_no_serious_findings_in_any_state_light_or_dark() {
    let axe = axe::script();
    let calm = clusters::tutorial();
    let mut failing = calm.clone();
    clusters::node_down(&mut failing);
    clusters::rolling(&mut failing, "1.5.0", UpdateState::Paused);
    let edge = failing.edges.values_mut().next().unwrap();
    edge.ready = false;
    edge.reasons = vec!["no endpoint is healthy".to_owned()];
    edge.pools[0].panic = true;
    edge.pools[0].endpoints[0].usable = false;
    failing.redis.as_mut().unwrap().servers[1].up = false;
    failing.source.error = Some("the swarm has no leader".to_owned());
    failing.source.at = failing.source.at.map(|at| at - 40_000);
    let bad = incident::cluster();
    let many = clusters::swarm(30, 600);
    let states = [
        ("calm", &calm, Screen::DESK, ""),
        ("failing", &failing, Screen::DESK, ""),
        ("failing, all tasks, details", &failing, Screen::DESK, "#stopped=1&open=task:task00009"),
        ("an incident, with groups of tasks", &bad, Screen::DESK, "#stopped=1"),
        ("an incident on a phone", &bad, Screen::PHONE, "#open=service:report"),
        ("a node's details on a phone", &failing, Screen::PHONE, "#open=node:node2"),
        ("nothing found", &calm, Screen::PHONE, "#q=nothing&service=stackdemo_web"),
        ("help", &calm, Screen::DESK, "#help"),
        ("many", &many, Screen::WALL, "#state=running"),
    ];
    let browser = Browser::start().await;
    let mut found = Vec::new();
    for (name, cluster, screen, hash) in states {
        let server = PageServer::start(cluster.clone()).await;
        for theme in ["light", "dark"] {
            let page = browser.page().await;
            page.screen(screen).await;
            page.system(&[("prefers-color-scheme", theme), ("prefers-reduced-motion", "reduce")]).await;
            // axe creates markup, which the page's Content-Security-Policy forbids.
            page.call("Page.setBypassCSP", serde_json::json!({ "enabled": true })).await;
            page.open(&format!("{}{hash}", server.url())).await;
            page.until("document.querySelector('[data-settled]')").await;
            if hash == "#help" {
                page.press(&["?"]).await;
                page.until("document.querySelector('#help').open").await;
            }
            found.extend(
                page.accessibility_findings(&axe).await.into_iter().map(|one| format!("{name}, {theme}: {one}")),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
