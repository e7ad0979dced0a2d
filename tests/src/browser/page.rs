//! One page, as its reader has it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::devtools::Link;
use crate::wait::{SOON, try_eventually};

/// A screen's size in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl Screen {
    /// A laptop's.
    pub const DESK: Self = Self { width: 1440, height: 900 };
    /// A phone held upright.
    pub const PHONE: Self = Self { width: 390, height: 844 };
    /// The narrowest phone that is still in use.
    pub const NARROW: Self = Self { width: 360, height: 640 };
    /// A screen on the wall.
    pub const WALL: Self = Self { width: 2560, height: 1440 };
}

/// A page. What goes wrong in it is kept: see [`Page::problems`].
#[derive(Debug)]
pub struct Page {
    link: Link,
    session: String,
}

impl Page {
    pub(super) async fn new(link: Link, session: String) -> Self {
        let page = Self { link, session };
        for domain in ["Page", "Runtime", "Log", "Network", "Performance"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        // A page in the background draws nothing.
        page.call("Page.bringToFront", json!({})).await;
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.screen(Screen { width: 1280, height: 800 }).await;
        page
    }

    /// Any command of the protocol.
    pub async fn call(&self, method: &str, parameters: Value) -> Value {
        self.link.call(Some(&self.session), method, parameters).await
    }

    /// Goes to an address, whatever is there.
    pub async fn visit(&self, address: &str) {
        self.call("Page.navigate", json!({ "url": address })).await;
    }

    /// Opens an address and waits until it is loaded.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn open(&self, address: &str) {
        let answer = self.call("Page.navigate", json!({ "url": address })).await;
        assert!(answer["errorText"].is_null(), "{address}: {}", answer["errorText"]);
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'").await;
    }

    /// The value of an expression of JavaScript; a promise is waited for.
    ///
    /// # Panics
    /// When it throws.
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
    /// When it does not become so; the message says what the page looks like.
    pub async fn until(&self, expression: &str) {
        let found = try_eventually(SOON, async || {
            let checked = format!("(() => {{ try {{ return !!({expression}) }} catch {{ return false }} }})()");
            (self.evaluate(&checked).await == true).then_some(())
        });
        if found.await.is_none() {
            let text = self.evaluate("document.body?.innerText").await;
            panic!("not so on the page: {expression}\n{}\n{}", text.as_str().unwrap_or(""), self.problems().join("\n"));
        }
    }

    /// What an element says, and an empty text where there is none.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({})?.innerText ?? ''", quoted(selector))).await;
        // Spaces that do not break are for the eye.
        text.as_str().unwrap_or_default().replace(['\u{a0}', '\u{202f}'], " ")
    }

    /// How many elements there are that can be seen.
    pub async fn visible(&self, selector: &str) -> u64 {
        let count = format!(
            "[...document.querySelectorAll({})].filter((node) => node.checkVisibility()).length",
            quoted(selector)
        );
        self.evaluate(&count).await.as_u64().unwrap_or_default()
    }

    /// Presses keys, one after the other, by their names: `ArrowDown`, `Enter`, `/`.
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

    /// Types a text where the focus is.
    pub async fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Clicks on the middle of an element, where a reader would have to see it.
    ///
    /// # Panics
    /// When there is none, or something else lies on it.
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

    /// Sets the size of the screen.
    pub async fn screen(&self, screen: Screen) {
        let phone = screen.width < 640;
        let metrics = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets what the reader's system asks for, such as `prefers-color-scheme` and `dark`.
    pub async fn system(&self, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The screen as a PNG.
    ///
    /// # Panics
    /// When the browser gives none.
    pub async fn cluster(&self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        STANDARD.decode(answer["data"].as_str().unwrap_or_default()).expect("base64")
    }

    /// Keeps the screen as a PNG file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn keep(&self, path: &Path) {
        std::fs::write(path, self.cluster().await).expect("a folder to write to");
    }

    /// What the page reported since it was opened that it should not: exceptions, errors on the console,
    /// what its content security policy has stopped.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let exceptions = self.link.events(&self.session, &["Runtime.exceptionThrown"]).into_iter().map(|event| {
            let details = &event["params"]["exceptionDetails"];
            format!("{} {}", details["text"], details["exception"]["description"])
        });
        let entries = self.link.events(&self.session, &["Log.entryAdded"]).into_iter();
        let entries = entries.filter(|event| {
            let entry = &event["params"]["entry"];
            // A server that is away is a part of some tests.
            entry["level"] == "error" && entry["source"] != "network"
        });
        let console = self.link.events(&self.session, &["Runtime.consoleAPICalled"]).into_iter();
        let console = console.filter(|event| event["params"]["type"] == "error");
        exceptions.chain(entries.chain(console).map(|event| event["params"].to_string())).collect()
    }

    /// Addresses that the page has asked for.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let sent = self.link.events(&self.session, &["Network.requestWillBeSent"]);
        sent.iter().filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// Forgets [`Page::problems`] and [`Page::requests`].
    pub fn forget(&self) {
        self.link.forget(&self.session);
    }
}

/// A text as JavaScript writes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The number that keyboards gave a key once, by which the browser still tells some.
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
