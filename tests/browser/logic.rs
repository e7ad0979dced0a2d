//! The page's modules without the page, in the browser's JavaScript engine.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::page_server::PageServer;
use watch::cluster_state::{ClusterState, Delta, Event, Node, NodeState, Redis, Service, Task};

use crate::Show;
use crate::clusters;

/// Creates a small random cluster state that continues the timeline of `before`.
fn cluster(random: &mut fastrand::Rng, before: &ClusterState) -> ClusterState {
    fn map<T>(random: &mut fastrand::Rng, make: impl Fn(u8) -> T) -> BTreeMap<String, T> {
        (0..5)
            .filter(|_| random.bool())
            .collect::<Vec<u8>>()
            .into_iter()
            .map(|id| (id.to_string(), make(random.u8(0..3))))
            .collect()
    }
    let mut timeline = before.timeline.clone();
    let newest = timeline.last().map_or(0, |event| event.id);
    for id in 0..random.u64(0..250) {
        timeline.push(Event { id: newest + 1 + id, text: "é\u{2028}\"".to_owned(), ..Event::default() });
    }
    timeline.drain(..timeline.len().saturating_sub(ClusterState::TIMELINE));
    ClusterState {
        nodes: map(random, |number| Node {
            hostname: format!("node{number}"),
            state: if number == 0 { NodeState::Down } else { NodeState::Ready },
            ..Node::default()
        }),
        services: map(random, |number| Service { desired: u32::from(number), ..Service::default() }),
        tasks: map(random, |number| Task { service: number.to_string(), slot: Some(1), ..Task::default() }),
        redis: random.bool().then(|| Redis { count: Some(random.u64(0..3)), ..Redis::default() }),
        timeline,
        ..ClusterState::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_bring_the_pages_store_to_the_state_of_the_server() {
    let show = Show::of(clusters::tutorial()).await;
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    let mut states = vec![cluster(&mut random, &ClusterState::default())];
    for _ in 0..60 {
        let next = cluster(&mut random, states.last().unwrap());
        states.push(next);
    }
    let deltas: Vec<Delta> = states.windows(2).map(|pair| Delta::between(&pair[0], &pair[1])).collect();
    let script = format!(
        "(async () => {{
            const {{ Store }} = await import('/store.js');
            const store = new Store();
            const plain = () => {{
                const maps = Object.fromEntries(['nodes', 'services', 'tasks', 'edges', 'alerts']
                    .map((name) => [name, Object.fromEntries(store[name])]));
                const index = (ids) => Object.fromEntries([...ids].map(([key, set]) => [key, [...set].sort()]));
                return {{ ...maps, source: store.source, quorum: store.quorum, redis: store.redis,
                    timeline: store.timeline, byService: index(store.byService) }};
            }};
            store.snapshot({});
            const seen = [plain()];
            for (const delta of {}) {{ store.delta(delta); seen.push(plain()); }}
            return seen;
        }})()",
        json!(states[0]),
        json!(deltas),
    );
    let seen = show.page.evaluate(&script).await;
    for (index, cluster) in states.iter().enumerate() {
        let mut by_service: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, task) in &cluster.tasks {
            by_service.entry(&task.service).or_default().push(id);
        }
        let mut expected = json!(cluster);
        expected["byService"] = json!(by_service);
        assert_eq!(seen[index], expected, "state {index} of seed {seed}");
    }
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_modules_pass_their_own_tests() {
    let server = PageServer::start(ClusterState::default()).await;
    let browser = Browser::start().await;
    let page = browser.page().await;
    page.open(&server.url()).await;
    let report = page.evaluate(include_str!("logic.js")).await;
    let tests = report.as_array().expect("a report");
    assert!(tests.len() >= 15, "{report}");
    let failed: Vec<&Value> = tests.iter().filter(|test| !test["failed"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
