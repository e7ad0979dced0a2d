//! What the texts of the page say, and that they can be read.

use serde_json::json;
use tests::browser::Screen;
use tests::page_server::now;
use watch::cluster_state::{ClusterState, Health, TaskState, UpdateState};

use crate::{Show, clusters, incident, tile};

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_shown_with_the_image_that_it_belongs_to() {
    let mut cluster = clusters::tutorial();
    for task in cluster.tasks.values_mut() {
        task.image.tag = Some("1".to_owned());
    }
    for service in cluster.services.values_mut() {
        service.image.tag = Some("1".to_owned());
    }
    let show = Show::of(cluster).await;
    let page = &show.page;
    let image = async |task: &str| {
        let image = page.evaluate(&format!("document.querySelector(\"{} .tag\").textContent", tile(task))).await;
        image.as_str().unwrap().to_owned()
    };
    assert_eq!(image("task00009").await, "web:1");
    assert!(page.text("#services").await.contains("web:1"));
    show.server.change(|cluster| clusters::rolling(cluster, "2", UpdateState::Updating));
    page.until("document.querySelector('#updates .change')?.textContent === 'web:1 → 2'").await;
    assert!(page.text("#updates").await.contains("1 of 3 tasks"));
    assert_eq!(image("task00011").await, "web:1 → 2");
    // No element has a bare number whose meaning only its place tells.
    let bare = "[...document.querySelectorAll('.tile *, #services .tag, #updates *, #edges .facts')]
        .filter((node) => node.childElementCount === 0 && node.checkVisibility() && /^[\\d.]+$/.test(node.textContent.trim()))
        .map((node) => node.outerHTML)";
    assert_eq!(page.evaluate(bare).await, json!([]));
    show.end();
}

