//! Filters, keyboard, theme and screen sizes.

use serde_json::json;
use tests::browser::Screen;
use tests::page_server::now;
use tokio::time::Instant;
use watch::cluster_state::{Alert, Severity, TaskState};

use crate::{Show, clusters, column, tile};

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_board_and_are_kept_in_the_address() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    page.press(&["/"]).await;
    assert_eq!(page.evaluate("document.activeElement.id").await, "search");
    page.type_text("web serveur18").await;
    page.until("document.querySelectorAll('.tile').length === 1").await;
    assert_eq!(page.visible(".column").await, 1);
    assert_eq!(page.evaluate("location.hash").await, "#q=web+serveur18");
    assert_eq!(page.text("#shown").await, "1 of 12 tasks on 1 node");
    page.press(&["Escape"]).await;
    page.until("document.querySelectorAll('.tile').length === 12 && location.hash === ''").await;

    let choose = async |id: &str, value: &str| {
        page.evaluate(&format!(
            "(() => {{ const field = document.getElementById('{id}'); field.value = '{value}';
                field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
        ))
        .await;
    };
    choose("filter-service", "stackdemo_redis").await;
    page.until("document.querySelectorAll('.tile').length === 3").await;
    choose("filter-node", "serveur19").await;
    page.until("document.querySelectorAll('.tile').length === 1").await;
    assert_eq!(page.evaluate("location.hash").await, "#service=stackdemo_redis&node=serveur19");
    // The address reproduces the view.
    page.evaluate("window.isOld = true; location.reload()").await;
    page.until("!window.isOld && document.querySelectorAll('.tile').length === 1").await;
    assert_eq!(page.evaluate("document.getElementById('filter-node').value").await, "serveur19");
    page.click("#filter-clear").await;
    page.until("document.querySelectorAll('.tile').length === 12").await;

    choose("filter-state", "trouble").await;
    page.until("document.querySelectorAll('.tile').length === 0").await;
    show.server.change(|cluster| {
        let task = cluster.tasks.get_mut("task00003").unwrap();
        task.state = TaskState::Failed;
        task.error = Some("exit 1".to_owned());
    });
    // Updates also appear under the filter.
    page.until("document.querySelectorAll('.tile').length === 1").await;
    assert!(page.text(&tile("task00003")).await.contains("failed → running"));
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_every_tile_and_its_details_and_returns() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let focused = async || page.evaluate("document.activeElement.dataset.task ?? document.activeElement.id").await;
    // The first link skips to the nodes, and does not change the filter.
    page.evaluate("document.querySelector('.skip').focus()").await;
    page.press(&["Enter"]).await;
    assert_eq!(focused().await, "task00000");
    assert_eq!(page.evaluate("location.hash").await, "");
    // Exactly one tile is reachable by Tab.
    assert_eq!(page.evaluate("document.querySelectorAll('.tile[tabindex=\"0\"]').length").await, 1);
    page.evaluate("document.querySelector('.tile[tabindex=\"0\"]').focus()").await;
    assert_eq!(focused().await, "task00000");
    page.press(&["ArrowDown"]).await;
    assert_eq!(focused().await, "task00003");
    page.press(&["ArrowRight"]).await;
    assert_eq!(focused().await, "task00004");
    page.press(&["End"]).await;
    assert_eq!(focused().await, "task00010");
    page.press(&["ArrowRight", "ArrowRight", "Home"]).await;
    assert_eq!(focused().await, "task00002");
    page.press(&["ArrowLeft", "ArrowUp"]).await;
    assert_eq!(focused().await, "task00001", "the focus left the first tile of a column");
    assert_eq!(page.evaluate("document.querySelectorAll('.tile[tabindex=\"0\"]').length").await, 1);

    page.press(&["Enter"]).await;
    page.until("document.activeElement.id === 'details-title'").await;
    let text = page.text("#details").await;
    for fact in ["stackdemo_edge.node1", "serveur18", "registry.example.org/edge:1.4.2", "started", "task00001"] {
        assert!(text.contains(fact), "no {fact:?} in {text}");
    }
    assert_eq!(page.evaluate("location.hash").await, "#open=task%3Atask00001");
    // The details update while they keep the focus.
    show.server.change(|cluster| cluster.tasks.get_mut("task00001").unwrap().restarts = 7);
    page.until("document.querySelector('#details').innerText.includes('7')").await;
    assert_eq!(focused().await, "details-title");
    page.press(&["Escape"]).await;
    page.until("document.querySelector('#details').hidden").await;
    assert_eq!(focused().await, "task00001", "the focus did not return to the tile");

    page.press(&["?"]).await;
    page.until("document.querySelector('#help').open").await;
    page.press(&["Escape"]).await;
    page.until("!document.querySelector('#help').open").await;
    assert_eq!(focused().await, "task00001");
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_open_and_close_the_details_of_tasks_nodes_services_and_edges() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    page.click(&tile("task00009")).await;
    page.until("document.querySelector('#details-title').textContent === 'stackdemo_web.1'").await;
    // The panel links to the node, and its button filters for the node's tasks.
    page.click("#details [data-open='node:node0']").await;
    page.until("document.querySelector('#details-title').textContent === 'serveur17'").await;
    page.click("#details .buttons button").await;
    page.until("document.querySelectorAll('.tile').length === 4").await;
    page.click("#details .close").await;
    page.until("document.querySelector('#details').hidden").await;
    page.click("[data-service='service3']").await;
    page.until("document.querySelector('#details-title').textContent === 'stackdemo_web'").await;
    page.click("#details .close").await;
    page.click("#edges .edge-name").await;
    page.until("document.querySelector('#details').innerText.includes('10.10.25.166:8000')").await;
    page.click("#edges .edge-name").await;
    page.until("document.querySelector('#details').hidden").await;
    // An alert links to the affected node.
    show.server.change(|cluster| {
        let alert =
            Alert { summary: "serveur18 is down".to_owned(), node: Some("node1".to_owned()), ..Alert::default() };
        cluster.alerts.insert("down".to_owned(), alert);
    });
    page.until("document.querySelector('#alerts .summary')").await;
    page.click("#alerts .summary").await;
    page.until("document.querySelector('#details-title').textContent === 'serveur18'").await;
    page.click("#details .close").await;
    page.until("document.querySelector('#details').hidden").await;
    // The details of a removed task report its removal.
    page.click("#filter-clear").await;
    page.until("document.querySelectorAll('.tile').length === 12").await;
    page.click(&tile("task00009")).await;
    show.server.change(|cluster| drop(cluster.tasks.remove("task00009")));
    page.until("document.querySelector('#details-title').textContent === 'Gone'").await;
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_theme_follows_the_system_until_the_reader_chooses_one() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let brightness = async || {
        let sum = page
            .evaluate(
                "(() => { const canvas = document.createElement('canvas').getContext('2d');
                    canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
                    canvas.fillRect(0, 0, 1, 1);
                    return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((a, b) => a + b) })()",
            )
            .await;
        sum.as_u64().unwrap() / 3
    };
    page.system(&[("prefers-color-scheme", "light")]).await;
    assert!(brightness().await > 220);
    page.system(&[("prefers-color-scheme", "dark")]).await;
    assert!(brightness().await < 40);
    page.click("#theme").await;
    assert!(brightness().await > 220, "the light theme was not applied");
    page.evaluate("window.isOld = true; location.reload()").await;
    page.until("!window.isOld && document.querySelector('.tile')").await;
    assert!(brightness().await > 220, "the choice was not kept");
    page.click("#theme").await;
    assert_eq!(page.evaluate("localStorage.getItem('watch.theme')").await, "dark");
    page.click("#theme").await;
    assert!(page.evaluate("localStorage.getItem('watch.theme')").await.is_null());
    let size = async || page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)").await.as_f64();
    let before = size().await;
    page.click("#size").await;
    assert!(size().await > before);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn reduced_motion_is_respected() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let animations = "document.getAnimations().length";
    assert!(page.evaluate(animations).await.as_u64() > Some(0), "there is no motion by default");
    page.system(&[("prefers-reduced-motion", "reduce")]).await;
    page.until("document.getAnimations().length === 0").await;
    page.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(document.querySelector('#count-value').textContent))
            .observe(document.querySelector('#count-value'), { childList: true, characterData: true, subtree: true })",
    )
    .await;
    show.server.change(|cluster| {
        cluster.redis.as_mut().unwrap().count = Some(1_209_000);
        cluster.tasks.get_mut("task00001").unwrap().state = TaskState::Starting;
    });
    page.until("document.querySelector('.tile[data-state=starting]')").await;
    assert_eq!(page.evaluate("seen").await, json!(["1,209,000"]));
    assert_eq!(page.evaluate(animations).await, 0);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_screens_from_a_narrow_phone_to_a_wall() {
    let mut cluster = clusters::tutorial();
    clusters::node_down(&mut cluster);
    let show = Show::of(cluster).await;
    let page = &show.page;
    for screen in [
        Screen::NARROW,
        Screen::PHONE,
        Screen { width: 768, height: 1024 },
        Screen { width: 1100, height: 700 },
        Screen::DESK,
        Screen::WALL,
        Screen { width: 3840, height: 2160 },
    ] {
        page.screen(screen).await;
        for large in [false, true] {
            page.evaluate(&format!("document.documentElement.dataset.size = '{}'", if large { "large" } else { "" }))
                .await;
            // Not `innerWidth`, which grows on a phone with content that is too wide.
            let wide = page
                .evaluate(&format!(
                    "[...document.querySelectorAll('body *')].filter((node) => node.checkVisibility()
                        && node.getBoundingClientRect().right > {width} + 1
                        && getComputedStyle(node).position !== 'absolute').map((node) => node.outerHTML.slice(0, 120))",
                    width = screen.width,
                ))
                .await;
            assert_eq!(wide, json!([]), "{screen:?}, large type {large}");
            let width = page.evaluate("document.documentElement.scrollWidth").await;
            assert!(width.as_u64() <= Some(u64::from(screen.width)), "{screen:?}: {width}");
        }
    }
    // A phone has one column, with tiles large enough to touch.
    page.screen(Screen::NARROW).await;
    page.evaluate("delete document.documentElement.dataset.size").await;
    let lefts =
        "new Set([...document.querySelectorAll('.column')].map((node) => node.getBoundingClientRect().left)).size";
    assert_eq!(page.evaluate(lefts).await, 1);
    let height =
        "Math.min(...[...document.querySelectorAll('.tile')].map((node) => node.getBoundingClientRect().height))";
    assert!(page.evaluate(height).await.as_f64() >= Some(44.0));
    // A wall screen has one row of nodes, in larger type.
    page.screen(Screen { width: 3840, height: 2160 }).await;
    let tops =
        "new Set([...document.querySelectorAll('.column')].map((node) => node.getBoundingClientRect().top)).size";
    assert_eq!(page.evaluate(tops).await, 1);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_for_screen_readers_are_rate_limited_and_summarized() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    page.evaluate(
        "window.announced = []; new MutationObserver(() => announced.push(document.querySelector('#live').textContent))
            .observe(document.querySelector('#live'), { childList: true, characterData: true, subtree: true })",
    )
    .await;
    let started = Instant::now();
    for round in 0..80_u32 {
        show.server.change(|cluster| {
            let severity = if round == 7 { Severity::Critical } else { Severity::Info };
            cluster.timeline.push(clusters::event(100 + u64::from(round), now(), severity, &format!("event {round}")));
            cluster.tasks.get_mut("task00000").unwrap().restarts = round + 1;
        });
        // The page shows each change before the next.
        page.until(&format!("document.querySelector('.restarts').textContent.endsWith('\u{202f}{}')", round + 1)).await;
    }
    // Every change is announced or counted.
    let count = "announced.reduce((sum, text) => sum + text.includes('event 7')
        + Number(/(\\d+)\\s(?:other )?changes?/.exec(text)?.[1] ?? 0), 0) === 80";
    page.until(count).await;
    let announced = page.evaluate("announced").await;
    // At most one per six seconds, however long that took.
    let max = 1 + started.elapsed().as_secs() / 6;
    assert!(announced.as_array().unwrap().len() as u64 <= max, "more than {max}: {announced}");
    // The timeline shows the newest events, and the others on demand.
    assert_eq!(page.visible("#timeline li").await, 50);
    page.click("#timeline-more").await;
    page.until("document.querySelectorAll('#timeline li').length === 83").await;
    assert!(page.text("#timeline li").await.contains("event 79"));
    // There are no other live regions.
    let live = page
        .evaluate("[...document.querySelectorAll('[aria-live]:not([aria-live=off]), [role=status], [role=alert]')].map((node) => node.id)")
        .await;
    assert_eq!(live, json!(["shown", "live"]));
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_of_the_browser_does_not_affect_ages() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    // The browser's clock is a day behind.
    let skew = "const real = Date.now; Date.now = () => real() - 86400000;";
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": skew })).await;
    page.open(&show.server.url()).await;
    page.until("document.querySelector('.tile')").await;
    page.until("/^live · \\d+\\s+s$/.test(document.querySelector('#connection').innerText)").await;
    assert!(page.text(&tile("task00000")).await.contains("3 h"));
    assert_eq!(page.visible("#stale").await, 0);
    assert_eq!(page.visible(&column(0)).await, 1);
    show.end();
}
