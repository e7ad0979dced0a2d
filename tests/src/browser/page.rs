//! A page in the browser.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::devtools::DevTools;
use crate::wait::{SOON, try_eventually};

/// The size of a screen in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Screen {
    /// A laptop.
    pub const DESK: Self = Self { width: 1440, height: 900 };
    /// A phone held upright.
    pub const PHONE: Self = Self { width: 390, height: 844 };
    /// The narrowest phone that is still in use.
    pub const NARROW: Self = Self { width: 360, height: 640 };
    /// A wall screen.
    pub const WALL: Self = Self { width: 2560, height: 1440 };
}

/// A page. It records problems: see [`Page::problems`].
#[derive(Debug)]
pub struct Page {
    devtools: DevTools,
    session: String,
}

impl Page {
    pub(super) async fn new(devtools: DevTools, session: String) -> Self {
        let page = Self { devtools, session };
        for domain in ["Page", "Runtime", "Log", "Network", "Performance"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        // Chromium does not draw background pages.
        page.call("Page.bringToFront", json!({})).await;
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.screen(Screen { width: 1280, height: 800 }).await;
        page
    }

    /// Sends a command of the protocol.
    pub async fn call(&self, method: &str, parameters: Value) -> Value {
        self.devtools.call(Some(&self.session), method, parameters).await
    }

    /// Navigates to an address without waiting.
    pub async fn visit(&self, address: &str) {
        self.call("Page.navigate", json!({ "url": address })).await;
    }

    /// Opens an address and waits until the page is loaded.
    ///
    /// # Panics
    /// If the server does not respond.
    pub async fn open(&self, address: &str) {
        let answer = self.call("Page.navigate", json!({ "url": address })).await;
        assert!(answer["errorText"].is_null(), "{address}: {}", answer["errorText"]);
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'").await;
    }

    /// Evaluates a JavaScript expression; a promise is awaited.
    ///
    /// # Panics
    /// If it throws.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", parameters).await;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {} {}", thrown["text"], thrown["exception"]["description"]);
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// If it does not become true; the message contains the text of the page.
    pub async fn until(&self, expression: &str) {
        let found = try_eventually(SOON, async || {
            let checked = format!("(() => {{ try {{ return !!({expression}) }} catch {{ return false }} }})()");
            (self.evaluate(&checked).await == true).then_some(())
        });
        if found.await.is_none() {
            let text = self.evaluate("document.body?.innerText").await;
            panic!(
                "not true on the page: {expression}\n{}\n{}",
                text.as_str().unwrap_or(""),
                self.problems().join("\n")
            );
        }
    }

    /// Returns the text of an element; empty if there is none.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({})?.innerText ?? ''", quoted(selector))).await;
        // Non-breaking spaces only matter for layout.
        text.as_str().unwrap_or_default().replace(['\u{a0}', '\u{202f}'], " ")
    }

    /// Returns the number of visible elements.
    pub async fn visible(&self, selector: &str) -> u64 {
        let count = format!(
            "[...document.querySelectorAll({})].filter((node) => node.checkVisibility()).length",
            quoted(selector)
        );
        self.evaluate(&count).await.as_u64().unwrap_or_default()
    }

    /// Presses keys in order, by name: `ArrowDown`, `Enter`, `/`.
    pub async fn press(&self, keys: &[&str]) {
        for key in keys {
            let text = match *key {
                "Enter" => Some("\r"),
                one if one.chars().count() == 1 => Some(one),
                _ => None,
            };
            let mut down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code(key) });
            if let Some(text) = text {
                down["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", down).await;
            let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code(key) });
            self.call("Input.dispatchKeyEvent", up).await;
        }
    }

    /// Types text into the focused element.
    pub async fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Clicks on the centre of an element.
    ///
    /// # Panics
    /// If there is none, or another element covers it.
    pub async fn click(&self, selector: &str) {
        let quoted = quoted(selector);
        let point = self
            .evaluate(&format!(
                "(() => {{ const node = document.querySelector({quoted}); if (!node) return null;
                    node.scrollIntoView({{ block: 'center' }});
                    const box = node.getBoundingClientRect();
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const hit = document.elementFromPoint(x, y);
                    return node.contains(hit) || node.labels?.length && [...node.labels].some((label) => label.contains(hit))
                        ? {{ x, y }} : null }})()"
            ))
            .await;
        assert!(point.is_object(), "{selector} cannot be clicked on");
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({ "type": kind, "x": point["x"], "y": point["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", mouse).await;
        }
    }

    /// Sets the screen size.
    pub async fn screen(&self, screen: Screen) {
        let phone = screen.width < 640;
        let metrics = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets preferences of the system, such as `prefers-color-scheme` to `dark`.
    pub async fn system(&self, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Returns a screenshot as PNG.
    ///
    /// # Panics
    /// If the browser returns none.
    pub async fn screenshot(&self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        STANDARD.decode(answer["data"].as_str().unwrap_or_default()).expect("base64")
    }

    /// Writes a screenshot to a PNG file.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn save_screenshot(&self, path: &Path) {
        std::fs::write(path, self.screenshot().await).expect("a folder to write to");
    }

    /// Returns the problems reported since the page was opened: exceptions, errors on the console and violations of the
    /// content security policy.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let exceptions = self.devtools.events(&self.session, &["Runtime.exceptionThrown"]).into_iter().map(|event| {
            let details = &event["params"]["exceptionDetails"];
            format!("{} {}", details["text"], details["exception"]["description"])
        });
        let entries = self.devtools.events(&self.session, &["Log.entryAdded"]).into_iter();
        let entries = entries.filter(|event| {
            let entry = &event["params"]["entry"];
            // Network errors are expected: some tests stop the server.
            entry["level"] == "error" && entry["source"] != "network"
        });
        let console = self.devtools.events(&self.session, &["Runtime.consoleAPICalled"]).into_iter();
        let console = console.filter(|event| event["params"]["type"] == "error");
        exceptions.chain(entries.chain(console).map(|event| event["params"].to_string())).collect()
    }

    /// Returns the addresses the page has requested.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let sent = self.devtools.events(&self.session, &["Network.requestWillBeSent"]);
        sent.iter().filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// Clears [`Page::problems`] and [`Page::requests`].
    pub fn forget(&self) {
        self.devtools.forget(&self.session);
    }
}

/// Quotes text as a JavaScript literal.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns the legacy key code, which the browser still needs for some keys.
fn code(key: &str) -> u32 {
    match key {
        "Tab" => 9,
        "Enter" => 13,
        "Escape" => 27,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        _ => key.chars().next().map_or(0, |letter| u32::from(letter.to_ascii_uppercase())),
    }
}
