//! Tasks that share a tile.

use tests::page_server::now;
use watch::cluster_state::TaskState;

use crate::{Show, clusters, column, incident};

/// The tile of a group on the first node.
const GROUP: &str = ".column[data-column='node0'] .tile[data-many]";

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_failed_tasks_of_a_service_are_one_tile_with_their_number() {
    let mut cluster = clusters::tutorial();
    incident::fail(&mut cluster, "service3", 100);
    let show = Show::of(cluster).await;
    let page = &show.page;
    assert_eq!(page.visible(".tile").await, 12);
    page.click("#filter-stopped").await;
    page.until("document.querySelectorAll('.tile').length === 13").await;
    let text = page.text(GROUP).await;
    for fact in ["web", "100 failed", "1 min", incident::NO_IMAGE] {
        assert!(text.contains(fact), "no {fact:?} in {text}");
    }
    assert!(page.text(&column(0)).await.contains("104 tasks"));

    // One more failure changes the tile in place, and the focus stays on it.
    page.evaluate(&format!("window.element = document.querySelector(\"{GROUP}\"); element.focus()")).await;
    show.server.change(|cluster| {
        let mut newest = cluster.tasks["service300099"].clone();
        newest.created_at = Some(now());
        newest.error = Some("another error".to_owned());
        cluster.tasks.insert("newest".to_owned(), newest);
    });
    page.until("element.innerText.includes('101 failed') && element.innerText.includes('another error')").await;
    assert_eq!(page.evaluate("document.activeElement === element").await, true);

    // The keyboard reaches it like any other tile, and the details list its tasks.
    page.press(&["Home", "End"]).await;
    assert_eq!(page.evaluate("document.activeElement === element").await, true);
    page.press(&["Enter"]).await;
    page.until("document.activeElement.id === 'details-title'").await;
    let details = page.text("#details").await;
    assert!(details.contains("101 tasks failed on serveur17, the newest 40"), "{details}");
    assert_eq!(page.evaluate("document.querySelectorAll('#details .past li').length").await, 40);
    page.press(&["Escape"]).await;
    assert_eq!(page.evaluate("document.activeElement === element").await, true);

    // The filter selects tasks, not tiles.
    page.evaluate("location.hash = 'q=another&stopped=1'").await;
    page.until("document.querySelectorAll('.tile').length === 1").await;
    assert_eq!(page.text("#shown").await, "1 of 113 tasks on 1 node");
    let text = page.text(".tile").await;
    assert!(text.contains("web.5") && text.contains("rejected") && !text.contains("101"), "{text}");
    page.evaluate("location.hash = 'state=trouble'").await;
    page.until("/^101 of 113\\stasks on 1\\snode$/.test(document.querySelector('#shown').textContent)").await;
    assert_eq!(page.visible(".tile").await, 1);

    // Nothing is left of them when they are gone.
    show.server.change(|cluster| cluster.tasks.retain(|_, task| task.state == TaskState::Running));
    page.until("document.querySelectorAll('.tile').length === 0").await;
    page.evaluate("location.hash = 'stopped=1'").await;
    page.until("document.querySelectorAll('.tile').length === 12").await;
    show.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_wait_for_a_node_are_one_tile_until_they_get_one() {
    let mut cluster = clusters::tutorial();
    let problem = "no suitable node (insufficient memory on 3 nodes)";
    cluster.services.get_mut("service3").unwrap().problem = Some(problem.to_owned());
    incident::wait(&mut cluster, "service3", 60);
    let show = Show::of(cluster).await;
    let page = &show.page;
    assert_eq!(page.visible(".nowhere .tile").await, 1);
    let text = page.text(".nowhere").await;
    for fact in ["60 tasks", "60 waiting for a node", problem] {
        assert!(text.contains(fact), "no {fact:?} in {text}");
    }
    show.server.change(|cluster| {
        for slot in 1..=59 {
            let task = cluster.tasks.get_mut(&format!("service3-waits{slot}")).unwrap();
            task.node = Some("node1".to_owned());
            task.state = TaskState::Preparing;
        }
    });
    page.until("document.querySelectorAll(\".column[data-column='node1'] .tile\").length === 63").await;
    let text = page.text(".nowhere .tile").await;
    assert!(text.contains("web.60") && text.contains("pending → running"), "{text}");
    show.end();
}