/// Puts the longest texts into tiles.
fn crowd(cluster: &mut ClusterState) {
    let ages = [59_000, 59 * 60_000, 23 * 3_600_000, 400 * 86_400_000];
    for (index, task) in cluster.tasks.values_mut().enumerate() {
        task.since = Some(now() - ages[index % ages.len()]);
        task.restarts = if index % 3 == 0 { 123_456 } else { 0 };
        (task.state, task.desired, task.health) = match index % 5 {
            0 => (TaskState::Starting, TaskState::Running, Health::Starting),
            1 => (TaskState::Running, TaskState::Shutdown, Health::Unhealthy),
            2 => (TaskState::Preparing, TaskState::Complete, Health::None),
            _ => (TaskState::Running, TaskState::Running, Health::Healthy),
        };
        if index % 2 == 0 {
            task.image.tag = Some("2026.11.30-4f2a9c1d5e6f7a8b9c0d".to_owned());
        }
        if index % 7 == 0 {
            task.error = Some("task: non-zero exit (137): dockerexec: unhealthy container".to_owned());
        }
    }
    for service in cluster.services.values_mut() {
        service.name = format!("{}-of-the-department-of-long-names", service.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_are_never_cut() {
    for (nodes, tasks) in [(3, 24), (30, 400)] {
        let mut cluster = clusters::swarm(nodes, tasks);
        crowd(&mut cluster);
        incident::fail(&mut cluster, "service1", 20);
        let show = Show::of(cluster).await;
        let page = &show.page;
        page.click("#filter-stopped").await;
        page.until("document.querySelector('.tile[data-many]')").await;
        // In a tile of one line, the number of restarts may be cut.
        let names = if nodes > 3 { "['.age']" } else { "['.age', '.restarts']" };
        for screen in [Screen::NARROW, Screen::PHONE, Screen { width: 1100, height: 700 }, Screen::DESK, Screen::WALL] {
            page.screen(screen).await;
            for size in ["", "large"] {
                page.evaluate(&format!("document.documentElement.dataset.size = '{size}'")).await;
                // The box of the text itself, whether or not it is clipped.
                let cut = page
                    .evaluate(&format!(
                        "[...document.querySelectorAll('.tile')].slice(0, 60).flatMap((tile) => {{
                            const [outer, range] = [tile.getBoundingClientRect(), document.createRange()];
                            return {names}.map((name) => tile.querySelector(name)).filter((node) => {{
                                if (!node.checkVisibility()) return node.className === 'age';
                                range.selectNodeContents(node);
                                const text = range.getBoundingClientRect();
                                return text.width === 0 || text.left < outer.left || text.right > outer.right
                                    || text.top < outer.top - 1 || text.bottom > outer.bottom + 1;
                            }}).map((node) => `${{node.className}}: ${{tile.textContent}}`);
                        }})",
                    ))
                    .await;
                assert_eq!(cut, json!([]), "{nodes} nodes, {screen:?}, size {size:?}");
            }
        }
        show.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_without_a_hit_says_so_and_offers_to_clear_it() {
    let mut cluster = clusters::tutorial();
    incident::fail(&mut cluster, "service3", 3);
    let show = Show::of(cluster).await;
    let page = &show.page;
    let buttons = "[...document.querySelectorAll('#empty button')].filter((node) => node.checkVisibility())
        .map((node) => node.textContent).join()";
    let message = async || page.text("#empty p").await;
    page.press(&["/"]).await;
    page.type_text("nonsense").await;
    page.until("document.querySelector('#empty').checkVisibility()").await;
    assert_eq!(message().await, "No task matches “nonsense”.");
    assert_eq!(page.evaluate(buttons).await, "Clear the search");
    page.click("#empty button").await;
    page.until("document.querySelectorAll('.tile').length === 12 && location.hash === ''").await;
    assert_eq!(page.visible("#empty").await, 0);
    assert_eq!(page.evaluate("document.activeElement.id").await, "board", "the focus was lost with the button");

    // A search and filters can be cleared each.
    page.evaluate("location.hash = 'q=nonsense&service=stackdemo_web&state=trouble'").await;
    page.until(&format!("{buttons} === 'Clear the search,Clear all filters'")).await;
    assert_eq!(message().await, "No task matches “nonsense”, service stackdemo_web, state in trouble.");
    page.evaluate("location.hash = 'q=nonsense&node=serveur17'").await;
    page.until("document.querySelector('#empty p').textContent.includes('node serveur17')").await;

    // Stopped tasks that match are offered.
    page.evaluate("location.hash = 'q=such+image'").await;
    page.until(&format!("{buttons} === 'Clear the search,Show stopped tasks'")).await;
    assert_eq!(message().await, "No task matches “such image”. 3 stopped tasks do.");
    page.click("#empty button:not([hidden]) ~ button:not([hidden])").await;
    page.until("document.querySelectorAll('.tile').length === 1 && location.hash.includes('stopped=1')").await;

    // A node that matches is an answer, even if it has no task.
    show.server.change(|cluster| cluster.tasks.retain(|_, task| task.node.as_deref() != Some("node1")));
    page.evaluate("location.hash = 'q=serveur18'").await;
    page.until("document.querySelectorAll('.tile').length === 0").await;
    assert_eq!(page.visible("#empty").await, 0);
    assert_eq!(page.visible(".column").await, 1);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_keeps_its_colour_after_a_reload_among_other_services_and_when_it_is_removed() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let colours = "JSON.stringify(Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) =>
        [tile.querySelector('.name').textContent, getComputedStyle(tile).backgroundImage])
        .filter(([name]) => name.endsWith('web.1') || name.endsWith('redis.1'))))";
    let before = page.evaluate(colours).await;
    // Services that are added, also while the page is not open, leave the others as they are.
    show.server.change(|cluster| {
        for number in 0..40 {
            let mut service = cluster.services["service3"].clone();
            service.name = format!("stackdemo_{number}");
            cluster.services.insert(format!("more{number}"), service);
        }
    });
    page.until("document.querySelectorAll('#services tbody tr').length === 44").await;
    assert_eq!(page.evaluate(colours).await, before);
    page.evaluate("window.isOld = true; location.reload()").await;
    page.until("!window.isOld && document.querySelector('[data-settled] .tile')").await;
    assert_eq!(page.evaluate(colours).await, before);
    // The tasks of a removed service are still there for a while.
    let of_web = format!("getComputedStyle(document.querySelector(\"{}\")).backgroundImage", tile("task00009"));
    let web = page.evaluate(&of_web).await;
    show.server.change(|cluster| drop(cluster.services.remove("service3")));
    page.until("document.querySelectorAll('#services tbody tr').length === 43").await;
    assert_eq!(page.evaluate(&of_web).await, web);
    show.end();
}
