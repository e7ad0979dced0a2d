//! Screenshots of the page for the documentation. This is not a test: run it with `--ignored`, and a folder in `SHOTS`.

use std::path::PathBuf;

use tests::browser::{Browser, Screen};
use tests::page_server::PageServer;
use watch::cluster_state::UpdateState;

use crate::{clusters, incident};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes screenshots into the folder named by the environment variable SHOTS"]
async fn screenshots() {
    let folder = PathBuf::from(std::env::var_os("SHOTS").expect("SHOTS"));
    let calm = clusters::tutorial();
    let mut lost = calm.clone();
    clusters::node_down(&mut lost);
    let mut rolling = calm.clone();
    clusters::rolling(&mut rolling, "1.5.0", UpdateState::Updating);
    let bad = incident::cluster();
    let large = clusters::swarm(100, 2000);
    let browser = Browser::start().await;
    for (name, cluster, screen, scheme, after) in [
        ("light", &calm, Screen::DESK, "light", ""),
        ("dark", &calm, Screen::DESK, "dark", ""),
        ("phone", &calm, Screen::PHONE, "light", ""),
        ("narrow", &lost, Screen::NARROW, "dark", ""),
        ("wall", &calm, Screen::WALL, "dark", ""),
        ("down-light", &lost, Screen::DESK, "light", ""),
        ("down-dark", &lost, Screen { width: 1280, height: 800 }, "dark", ""),
        ("rolling", &rolling, Screen { width: 1280, height: 800 }, "light", ""),
        ("details", &rolling, Screen::DESK, "dark", "document.querySelector('.tile').click()"),
        ("incident", &bad, Screen::DESK, "light", ""),
        ("incident-phone", &bad, Screen { width: 390, height: 2600 }, "dark", ""),
        ("help", &calm, Screen::DESK, "light", "document.querySelector('#help-open').click()"),
        ("large", &large, Screen::WALL, "light", ""),
        ("large-desk", &large, Screen::DESK, "dark", ""),
    ] {
        if !std::env::var("ONLY").map_or(true, |only| only.split(',').any(|one| one == name)) {
            continue;
        }
        let server = PageServer::start(cluster.clone()).await;
        let page = browser.page().await;
        page.screen(screen).await;
        page.system(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]).await;
        page.open(&server.url()).await;
        page.until("document.querySelector('.tile')").await;
        if cluster.redis.is_some() {
            // Some visits over time, so that the chart shows a line.
            for round in 0..std::env::var("ROUNDS").map_or(2, |rounds| rounds.parse().unwrap()) {
                server.change(|cluster| {
                    let redis = cluster.redis.as_mut().unwrap();
                    redis.count = redis.count.map(|count| count + 14 + round * 7 % 5);
                    redis.at = Some(tests::page_server::now());
                    cluster.source.at = redis.at;
                });
                tests::wait::pause(std::time::Duration::from_millis(2100)).await;
            }
        }
        if !after.is_empty() {
            page.evaluate(after).await;
        }
        tests::wait::pause(std::time::Duration::from_millis(400)).await;
        page.save_screenshot(&folder.join(format!("{name}.png"))).await;
        assert_eq!(page.problems(), Vec::<String>::new());
    }
}
