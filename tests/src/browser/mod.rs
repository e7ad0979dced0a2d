//! A real Chromium without a screen, driven as a reader would: it opens pages, presses keys, clicks, looks.
//!
//! It is told what to do in the Chrome DevTools Protocol, which sets what WebDriver does not: colour
//! scheme, reduced motion, the size of the screen, and tells what the page logged. The few methods used are
//! stable ones; <https://chromedevtools.github.io/devtools-protocol/tot/>.

pub mod axe;
mod devtools;
mod page;

use serde_json::json;
use tempfile::TempDir;

use self::devtools::Link;
pub use self::page::{Page, Screen};
use crate::process::Process;

/// Names that the program goes by.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Chromium asks its makers for news, and may show what a first start shows: none of it here. It runs as
/// root in CI, where its sandbox cannot; it only ever opens our own page.
const FLAGS: [&str; 17] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// A running Chromium with a profile of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    link: Link,
    // Before the profile, which it writes to.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no Chromium, or it does not start.
    pub async fn start() -> Self {
        let program = PROGRAMS.into_iter().find_map(installed).unwrap_or_else(|| {
            panic!("no Chromium: install one of {PROGRAMS:?}, such as with `apt-get install chromium`")
        });
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut process = Process::of(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .start();
        let line = process.line("DevTools listening on ").await;
        let address = line.rsplit(' ').next().unwrap_or_default();
        Self { link: Link::open(address).await, _process: process, _profile: profile }
    }

    /// A new, empty page of 1280 by 800, in a context of its own: no other page's storage.
    pub async fn page(&self) -> Page {
        let context = self.link.call(None, "Target.createBrowserContext", json!({})).await;
        let target = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = self.link.call(None, "Target.createTarget", target).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.link.call(None, "Target.attachToTarget", attach).await;
        Page::new(self.link.clone(), session["sessionId"].as_str().unwrap_or_default().to_owned()).await
    }
}

fn installed(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
