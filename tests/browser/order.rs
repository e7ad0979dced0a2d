//! What comes first on the page.

use serde_json::json;
use tests::browser::Screen;
use watch::cluster_state::{Alert, AlertState, Severity};

use crate::{Show, clusters, incident};

/// The rules of the visible alerts, indented by their depth.
const ALERTS: &str = "[...document.querySelectorAll('.alert')].map((node) =>
    '-'.repeat(Number(node.style.getPropertyValue('--depth'))) + node.querySelector('.note').textContent.split(' ')[0])";

#[tokio::test(flavor = "multi_thread")]
async fn causes_come_before_their_consequences_in_the_list_of_alerts() {
    let show = Show::of(incident::cluster()).await;
    let page = &show.page;
    // The worst are shown at once, and the rest on demand.
    let first = ["node_down", "crash_loop", "-service_below", "--edge_pool", "certificate"];
    let shown = page.evaluate(ALERTS).await;
    let shown: Vec<&str> = shown.as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
    assert_eq!(shown.iter().copied().filter(|rule| first.contains(rule)).collect::<Vec<_>>(), first);
    page.click("#alerts .more").await;
    let all =
        ["node_down", "-quorum_at_risk", "-edge_down", "crash_loop", "-service_below", "--edge_pool", "certificate"];
    page.until(&format!("JSON.stringify({ALERTS}) === '{}'", json!(all))).await;
    let text = page.text("#alerts").await;
    for note in
        ["follows from node_down · no message of its own", "follows from crash_loop", "follows from service_below"]
    {
        assert!(text.contains(note), "no {note:?} in {text}");
    }
    // A consequence outlives its cause in the list, in a place of its own.
    show.server.change(|cluster| drop(cluster.alerts.remove("crash_loop/service3.1")));
    page.until(&format!("{ALERTS}.includes('service_below') && {ALERTS}.includes('-edge_pool')")).await;
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_need_attention_come_first_and_say_why() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let names = "[...document.querySelectorAll('#services .service-name')].map((name) => name.textContent).join()";
    page.until(&format!("{names} === 'edge,redis,watch,web'")).await;
    show.server.change(|cluster| {
        let web = cluster.services.get_mut("service3").unwrap();
        web.running = 1;
        web.problem = Some("no suitable node".to_owned());
        let loops = Alert {
            state: AlertState::Firing,
            severity: Severity::Warning,
            summary: "stackdemo_watch ended 3 times".to_owned(),
            service: Some("service2".to_owned()),
            ..Alert::default()
        };
        cluster.alerts.insert("crash_loop/service2".to_owned(), loops);
    });
    page.until(&format!("{names} === 'watch,web,edge,redis'")).await;
    let table = page.text("#services").await;
    assert!(table.contains("no suitable node") && table.contains("stackdemo_watch ended 3 times"), "{table}");
    show.server.change(|cluster| {
        *cluster.services.get_mut("service3").unwrap() = clusters::tutorial().services["service3"].clone();
        cluster.alerts.clear();
    });
    page.until(&format!("{names} === 'edge,redis,watch,web'")).await;
    assert_eq!(page.visible("#services .problem").await, 0);
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_with_a_problem_come_first() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    let names = "[...document.querySelectorAll('.edge-name')].map((name) => name.textContent).join()";
    page.until(&format!("{names} === 'serveur17,serveur18,serveur19'")).await;
    show.server.change(|cluster| cluster.edges.values_mut().last().unwrap().pools[0].panic = true);
    page.until(&format!("{names} === 'serveur19,serveur17,serveur18'")).await;
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_narrow_screen_services_come_before_the_tasks_and_the_time_line_after_them() {
    let show = Show::of(clusters::swarm(4, 40)).await;
    let page = &show.page;
    // Document order is the order of the Tab key and of screen readers; the eye follows the upper edges.
    let order = "(() => {
        const parts = ['.services', '#filters', '#board', '.timeline'].map((name) => document.querySelector(name));
        const after = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
        const seen = parts.map((part) => part.getBoundingClientRect().top);
        return [parts, seen].map((list, way) => list.slice(1).every((next, at) =>
            way === 0 ? after(list[at], next) : list[at] < next)).join();
    })()";
    for screen in [Screen::NARROW, Screen::PHONE, Screen { width: 800, height: 1200 }] {
        page.screen(screen).await;
        page.until(&format!("{order} === 'true,true'")).await;
        // Ten services do not push the tasks far away.
        assert_eq!(page.visible("#services tbody tr").await, 8, "{screen:?}");
    }
    // Also on a page that is opened there.
    page.evaluate("window.isOld = true; location.reload()").await;
    page.until(&format!("!window.isOld && document.querySelector('[data-settled] .tile') && {order} === 'true,true'"))
        .await;
    page.click("#services-more").await;
    assert_eq!(page.visible("#services tbody tr").await, 10);
    // On a wide screen they are beside the tasks.
    page.screen(Screen::DESK).await;
    page.until("document.querySelector('.rail > .services') && document.querySelector('.rail > .timeline')").await;
    let beside = "document.querySelector('.services').getBoundingClientRect().left
        > document.querySelector('#board').getBoundingClientRect().right";
    assert_eq!(page.evaluate(beside).await, true);
    assert_eq!(page.visible("#services-more").await, 0);
    assert_eq!(page.visible("#services tbody tr").await, 10);
    show.end();
}
