//! A real browser: Debian's Chromium without a screen, driven through its chromedriver (W3C WebDriver).
//!
//! Each browser has a profile of its own, which is empty, and talks to nobody but the pages that a test opens; that it
//! did so can be asked afterwards ([`Browser::requested`]). With `OCTOSTORE_SCREENSHOTS=DIRECTORY` in the environment its pictures are
//! kept there ([`Browser::picture`]).

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::options::{Home, clear_environment, text};
use super::plain_http::exchange;
use super::process::Process;
use super::{PATIENCE, eventually};

/// How WebDriver marks the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// chromedriver takes a free port of IPv4 and then the same one of IPv6, which another test may have taken: then it ends.
const DRIVER_STARTS: usize = 5;

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Process,
    _home: Arc<Home>,
}

/// A chromedriver, and its port. None if it ended at once.
fn start_driver(home: &Home) -> Option<(Process, u16)> {
    let mut command = Command::new("chromedriver");
    clear_environment(&mut command).arg("--port=0").env("HOME", &home.path).current_dir(&home.path);
    let mut process = Process::spawn(command);
    let port = process.find_in_output(|output| {
        let (_, rest) = output.split_once("started successfully on port ")?;
        rest.split_once('.')?.0.parse().ok()
    })?;
    Some((process, port))
}

impl Browser {
    /// Starts one.
    #[track_caller]
    pub fn start() -> Browser {
        let home = Home::new();
        let (process, port) = (0..DRIVER_STARTS)
            .find_map(|_| start_driver(&home))
            .expect("chromedriver (the package chromium-driver) starts");
        let driver = SocketAddr::from(([127, 0, 0, 1], port));
        let profile = format!("--user-data-dir={}", text(&home.file("profile")));
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        } } });
        let begun = call(driver, "POST", "/session", &wanted);
        let session = begun["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {begun}")).to_owned();
        Browser { driver, session, _process: process, _home: home }
    }

    /// Opens a page, and waits until it is there.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Where it is.
    #[track_caller]
    pub fn url(&self) -> String {
        self.get("/url").as_str().expect("a URL").to_owned()
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// Goes back by one page.
    #[track_caller]
    pub fn back(&self) {
        self.post("/back", &json!({}));
    }

    /// The page as it is now.
    #[track_caller]
    pub fn source(&self) -> String {
        self.get("/source").as_str().expect("a page").to_owned()
    }

    /// The text that is seen of an element; waits for the element.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let path = format!("/element/{}/text", self.find(selector));
        self.get(&path).as_str().expect("a text").to_owned()
    }

    /// Clicks on an element; waits for it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        // To the middle of the window, where nothing that comes or goes around it pushes it away meanwhile.
        let script = "document.activeElement.blur(); arguments[0].scrollIntoView({ block: 'center' })";
        self.post("/execute/sync", &json!({ "script": script, "args": [{ ELEMENT: element }] }));
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into a field in place of what is there, by keys, as a person does; waits for it.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let (control, null) = ('\u{e009}', '\u{e000}');
        let keys = json!({ "text": format!("{control}a{null}{text}") });
        self.post(&format!("/element/{}/value", self.find(selector)), &keys);
    }

    /// Whether there is such an element now.
    #[track_caller]
    pub fn has(&self, selector: &str) -> bool {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": selector }));
        found.as_array().is_some_and(|elements| !elements.is_empty())
    }

    /// Asserts that the page is no wider than the window.
    #[track_caller]
    pub fn assert_fits(&self) {
        let wide = self.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "the page is wider than the window: {wide}");
    }

    /// Asserts that since the last time there were requests, to this host alone, and no complaints.
    #[track_caller]
    pub fn assert_kept_to(&self, host: SocketAddr) {
        let ours = format!("http://{host}/");
        let requested = self.requested();
        let elsewhere: Vec<&String> =
            requested.iter().filter(|url| !url.starts_with(&ours) && !url.starts_with("data:")).collect();
        assert!(elsewhere.is_empty() && !requested.is_empty(), "not only {ours}: {elsewhere:#?}");
        assert_eq!(self.complaints(), [""; 0]);
    }

    /// What a function's body returns in the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a promise comes to in the page: the script calls `arguments[0]` with it.
    #[track_caller]
    pub fn run_async(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Lets the page, and others of its origin, do something that they would ask the user for.
    #[track_caller]
    pub fn allow(&self, permission: &str) {
        self.post("/permissions", &json!({ "descriptor": { "name": permission }, "state": "granted" }));
    }

    /// Makes the window look like one of so many pixels.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics });
        self.post("/goog/cdp/execute", &command);
    }

    /// Asks pages for their dark clothes, or for their light ones.
    #[track_caller]
    pub fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.post("/goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }));
    }

    /// Takes a picture of what is seen.
    #[track_caller]
    pub fn picture(&self, name: &str) {
        let picture = self.get("/screenshot");
        let png = STANDARD.decode(picture.as_str().expect("a picture")).expect("base64");
        assert!(png.starts_with(b"\x89PNG"), "no picture");
        if let Some(directory) = std::env::var_os("OCTOSTORE_SCREENSHOTS") {
            fs::write(std::path::Path::new(&directory).join(format!("{name}.png")), png).expect("a picture is kept");
        }
    }

    /// Every URL that its pages have asked for since the last time. A new window's own page is a part of the browser.
    #[track_caller]
    pub fn requested(&self) -> Vec<String> {
        let events = self.log("performance").into_iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let url = event["params"]["request"]["url"].as_str()?;
            let is_request = event["method"] == "Network.requestWillBeSent" && !url.starts_with("chrome:");
            is_request.then(|| url.to_owned())
        });
        events.collect()
    }

    /// What its pages, and the browser about them, have complained of since the last time.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").into_iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({ "type": kind })).as_array().expect("a log").clone()
    }

    fn find(&self, selector: &str) -> String {
        let path = format!("/session/{}/element", self.session);
        let body = json!({ "using": "css selector", "value": selector }).to_string();
        let mut found = None;
        eventually(format!("{selector} on {}: {PATIENCE:?}", self.url()), || {
            let answer = exchange(self.driver, "POST", &path, Some(&body));
            let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
            found = value["value"][ELEMENT].as_str().map(str::to_owned);
            found.is_some()
        });
        found.expect("it was found")
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        call(self.driver, "GET", &format!("/session/{}{path}", self.session), &Value::Null)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        call(self.driver, "POST", &format!("/session/{}{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser; killed itself, it would leave one behind.
        exchange(self.driver, "DELETE", &format!("/session/{}", self.session), None);
    }
}

/// One command to the driver.
#[track_caller]
fn call(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let body = (!body.is_null()).then(|| body.to_string());
    let answer = exchange(driver, method, path, body.as_deref());
    let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, 200, "{method} {path}: {}", value["value"]["message"]);
    value["value"].clone()
}
