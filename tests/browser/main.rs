//! The live page in a real browser: what a reader sees and does. Most tests show it cluster states of their own
//! ([`tests::stage`]); those in [`chain`] have the whole chain, from an engine through `watch`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a measurement is there to be read")]

mod access;
mod board;
mod chain;
mod clusters;
mod controls;
mod details;
mod logic;
mod screenshots;
mod speed;

use tests::browser::{Browser, Page};
use tests::stage::Stage;
use watch::cluster_state::ClusterState;

/// A cluster state on the page in a browser.
struct Show {
    stage: Stage,
    page: Page,
    _browser: Browser,
}

impl Show {
    async fn of(cluster: ClusterState) -> Self {
        let (stage, browser) = tokio::join!(Stage::start(cluster), Browser::start());
        let page = browser.page().await;
        page.open(&stage.url()).await;
        page.until("document.querySelector('[data-settled] .column')").await;
        Self { stage, page, _browser: browser }
    }

    /// Nothing went wrong meanwhile, and nobody else was asked for anything.
    fn end(self) {
        assert_eq!(self.page.problems(), Vec::<String>::new());
        let url = self.stage.url();
        let others: Vec<String> = self.page.requests().into_iter().filter(|asked| !asked.starts_with(&url)).collect();
        assert_eq!(others, Vec::<String>::new());
    }
}

/// The column of a node, as a selector.
fn column(node: usize) -> String {
    format!(".column[data-column='node{node}']")
}

/// The tile of a task, as a selector.
fn tile(task: &str) -> String {
    format!(".tile[data-task='{task}']")
}
