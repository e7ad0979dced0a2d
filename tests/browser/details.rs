//! The panel with the details of a task, node, service or edge.

use tests::page_server::now;
use watch::cluster_state::{Job, Mode};

use crate::{Show, clusters, tile};

#[tokio::test(flavor = "multi_thread")]
async fn details_change_in_place_and_keep_focus_and_selection() {
    let mut cluster = clusters::tutorial();
    cluster.tasks.get_mut("task00009").unwrap().since = Some(now() - 5_000);
    let show = Show::of(cluster).await;
    let page = &show.page;
    page.click(&tile("task00009")).await;
    page.until("document.querySelector('#details-title').textContent === 'stackdemo_web.1'").await;
    page.evaluate(
        "window.row = (label) => [...document.querySelectorAll('#details dt')].find((name) => name.textContent === label)
            .nextElementSibling;
         window.link = document.querySelector(\"#details [data-open='node:node0']\");
         link.focus();
         getSelection().selectAllChildren(row('Image'));
         window.selected = getSelection().toString();
         window.age = row('For').textContent; 0",
    )
    .await;
    let stays = "link.isConnected && document.activeElement === link && getSelection().toString() === selected
        && selected.length > 5";
    assert_eq!(page.evaluate(stays).await, true);
    // The age is updated every second.
    page.until("row('For').textContent !== age").await;
    assert_eq!(page.evaluate(stays).await, true);
    // A changed value is updated in place.
    show.server.change(|cluster| cluster.tasks.get_mut("task00009").unwrap().restarts = 7);
    page.until("row('Restarts').textContent === '7'").await;
    assert_eq!(page.evaluate(stays).await, true);
    // A new row rebuilds all rows, and the focus stays on the same link.
    show.server.change(|cluster| {
        cluster.tasks.get_mut("task00009").unwrap().exit_code = Some(3);
        cluster.nodes.get_mut("node0").unwrap().hostname = "renamed".to_owned();
    });
    page.until("row('Exit code').textContent === '3'").await;
    assert_eq!(page.evaluate("document.activeElement.dataset.open").await, "node:node0");
    assert_eq!(page.text("#details [data-open='node:node0']").await, "renamed");
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_why_its_tasks_do_not_run_and_a_job_how_many_completed() {
    let mut cluster = clusters::tutorial();
    let ids: Vec<String> = cluster.services.keys().take(2).cloned().collect();
    let short = cluster.services.get_mut(&ids[0]).unwrap();
    short.running -= 1;
    short.problem = Some("no suitable node".to_owned());
    let job = cluster.services.get_mut(&ids[1]).unwrap();
    job.mode = Mode::Job;
    job.job = Some(Job { total: 3, completed: 2, failed: 1 });
    let show = Show::of(cluster).await;
    let page = &show.page;
    let row = |id: &str| format!("document.querySelector(\"#services [data-service='{id}']\").closest('tr')");
    page.until(&format!("{}.title === 'no suitable node'", row(&ids[0]))).await;
    page.until(&format!("{}.querySelector('.count').textContent === '2/3'", row(&ids[1]))).await;
    assert_eq!(page.evaluate(&format!("'short' in {}.dataset", row(&ids[1]))).await, true);
    page.click(&format!("#services [data-service='{}']", ids[0])).await;
    page.until("document.querySelector('#details .problem')?.textContent === 'no suitable node'").await;
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_the_name_of_an_object_property_is_treated_as_unknown() {
    let show = Show::of(clusters::tutorial()).await;
    let page = &show.page;
    for word in ["__proto__", "constructor", "toString"] {
        page.evaluate(&format!("location.hash = 'state={word}&open={word}:x'")).await;
        page.until(&format!("document.querySelector('#details .kind').textContent === '{word}'")).await;
        assert_eq!(page.text("#details-title").await, "Gone");
        assert_eq!(page.visible(".tile").await, 12);
    }
    show.end();
}
