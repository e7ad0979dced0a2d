//! A real headless Chromium that opens pages, presses keys and clicks.
//!
//! It is controlled over the Chrome DevTools Protocol, which, unlike WebDriver, sets the colour scheme, reduced motion
//! and the screen size, and reports what the page logs. Only stable methods are used;
//! <https://chromedevtools.github.io/devtools-protocol/tot/>.

pub mod axe;
mod devtools;
mod page;

use serde_json::json;
use tempfile::TempDir;

use self::devtools::DevTools;
pub use self::page::{Page, Screen};
use crate::process::Process;

/// The program's names.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Options that disable background requests and first-run dialogs, among others. The sandbox is off because it does not
/// work for root, as in CI; only our own page is opened.
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

/// A running Chromium with its own profile. Dropping it ends the process.
#[derive(Debug)]
pub struct Browser {
    devtools: DevTools,
    // Dropped before the profile that it writes to.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium.
    ///
    /// # Panics
    /// If Chromium is not installed or does not start.
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
        Self { devtools: DevTools::open(address).await, _process: process, _profile: profile }
    }

    /// Opens an empty page of 1280 by 800 in its own context, without the storage of other pages.
    pub async fn page(&self) -> Page {
        let context = self.devtools.call(None, "Target.createBrowserContext", json!({})).await;
        let target = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = self.devtools.call(None, "Target.createTarget", target).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.devtools.call(None, "Target.attachToTarget", attach).await;
        Page::new(self.devtools.clone(), session["sessionId"].as_str().unwrap_or_default().to_owned()).await
    }
}

fn installed(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
