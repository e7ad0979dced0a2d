//! The live page in a real browser. Most tests serve their own cluster states to it ([`tests::page_server`]); those in
//! [`chain`] run the whole chain, from an engine through `watch`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "measurements are printed")]

mod access;
mod board;
mod chain;
mod clusters;
mod controls;
mod details;
mod groups;
mod incident;
mod logic;
mod order;
mod screenshots;
mod speed;
mod texts;

use tests::browser::{Browser, Page};
use tests::page_server::PageServer;
use watch::cluster_state::ClusterState;

/// A cluster state that the page shows in a browser.
struct Show {
    server: PageServer,
    page: Page,
    _browser: Browser,
}

impl Show {
    async fn of(cluster: ClusterState) -> Self {
        let (server, browser) = tokio::join!(PageServer::start(cluster), Browser::start());
        let page = browser.page().await;
        page.open(&server.url()).await;
        page.until("document.querySelector('[data-settled] .column')").await;
        Self { server, page, _browser: browser }
    }

    /// Asserts that the page reported no problem, and sent no request to another server.
    fn end(self) {
        assert_eq!(self.page.problems(), Vec::<String>::new());
        let url = self.server.url();
        let others: Vec<String> =
            self.page.requests().into_iter().filter(|request| !request.starts_with(&url)).collect();
        assert_eq!(others, Vec::<String>::new());
    }
}

/// Returns the selector of a node's column.
fn column(node: usize) -> String {
    format!(".column[data-column='node{node}']")
}

/// Returns the selector of a task's tile.
fn tile(task: &str) -> String {
    format!(".tile[data-task='{task}']")
}
