//! The whole chain: an engine ([`tests::manager`]), the real `watch`, and the page in a real browser.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use tests::browser::{Browser, Page};
use tests::client;
use tests::manager::{Manager, SECRET, Swarm, template};
use tests::port;
use tests::process::Process;
use tests::wait::{SOON, deadline, eventually};

use crate::{column, tile};

/// The tutorial's services, with the number of tasks of each.
const SERVICES: [(&str, usize); 4] = [("edge", 3), ("redis", 3), ("watch", 3), ("web", 3)];

/// An engine, `watch` and the page.
struct Chain {
    manager: Manager,
    listen: SocketAddr,
    watch: Process,
    page: Page,
    browser: Browser,
}

impl Chain {
    async fn of(swarm: Swarm) -> Self {
        let (manager, browser) = tokio::join!(Manager::start(swarm), Browser::start());
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let watch = watch(&manager, listen).await;
        let page = browser.page().await;
        let chain = Self { manager, listen, watch, page, browser };
        chain.open("").await;
        chain
    }

    async fn open(&self, hash: &str) {
        self.page.open(&format!("http://{}/{hash}", self.listen)).await;
        self.page.until("document.querySelector('[data-settled] .column')").await;
    }

    async fn connection(&self) -> String {
        self.page.text("#connection").await
    }

    fn end(self) {
        assert_eq!(self.page.problems(), Vec::<String>::new());
        // The engine received only allowed requests.
        let allowed =
            ["/version", "/info", "/nodes", "/services", "/tasks", "/events"].map(|path| format!("GET {path}"));
        let others: Vec<String> =
            self.manager.requests().into_iter().filter(|request| !allowed.contains(request)).collect();
        assert_eq!(others, Vec::<String>::new());
    }
}

async fn watch(manager: &Manager, listen: SocketAddr) -> Process {
    watch_with(manager, listen, &[]).await
}

