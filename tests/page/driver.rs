//! A headless browser driven over the WebDriver protocol, as far as the page tests need it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Time limit for the driver and the browser. A busy machine needs some seconds to start a browser.
const MOST: Duration = Duration::from_secs(90);
/// Time limit for what a test waits for.
const MOST_MS: u64 = 20_000;
/// With a pipe to its driver, the browser ends when the driver does, however that happens.
const FLAGS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
];

/// Keys without a character, in WebDriver's encoding.
pub(crate) const ENTER: char = '\u{e007}';
pub(crate) const ESCAPE: char = '\u{e00c}';
pub(crate) const TAB: char = '\u{e004}';
pub(crate) const LEFT: char = '\u{e012}';
pub(crate) const UP: char = '\u{e013}';
pub(crate) const RIGHT: char = '\u{e014}';
pub(crate) const DOWN: char = '\u{e015}';

/// The driver's process, on a port it chooses.
struct Driver {
    child: Child,
    port: u16,
    /// Stays open: writing to a closed pipe kills the driver.
    output: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Option<Self> {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "no chromedriver: Debian's package chromium-driver is needed"
                );
                eprintln!("skipped: no chromedriver");
                return None;
            }
            Err(e) => panic!("chromedriver: {e}"),
        };
        let mut driver = Self { output: BufReader::new(child.stdout.take().expect("piped")), child, port: 0 };
        let mut said = String::new();
        while driver.port == 0 {
            let read = driver.output.read_line(&mut said).expect("its output");
            assert!(read > 0, "chromedriver ended before it named its port: {said}");
            let named = said.split_once("successfully on port ").map(|(_, port)| port.trim().trim_end_matches('.'));
            driver.port = named.map_or(0, |port| port.parse().expect("a port"));
        }
        Some(driver)
    }

    /// Sends one request over its own connection; returns the answer's `value`.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let told = |e: std::io::Error| format!("{method} {path}: {e}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(told)?;
        stream.set_read_timeout(Some(MOST)).map_err(told)?;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).map_err(told)?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).map_err(told)?;
            if line.trim().is_empty() && read > 0 {
                break;
            }
            if read == 0 {
                return Err(format!("{method} {path}: the answer broke off"));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|e| format!("{method} {path}: {e}"))?;
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).map_err(told)?;
        let mut answer: Value = serde_json::from_slice(&bytes).map_err(|e| format!("{method} {path}: {e}"))?;
        match &answer["value"]["error"] {
            Value::String(error) => Err(format!("{method} {path}: {error}: {}", answer["value"]["message"])),
            _ => Ok(answer["value"].take()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser with its own profile. It ends when dropped, even if a test panics.
pub(crate) struct Browser {
    session: String,
    driver: Driver,
    profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

impl Browser {
    /// Starts one; `None` without a driver.
    pub(crate) fn start() -> Option<Self> {
        let driver = Driver::start()?;
        let profile = tempfile::tempdir().expect("a folder");
        let own = format!("--user-data-dir={}", profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([own.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": MOST_MS + 10_000, "pageLoad": 60_000},
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let made = driver.call("POST", "/session", &wanted).unwrap_or_else(|e| panic!("{e}"));
        let session = made["sessionId"].as_str().expect("a session").to_owned();
        Some(Self { session, driver, profile })
    }

    /// The driver's process id.
    pub(crate) fn process(&self) -> u32 {
        self.driver.child.id()
    }

    /// The profile's folder.
    pub(crate) fn profile(&self) -> &Path {
        self.profile.path()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        self.driver.call(method, &path, body).unwrap_or_else(|e| panic!("{e}"))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.command("POST", path, body)
    }

    /// Loads an address.
    pub(crate) fn visit(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// Loads a file, and waits until its script has finished.
    pub(crate) fn open(&self, page: &Path, fragment: &str) {
        // A different fragment of the same file would not load anything.
        self.visit("about:blank");
        self.visit(&format!("file://{}{fragment}", page.display()));
        self.until("document.documentElement.dataset.ready !== undefined");
    }

    /// Reloads the page; returns its elements as HTML, without running any script.
    pub(crate) fn reloaded(&self) -> String {
        self.post("refresh", &json!({}));
        let document = self.cdp("DOM.getDocument", &json!({"depth": -1}));
        let html = self.cdp("DOM.getOuterHTML", &json!({"nodeId": document["root"]["nodeId"]}));
        let html = html["outerHTML"].as_str().expect("the page");
        // The content of a script is not an element.
        html.split("<script").map(|part| part.split("</script>").last().unwrap_or_default()).collect()
    }

    /// The value of a JavaScript expression.
    pub(crate) fn js(&self, expression: &str) -> Value {
        self.post("execute/sync", &json!({"script": format!("return ({expression});"), "args": []}))
    }

    /// The number that an expression evaluates to.
    pub(crate) fn number(&self, expression: &str) -> u64 {
        let value = self.js(expression);
        value.as_u64().unwrap_or_else(|| panic!("{expression}: {value}"))
    }

    /// The text that an expression evaluates to.
    pub(crate) fn text(&self, expression: &str) -> String {
        let value = self.js(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Asserts that an expression is true now.
    #[track_caller]
    pub(crate) fn holds(&self, expression: &str) {
        assert_eq!(self.js(expression), true, "{expression}; the page: {}", self.js("document.body.innerText"));
    }

    /// Waits until an expression is true; it is evaluated whenever the page changes.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
            const look = () => {{ if ({expression}) end(true); }};
            const events = ['hashchange', 'focusin', 'focusout', 'DOMContentLoaded', 'load', 'securitypolicyviolation'];
            const seen = new MutationObserver(look);
            const late = setTimeout(() => end(false), {MOST_MS});
            function end(held) {{
              seen.disconnect();
              clearTimeout(late);
              events.forEach((name) => removeEventListener(name, look));
              done(held || document.body.innerText);
            }}
            seen.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
            events.forEach((name) => addEventListener(name, look));
            look();"
        );
        let held = self.post("execute/async", &json!({"script": script, "args": []}));
        assert_eq!(held, true, "never came true: {expression}");
    }

    /// Clicks the middle of an element, which must exist.
    pub(crate) fn click(&self, css: &str) {
        let found = self.post("element", &json!({"using": "css selector", "value": css}));
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str).expect("an element");
        self.post(&format!("element/{id}/click"), &json!({}));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: impl IntoIterator<Item = char>) {
        let stroke = |key: char| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}));
        let strokes: Vec<Value> = keys.into_iter().flat_map(stroke).collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    /// Sends a command of the browser's own protocol.
    pub(crate) fn cdp(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Sets the medium, `screen` or `print`, and the system's colour scheme.
    pub(crate) fn media(&self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.cdp("Emulation.setEmulatedMedia", &json!({"media": media, "features": features}));
    }

    /// Sets the inner size of the window.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.cdp("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the browser has logged since the last call: `browser` is the console, `performance` the network.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        self.post("se/log", &json!({"type": kind})).as_array().cloned().unwrap_or_default()
    }

    /// Saves a screenshot to the folder in `EXITONE_PAGE_SHOTS`, if set.
    pub(crate) fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("EXITONE_PAGE_SHOTS") else { return };
        std::fs::create_dir_all(&folder).expect("a folder");
        let picture = self.command("GET", "screenshot", &Value::Null);
        let bytes = from_base64(picture.as_str().expect("a picture"));
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).expect("written");
    }
}

/// Decodes base64 (RFC 4648, section 4).
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    let three = |four: &[u8]| {
        let number = four.iter().fold(0_u32, |n, d| n << 6 | u32::from(*d)) << (6 * (4 - four.len()));
        number.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(three).collect()
}
