//! The nodes and their tasks as they change.

use std::collections::{BTreeMap, BTreeSet};

use tests::browser::Browser;
use tests::page_server::{PageServer, now};
use watch::cluster_state::{Alert, AlertState, Availability, ClusterState, Severity, TaskState, UpdateState};

use crate::{Show, clusters, column, tile};

#[tokio::test(flavor = "multi_thread")]
async fn each_node_is_a_column_with_its_facts_and_a_tile_for_each_task() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    for node in 0..3 {
        assert_eq!(page.visible(&format!("{} .tile", column(node))).await, 4);
    }
    let first = page.text(&column(0)).await;
    for fact in [
        "serveur17",
        "leader",
        "manager",
        "reachable",
        "active",
        "ready",
        "10.10.25.165",
        "engine 24.0.7",
        "4 CPUs",
        "16 GiB",
        "71 GB of 120 GB free",
        "linux/x86_64",
        "4 tasks",
    ] {
        assert!(first.contains(fact), "no {fact:?} in {first}");
    }
    assert!(!page.text(&column(1)).await.contains("leader"));
    let task = page.text(&tile("task00009")).await;
    for fact in ["web.1", "1.4.2", "running", "healthy", "h"] {
        assert!(task.contains(fact), "no {fact:?} in {task}");
    }
    // Each service has its own colour, the same on every node.
    let hues = page
        .evaluate(
            "[...document.querySelectorAll('.tile')].map((tile) =>
                [tile.querySelector('.name').textContent.split('.')[0], getComputedStyle(tile).backgroundImage])",
        )
        .await;
    let mut by_service: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in hues.as_array().unwrap() {
        by_service.entry(pair[0].as_str().unwrap()).or_default().insert(pair[1].as_str().unwrap());
    }
    assert_eq!(by_service.len(), 4);
    assert!(by_service.values().all(|hues| hues.len() == 1), "{by_service:?}");
    assert_eq!(by_service.values().collect::<BTreeSet<_>>().len(), 4, "{by_service:?}");
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_appear_change_move_and_disappear_without_losing_the_focus() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    // The element is reused, so that selection and focus stay.
    page.evaluate("document.querySelector(\".tile[data-task='task00009']\").focus()").await;
    page.evaluate("window.element = document.activeElement").await;
    show.server.change(|cluster| {
        let mut new = cluster.tasks["task00010"].clone();
        new.slot = Some(4);
        new.name = "stackdemo_web.4".to_owned();
        new.node = Some("node1".to_owned());
        cluster.tasks.insert("new".to_owned(), new);
        let task = cluster.tasks.get_mut("task00009").unwrap();
        task.node = Some("node1".to_owned());
        task.state = TaskState::Starting;
        task.restarts = 3;
        cluster.tasks.remove("task00011");
    });
    page.until("document.querySelector(\".tile[data-task='new']\")").await;
    assert_eq!(page.visible(&tile("task00011")).await, 0);
    assert_eq!(page.visible(&format!("{} .tile", column(0))).await, 3);
    assert_eq!(page.visible(&format!("{} .tile", column(1))).await, 6);
    let moved = page.text(&format!("{} {}", column(1), tile("task00009"))).await;
    assert!(moved.contains("starting → running") && moved.contains("↻ 3"), "{moved}");
    assert!(page.evaluate("document.activeElement === window.element && element.isConnected").await == true);
    // Ordered by name and slot.
    let names = page
        .evaluate(
            "[...document.querySelectorAll(\".column[data-column='node1'] .name\")].map((name) => name.textContent)",
        )
        .await;
    assert_eq!(names, serde_json::json!(["edge", "redis.2", "watch", "web.1", "web.2", "web.4"]));
    // When the focused tile disappears, the focus moves to its neighbour, not to the top of the page.
    show.server.change(|cluster| drop(cluster.tasks.remove("task00009")));
    page.until("!element.isConnected").await;
    assert_eq!(page.evaluate("document.activeElement.dataset.task").await, "task00010");
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_down_stays_greyed_out_with_its_age_until_it_returns() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let before = clusters::tutorial();
    show.server.change(clusters::node_down);
    page.until("document.querySelector(\".column[data-column='node2'][data-gone]\")").await;
    let text = page.text(&column(2)).await;
    for fact in ["down since", "4 min", "heartbeat failure", "unreachable", "running → shutdown", "web.3"] {
        assert!(text.contains(fact), "no {fact:?} in {text}");
    }
    let grey = format!("getComputedStyle(document.querySelector(\"{} .tile\")).filter", column(2));
    assert_eq!(page.evaluate(&grey).await, "grayscale(1)");
    assert!(page.text("#alerts").await.contains("serveur19 (10.10.25.167) is down"));
    assert!(page.text(".totals").await.contains("2/3"));
    assert!(page.text("#timeline").await.contains("serveur19 is down"));
    // Its replicas run on the other nodes now.
    assert_eq!(page.visible(&format!("{} .tile", column(1))).await, 6);
    show.server.change(|cluster| {
        cluster.nodes = before.nodes.clone();
        cluster.tasks = before.tasks.clone();
        cluster.alerts.clear();
    });
    page.until("!document.querySelector('.column[data-gone]')").await;
    assert_eq!(page.visible("#alerts").await, 0);
    assert_eq!(page.visible(&format!("{} .tile", column(1))).await, 4);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_updates_and_rollbacks_is_shown() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    show.server.change(|cluster| clusters::rolling(cluster, "1.5.0", UpdateState::Updating));
    page.until("document.querySelector('#updates .update')").await;
    let text = page.text("#updates").await;
    for fact in ["stackdemo_web", "1.4.2 → 1.5.0", "is being updated", "1 of 3"] {
        assert!(text.contains(fact), "no {fact:?} in {text}");
    }
    let bar = "document.querySelector('#updates [role=progressbar]').getAttribute('aria-valuenow')";
    assert_eq!(page.evaluate(bar).await, "1");
    // The old task shows the change of version, the new one its version.
    assert!(page.text(&tile("task00011")).await.contains("1.4.2 → 1.5.0"));
    assert!(page.text(&tile("new0")).await.contains("1.5.0"));
    assert!(page.text("#services").await.contains("updating"));
    show.server.change(|cluster| {
        let id = cluster.tasks["new1"].service.clone();
        cluster.tasks.get_mut("new1").unwrap().state = TaskState::Running;
        cluster.services.get_mut(&id).unwrap().running += 1;
    });
    page.until("document.querySelector('#updates [role=progressbar]').getAttribute('aria-valuenow') === '2'").await;
    // Rollback: the service specifies the old image again.
    show.server.change(|cluster| {
        let id = cluster.tasks["new1"].service.clone();
        let service = cluster.services.get_mut(&id).unwrap();
        service.image = clusters::image("web", "1.4.2");
        service.update.as_mut().unwrap().state = UpdateState::RollbackStarted;
    });
    page.until("document.querySelector('#updates .what').textContent === 'is being rolled back'").await;
    assert!(page.text("#updates").await.contains("1.5.0 → 1.4.2"));
    show.server.change(|cluster| {
        let id = cluster.tasks["new1"].service.clone();
        let update = cluster.services.get_mut(&id).unwrap().update.as_mut().unwrap();
        update.state = UpdateState::RollbackCompleted;
        update.completed_at = Some(now());
    });
    page.until("document.querySelector('#updates .what').textContent === 'rolled back'").await;
    assert_eq!(page.visible("#updates [role=progressbar]").await, 0);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn unassigned_tasks_have_their_own_column_and_past_tasks_are_shown_on_demand() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    show.server.change(|cluster| {
        let mut pending = cluster.tasks["task00009"].clone();
        pending.node = None;
        pending.state = TaskState::Pending;
        pending.slot = Some(9);
        pending.error = Some("no suitable node (insufficient memory on 3 nodes)".to_owned());
        cluster.tasks.insert("pending".to_owned(), pending);
        let mut failed = cluster.tasks["task00009"].clone();
        failed.state = TaskState::Failed;
        failed.desired = TaskState::Shutdown;
        failed.error = Some("task: non-zero exit (137)".to_owned());
        failed.created_at = failed.created_at.map(|at| at - 60_000);
        cluster.tasks.insert("failed".to_owned(), failed);
    });
    page.until("document.querySelector('.nowhere .tile')").await;
    let text = page.text(".nowhere").await;
    assert!(text.contains("No node yet") && text.contains("web.9") && text.contains("insufficient memory"), "{text}");
    // The successor of a failed task shows its error.
    assert_eq!(page.visible(&tile("failed")).await, 0);
    assert!(page.text(&tile("task00009")).await.contains("before: task: non-zero exit (137)"));
    page.click("#filter-stopped").await;
    page.until("document.querySelector(\".tile[data-task='failed']\")").await;
    assert_eq!(page.evaluate("location.hash").await, "#stopped=1");
    show.server.change(|cluster| cluster.tasks.get_mut("pending").unwrap().node = Some("node2".to_owned()));
    page.until("document.querySelector(\".column[data-column='node2'] .tile[data-task='pending']\")").await;
    assert_eq!(page.visible(".nowhere").await, 0);
    // Removing a node removes its column but not its tasks.
    show.server.change(|cluster| drop(cluster.nodes.remove("node2")));
    page.until("document.querySelector('.nowhere .tile') && !document.querySelector(\".column[data-column='node2']\")")
        .await;
    assert_eq!(page.visible(".nowhere .tile").await, 5);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn availability_redis_edges_and_services_are_shown() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    assert!(page.text("#redis").await.contains("3 of 3 sentinels answer"));
    assert!(page.text("#count").await.contains("1,204,331"));
    let edges = page.text("#edges").await;
    assert!(edges.contains("3 of 3 in use") && edges.contains("count.example.org"), "{edges}");
    assert!(page.text("#services").await.contains("3/3"));
    show.server.change(|cluster| {
        cluster.nodes.get_mut("node1").unwrap().availability = Availability::Drain;
        let redis = cluster.redis.as_mut().unwrap();
        redis.count = Some(1_204_999);
        redis.servers[0].up = false;
        let edge = cluster.edges.values_mut().next().unwrap();
        edge.pools[0].panic = true;
        edge.pools[0].endpoints[1].usable = false;
        edge.pools[0].endpoints[1].state = "ejected".to_owned();
        edge.pools[0].endpoints[1].reason = Some("5 errors in a row".to_owned());
        edge.certificates[0].not_after = Some(now() + 3 * 86_400_000 - 60_000);
        cluster.services.get_mut("service3").unwrap().running = 1;
    });
    page.until("document.querySelector('#count-value').textContent === '1,204,999'").await;
    page.until("document.querySelector('.endpoints').innerText.includes('ejected: 5 errors in a row')").await;
    assert!(page.text(&column(1)).await.contains("drain"));
    let redis = page.text("#redis").await;
    assert!(redis.contains("does not answer") && redis.contains("no master"), "{redis}");
    let edges = page.text("#edges").await;
    assert!(edges.contains("panic") && edges.contains("ends in 2 d"), "{edges}");
    assert_eq!(page.visible("#services tr[data-short]").await, 1);
    show.server.change(|cluster| {
        cluster.redis = None;
        cluster.edges.clear();
    });
    page.until("document.querySelector('#redis').hidden && document.querySelector('#edges').hidden").await;
    assert_eq!(page.visible(".overview").await, 0);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_shown_as_text_only() {
    let mut cluster = clusters::tutorial();
    let markup = "<img src=/x onerror=\"window.pwned=1\"><script>window.pwned=2</script>".to_owned();
    cluster.nodes.get_mut("node0").unwrap().hostname = markup.clone();
    cluster.nodes.get_mut("node0").unwrap().engine = Some(markup.clone());
    for service in cluster.services.values_mut() {
        service.name = format!("{markup}{}", service.name);
        service.stack = None;
    }
    let task = cluster.tasks.get_mut("task00009").unwrap();
    task.error = Some(markup.clone());
    task.image.tag = Some(markup.clone());
    cluster.redis.as_mut().unwrap().servers[0].address = markup.clone();
    cluster.edges.values_mut().next().unwrap().pools[0].name = markup.clone();
    cluster.edges.values_mut().next().unwrap().certificates[0].names = vec![markup.clone()];
    cluster.timeline.push(clusters::event(99, now(), Severity::Critical, &markup));
    let alert = Alert {
        state: AlertState::Firing,
        summary: markup.clone(),
        rule: markup.clone(),
        since: now(),
        ..Alert::default()
    };
    cluster.alerts.insert(markup.clone(), alert);
    let show = Show::of(cluster).await;
    let page = &show.page;
    page.click(&tile("task00009")).await;
    page.until("!document.querySelector('#details').hidden").await;
    assert!(page.text("#details").await.contains("onerror"));
    assert!(page.text(&column(0)).await.contains("<img src=/x"));
    assert_eq!(page.evaluate("document.querySelectorAll('img, body script').length").await, 0);
    assert!(page.evaluate("window.pwned").await.is_null());
    // The Content-Security-Policy also prevents the page from turning text into markup.
    let rejected = "(() => { try { document.body.innerHTML = '<p>'; return false } catch { return true } })()";
    assert_eq!(page.evaluate(rejected).await, true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_without_data_is_not_shown_as_one_without_nodes() {
    let mut cluster = ClusterState::default();
    cluster.source.error = Some("the engine is unreachable: connection refused".to_owned());
    let server = PageServer::start(cluster).await;
    let browser = Browser::start().await;
    let page = browser.page().await;
    page.open(&server.url()).await;
    page.until("document.body.innerText.includes('There is no data yet: the engine is unreachable')").await;
    assert_eq!(page.text("#empty").await, "Waiting for the first update.");
}