async fn watch_with(manager: &Manager, listen: SocketAddr, arguments: &[&str]) -> Process {
    let mut watch = Process::ours("watch")
        .args(["--listen", &listen.to_string(), "--docker", &manager.url(), "--fresh", "3s"])
        .args(arguments)
        .start();
    watch.line("listening").await;
    watch
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_the_engine() {
    let chain = Chain::of(Swarm::new(3, &SERVICES)).await;
    let page = &chain.page;
    assert_eq!(page.visible(".column").await, 3);
    assert_eq!(page.visible(".tile").await, 12);
    let first = page.text(&column(0)).await;
    for fact in ["serveur1", "leader", "manager", "10.10.0.1", "engine 20.10.24", "4 CPUs", "8 GiB", "linux/x86_64"] {
        assert!(first.contains(fact), "no {fact:?} in {first}");
    }
    page.evaluate("document.querySelector(\".tile[data-task='task3x0']\").focus()").await;

    // A node goes down: it stays, greyed out, and its tasks start on other nodes.
    chain.manager.change(|swarm| {
        swarm.set_ready(2, false);
        let lost: Vec<String> =
            swarm.tasks.iter().filter(|(_, task)| task["NodeID"] == "node2").map(|(id, _)| id.clone()).collect();
        for (index, id) in lost.iter().enumerate() {
            let new = swarm.move_task(id, index % 2);
            swarm.set_state(&new, "starting", "");
        }
    });
    page.until("document.querySelector(\".column[data-column='node2'][data-gone]\")").await;
    page.until("document.querySelectorAll(\".column[data-column='node0'] .tile\").length === 6").await;
    assert!(page.text(&column(2)).await.contains("down since"));
    assert!(page.text("#timeline").await.contains("serveur3"));
    assert_eq!(page.evaluate("document.activeElement.dataset.task").await, "task3x0", "the focus stays");
    assert!(page.text(".totals").await.contains("2/3"));

    // The node returns.
    chain.manager.change(|swarm| {
        swarm.set_ready(2, true);
        swarm.tasks.retain(|id, task| task["DesiredState"] == "running" || id.ends_with("again"));
        for id in swarm.tasks.keys().cloned().collect::<Vec<_>>() {
            swarm.set_state(&id, "running", "");
        }
    });
    page.until(
        "!document.querySelector('.column[data-gone]') && !document.querySelector('.tile[data-state=starting]')",
    )
    .await;
    assert_eq!(page.visible(&format!("{} .tile", column(2))).await, 0);
    assert_eq!(page.visible(".tile").await, 12);

    // An update changes the tag.
    chain.manager.change(|swarm| {
        let service = swarm.services.get_mut("service3").unwrap();
        service["Spec"]["TaskTemplate"] = template("web", "2.0");
        service["UpdateStatus"] =
            json!({ "State": "updating", "StartedAt": "2026-01-02T10:00:00Z", "Message": "update in progress" });
        let task = swarm.tasks.get_mut("task3x0").unwrap();
        task["Spec"] = template("web", "2.0");
    });
    page.until("document.querySelector('#updates .change')?.textContent === 'web:1.0 → 2.0'").await;
    assert!(page.text("#updates").await.contains("1 of 3"));

    // A task crashes: its successor's tile and details show its error.
    chain.manager.change(|swarm| {
        let mut new = swarm.tasks["task0x0"].clone();
        swarm.set_state("task0x0", "failed", "task: non-zero exit (1)");
        swarm.tasks.get_mut("task0x0").unwrap()["DesiredState"] = "shutdown".into();
        new["ID"] = "after".into();
        new["CreatedAt"] = "2026-01-02T11:00:00.000000000Z".into();
        swarm.tasks.insert("after".to_owned(), new);
    });
    page.until("document.querySelector(\".tile[data-task='after']\")?.innerText.includes('non-zero exit (1)')").await;
    assert!(page.text(&tile("after")).await.contains("↻ 1"));
    page.click(&tile("after")).await;
    page.until("document.querySelector('#details').innerText.includes('Earlier in this slot')").await;

    // The page receives no other data of the engine.
    let all = client::get(chain.listen, "/api/swarm").await.unwrap().text();
    assert!(all.contains("serveur3") && !all.contains(SECRET));
    let page_text = page.evaluate("document.documentElement.outerHTML").await;
    assert!(!page_text.as_str().unwrap().contains(SECRET));
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_reconnects_after_watch_was_down() {
    let mut chain = Chain::of(Swarm::new(3, &SERVICES)).await;
    eventually("live", SOON, async || chain.connection().await.starts_with("live")).await;
    chain.page.evaluate("window.element = document.querySelector('.tile')").await;
    chain.watch.kill();
    eventually("offline", SOON, async || chain.connection().await.contains("offline, again in")).await;
    let banner = chain.page.text("#stale").await;
    assert!(banner.starts_with("The data is") && banner.contains("old: "), "{banner}");
    assert_eq!(chain.page.visible(".tile").await, 12, "the last state stays visible");
    chain.manager.change(|swarm| swarm.set_ready(1, false));
    chain.watch = watch(&chain.manager, chain.listen).await;
    eventually("live again", SOON, async || chain.connection().await.starts_with("live")).await;
    chain.page.until("document.querySelector('.column[data-gone]')").await;
    assert_eq!(chain.page.visible("#stale").await, 0);
    assert_eq!(chain.page.evaluate("element.isConnected").await, true, "unchanged elements are reused");
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_gives_access_to_the_page_and_its_stream_after_reconnects() {
    let (manager, browser) = tokio::join!(Manager::start(Swarm::new(3, &SERVICES)), Browser::start());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.txt");
    std::fs::write(&file, "ops:correct horse\n").unwrap();
    let arguments = ["--password-file", file.to_str().unwrap()];
    let mut watch = watch_with(&manager, listen, &arguments).await;

    let other = browser.page().await;
    for login in ["", "ops:wrong@"] {
        other.visit(&format!("http://{login}{listen}/")).await;
        other.until("document.readyState === 'complete'").await;
        assert_eq!(other.visible(".column").await, 0, "{login}");
    }

    let page = browser.page().await;
    page.open(&format!("http://ops:correct%20horse@{listen}/")).await;
    page.until("document.querySelectorAll('[data-settled] .tile').length === 12").await;
    page.until("document.querySelector('#connection').dataset.state === 'live'").await;
    // The browser sends the password again when the stream reconnects.
    watch.kill();
    page.until("document.querySelector('#connection').innerText.includes('offline')").await;
    manager.change(|swarm| swarm.set_ready(1, false));
    let _watch = watch_with(&manager, listen, &arguments).await;
    page.until("document.querySelector('.column[data-gone]')").await;
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_below_a_path() {
    let (manager, browser) = tokio::join!(Manager::start(Swarm::new(3, &SERVICES)), Browser::start());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let _watch = watch_with(&manager, listen, &["--base-path", "/ops/watch"]).await;
    let page = browser.page().await;
    // The redirection adds the slash, from which the addresses of the files start.
    page.open(&format!("http://{listen}/ops/watch")).await;
    page.until("document.querySelectorAll('[data-settled] .tile').length === 12").await;
    page.until("document.querySelector('#connection').dataset.state === 'live'").await;
    assert_eq!(page.evaluate("location.pathname").await, "/ops/watch/");
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_reconnects_after_watch_was_frozen() {
    let mut chain = Chain::of(Swarm::new(3, &SERVICES)).await;
    eventually("live", SOON, async || chain.connection().await.starts_with("live")).await;
    // Connections stay open and no data arrives: only the missing beats reveal it.
    chain.watch.freeze();
    eventually("offline", Duration::from_secs(40), async || chain.connection().await.contains("offline")).await;
    assert!(chain.page.text("#stale").await.contains("the server fell silent"));
    chain.watch.thaw();
    eventually("live again", Duration::from_secs(40), async || chain.connection().await.starts_with("live")).await;
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_the_last_state_is_shown_with_its_age() {
    let chain = Chain::of(Swarm::new(3, &SERVICES)).await;
    let page = &chain.page;
    let error = "rpc error: code = Unknown desc = The swarm does not have a leader.";
    chain.manager.change(|swarm| swarm.refusal = Some(error.to_owned()));
    page.until("document.querySelector('#connection').dataset.state === 'stale'").await;
    let banner = page.text("#stale").await;
    assert!(banner.starts_with("The data is") && banner.contains("since"), "{banner}");
    assert_eq!(page.visible(".tile").await, 12);
    page.until("/[4-9]\\s+s old/.test(document.querySelector('#connection').innerText)").await;
    // A page that is opened now shows the same.
    let second = chain.browser.page().await;
    second.open(&format!("http://{}/", chain.listen)).await;
    second
        .until("document.querySelectorAll('.tile').length === 12 && document.querySelector('#stale').checkVisibility()")
        .await;
    chain.manager.change(|swarm| swarm.refusal = None);
    page.until("document.querySelector('#connection').dataset.state === 'live'").await;
    assert_eq!(page.visible("#stale").await, 0);
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_nodes_and_two_thousand_tasks_are_shown() {
    let services: Vec<(String, usize)> = (0..20).map(|number| (format!("service{number}"), 100)).collect();
    let services: Vec<(&str, usize)> = services.iter().map(|(name, tasks)| (name.as_str(), *tasks)).collect();
    let chain = Chain::of(Swarm::new(100, &services)).await;
    let page = &chain.page;
    page.until(
        "document.querySelectorAll('.tile').length === 2000 && document.querySelectorAll('.column').length === 100",
    )
    .await;
    assert!(page.text(".totals").await.contains("2,000"));
    chain.manager.change(|swarm| drop(swarm.move_task("task7x55", 3)));
    page.until("document.querySelector(\".column[data-column='node3'] .tile[data-task='task7x55again']\")").await;
    chain.open("#q=service7+serveur50").await;
    page.until("document.querySelectorAll('.tile').length === 1").await;
    deadline("a key", SOON, page.press(&["/", "Escape"])).await;
    page.until("document.querySelectorAll('.tile').length === 2001").await;
    chain.end();
}
