//! `exitone serve` with real clients: the AWS CLI and boto3 from PyPI, against real containers.

mod edge;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::driver::{Browser, ENTER, TAB};
use super::incident::truth;
use super::rows::Wanted;
use super::support::{PLANTED, STATE_HOME, engine, exitone, left_by, load_planted};

/// The versions that were tried; the CLI of PyPI is version 1.
const CLIENTS: [&str; 2] = ["awscli>=1.44,<2", "boto3"];
const SEED: &str = "scenarios/incident/vpc-without-nat/service.json";
/// A custom domain of the seed's service.
const DOMAIN: &str = "api.example.com";
const ARN: &str = "arn:aws:apprunner:us-east-1:123456789012:service/nerava-backend/7b13e5d9a0c64f2ab8d7c61e94f0a358";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Python with the clients, made once.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws-clients");
    let python = folder.join("bin/python");
    if !folder.join("ready").exists() {
        let run = |command: &mut Command| assert!(command.status().expect("it runs").success(), "{command:?}");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(CLIENTS));
        std::fs::write(folder.join("ready"), "").expect("written");
    }
    python
}

/// A running server; dropping it kills it.
struct Server {
    child: Child,
    port: u16,
    state: Option<tempfile::TempDir>,
    is_alone: bool,
}

impl Server {
    fn start() -> Self {
        Self::on(tempfile::tempdir().expect("a folder"))
    }

    /// In a network of its own that has loopback and nothing else, as have its clients: nothing of what they do can reach
    /// the outside. The engine's socket is a file. Only root may make one.
    fn alone() -> Self {
        let id = Command::new("id").arg("-u").output().expect("it runs").stdout;
        if id != b"0\n" {
            eprintln!("not root: the server is not cut off from the outside");
            return Self::start();
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_exitone")]);
        let mut server = Self::by(command, tempfile::tempdir().expect("a folder"));
        server.is_alone = true;
        server
    }

    fn on(state: tempfile::TempDir) -> Self {
        Self::by(Command::new(env!("CARGO_BIN_EXE_exitone")), state)
    }

    fn by(mut command: Command, state: tempfile::TempDir) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        command.args(["serve", "--seed", SEED, "--domain", DOMAIN, "--port", &port.to_string(), "--state"]);
        command.arg(state.path());
        command.env("XDG_STATE_HOME", STATE_HOME);
        let mut child = command.current_dir(root()).stderr(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.contains(&format!("http://127.0.0.1:{port}"))), "it says where it listens");
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("serve: {line}")));
        Self { child, port, state: Some(state), is_alone: false }
    }

    fn folder(&self) -> &Path {
        self.state.as_ref().expect("a folder").path()
    }

    /// Kills it, and returns its state folder.
    fn killed(mut self) -> tempfile::TempDir {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        self.state.take().expect("a folder")
    }

    /// The answer to a request: status and body; `None` if there is none within half a minute.
    fn send(&self, head: &str, body: &str) -> Option<(u16, String)> {
        self.send_within(Duration::from_secs(30), head, body)
    }

    fn send_within(&self, limit: Duration, head: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(limit)).expect("a limit");
        let length = body.len();
        write!(stream, "{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// Calls the API.
    fn call(&self, operation: &str, body: &Value) -> Value {
        let head = format!("POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nx-amz-target: AppRunner.{operation}", self.port);
        let (status, answer) = self.send(&head, &body.to_string()).expect("an answer");
        assert_eq!(status, 200, "{operation}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Waits until something holds.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the service answers at its address.
    fn serves(&self) -> bool {
        let head = format!("GET /health HTTP/1.1\r\nhost: {DOMAIN}");
        self.send(&head, "").is_some_and(|(status, body)| status == 200 && body.replace(' ', "") == r#"{"ok":true}"#)
    }

    /// Whether the service sends a one-time password in time.
    fn sends_otp(&self) -> bool {
        let head = format!("POST /v1/auth/otp/start HTTP/1.1\r\nhost: {DOMAIN}\r\ncontent-type: application/json");
        let answer = self.send_within(Duration::from_secs(6), &head, r#"{"phone":"+15555550100"}"#);
        answer.is_some_and(|(status, body)| status == 200 && body.replace(' ', "") == r#"{"otp_sent":true}"#)
    }

    /// Runs a program against it.
    fn run(&self, program: &str) {
        let environment = exitone()
            .args(["serve", "--print-env", "--seed", SEED, "--port", &self.port.to_string()])
            .arg("--state")
            .arg(self.folder())
            .current_dir(root())
            .output()
            .expect("it runs");
        let mut command = Command::new(if self.is_alone { "nsenter".into() } else { python() });
        if self.is_alone {
            command.args(["--net", "--target", &self.child.id().to_string()]).arg(python());
        }
        for line in String::from_utf8_lossy(&environment.stdout).lines() {
            let (name, value) = line.strip_prefix("export ").and_then(|line| line.split_once('=')).expect("a variable");
            command.env(name, value);
        }
        command.env("EXITONE_SERVE_PORT", self.port.to_string()).env("EXITONE_SERVE_ARN", ARN);
        command.env("EXITONE_SERVE_DOMAIN", DOMAIN);
        let done = command.arg(root().join("tests/fixtures/serve").join(program)).status().expect("it runs");
        assert!(done.success(), "{program}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn images() {
    let built = exitone().args(["images", "build"]).output().expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[tokio::test]
async fn commands_of_the_documents_run_unchanged() {
    let Some((_engine, _one)) = engine().await else { return };
    images().await;
    Server::alone().run("commands.py");
}

/// Deploys an image with an egress, and says what comes of it as the table of truth does.
async fn cell(server: &Server, image: &str, egress: &Value) -> &'static str {
    let before = operations(server);
    let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:{image}");
    let update = json!({
        "ServiceArn": ARN,
        "NetworkConfiguration": { "EgressConfiguration": egress },
        "SourceConfiguration": { "ImageRepository": { "ImageIdentifier": image, "ImageRepositoryType": "ECR" } },
    });
    server.call("UpdateService", &update);
    assert_eq!(settled(server, ARN).await, "RUNNING");
    let all = server.call("ListOperations", &json!({ "ServiceArn": ARN }));
    let newest = &all["OperationSummaryList"][0];
    assert!(!before.contains(&newest["Id"].as_str().expect("an id").to_owned()));
    assert!(server.serves(), "whatever was deployed, /health is answered");
    match newest["Status"].as_str() {
        Some("SUCCEEDED") if server.sends_otp() => "ok",
        Some("SUCCEEDED") => "ok*",
        Some("ROLLBACK_SUCCEEDED") => "1",
        other => panic!("{other:?}"),
    }
}

/// The images that run without more.
const FEW: [&str; 1] = ["v21-fresh"];

#[tokio::test]
#[ignore = "takes minutes; commands.py deploys some of them"]
async fn every_image_under_every_egress() {
    let Some((_engine, _one)) = engine().await else { return };
    images().await;
    let server = Server::start();
    server.until("the service runs", Server::serves).await;
    let truth = truth();
    let wanted = Wanted::of("EXITONE_SERVED", &FEW);
    let connector = "arn:aws:apprunner:us-east-1:123456789012:vpcconnector/nerava/1/5f0c6a1de7b34c0d9c4f9be7c3a1d2e4";
    let rows = [
        ("env.set:OTP_PROVIDER=twilio_verify", json!({ "EgressType": "DEFAULT" })),
        (
            "egress.drop + env.set:OTP_PROVIDER=twilio_verify",
            json!({ "EgressType": "VPC", "VpcConnectorArn": connector }),
        ),
    ];
    let mut wrong = Vec::new();
    for (row, egress) in rows {
        let mut cells: Vec<(&String, &String)> = truth.images.iter().zip(&truth.cells[row]).collect();
        cells.retain(|(image, _)| wanted.has(image));
        // After a rollback the version before answers: those that hang on an OTP request come last.
        cells.sort_by_key(|(_, expected)| *expected != "1");
        for (image, expected) in cells {
            let found = cell(&server, image, &egress).await;
            eprintln!("{image} under {row}: {found}");
            if found != expected {
                wrong.push(format!("{image} under {row}: {found} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn other_clients_wait_as_they_do() {
    let Some((_engine, _one)) = engine().await else { return };
    images().await;
    Server::start().run("waiters.py");
}

/// Presses Tab until the focus is on an element for which an expression is true.
fn tab_to(browser: &Browser, expression: &str) {
    let there = |browser: &Browser| browser.js(expression) == true;
    let found = (0..60).any(|_| {
        browser.press([TAB]);
        there(browser)
    });
    assert!(found, "the focus never reached {expression}");
}

/// Deploys an image with the keyboard alone.
fn deploy(browser: &Browser, image: &str) {
    tab_to(browser, "document.activeElement.dataset.action === 'Change the image…'");
    browser.press([ENTER]);
    browser.until("document.querySelector('#confirm').open && document.activeElement.id === 'value'");
    browser.press(image.chars());
    tab_to(browser, "document.activeElement.id === 'yes'");
    browser.press([ENTER]);
    browser.until("!document.querySelector('#confirm').open");
}

#[tokio::test]
async fn page_deploys_and_shows_what_comes_of_it() {
    let Some((_engine, _one)) = engine().await else { return };
    let Some(browser) = Browser::start() else { return };
    images().await;
    let server = Server::start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    browser.size(1280, 1000);
    browser.visit(&url);
    browser.until("document.querySelector('#name').innerText === 'nerava-backend RUNNING'");
    let newest = |status: &str| {
        browser.until(&format!("document.querySelector('#operations tr td:nth-child(2)').innerText === '{status}'"));
    };
    let image = |tag: &str| format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:{tag}");
    deploy(&browser, &image("v23-fixed-cmd-arm64"));
    newest("ROLLBACK_SUCCEEDED");
    browser.until("document.querySelector('#found').innerText.includes('arm64')");
    browser.holds("document.querySelector('#log').innerText.includes('Container exit code: 1')");
    browser.media("screen", "light");
    browser.picture("serve-failed-light");
    browser.media("screen", "dark");
    browser.picture("serve-failed-dark");
    deploy(&browser, &image("v24-lazy-otp"));
    newest("SUCCEEDED");
    browser.until("document.querySelector('#name').innerText === 'nerava-backend RUNNING'");
    browser.until("document.querySelector('#acts tr').innerText.includes('UpdateService nerava-backend')");
    browser.holds("[...document.querySelectorAll('#acts tr')].every((row) => row.innerText.includes('page'))");
    browser.picture("serve-good-dark");
    assert_eq!(browser.log("browser"), Vec::<Value>::new(), "no error, nothing blocked");
    // Another site's page may not call it.
    browser.visit("about:blank");
    let call = format!(
        "fetch('{url}', {{method: 'POST', headers: {{'X-Amz-Target': 'AppRunner.ListServices'}}, body: '{{}}'}})
           .then(() => document.title = 'answered', () => document.title = 'refused') && true"
    );
    browser.holds(&call);
    browser.until("document.title === 'refused'");
}

/// The ids of the service's operations, the newest first.
fn operations(server: &Server) -> Vec<String> {
    let all = server.call("ListOperations", &json!({ "ServiceArn": ARN }));
    let all = all["OperationSummaryList"].as_array().expect("a list").clone();
    all.iter().map(|operation| operation["Id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn killed_server_loses_nothing_and_leaves_nothing() {
    let Some((engine, _one)) = engine().await else { return };
    images().await;
    let mut state = tempfile::tempdir().expect("a folder");
    let mut known: Vec<String> = Vec::new();
    // Moments of a deployment, in milliseconds: spread over the four seconds that one takes.
    for round in 0..20_u64 {
        let server = Server::on(state);
        assert!(operations(&server).ends_with(&known), "round {round}: operations are missing");
        server.until("the service runs again", Server::serves).await;
        let tag = if round % 2 == 0 { "v20-otp-fix-fixed" } else { "v24-lazy-otp" };
        let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:{tag}");
        let source = json!({ "ImageRepository": { "ImageIdentifier": image, "ImageRepositoryType": "ECR" } });
        server.call("UpdateService", &json!({ "ServiceArn": ARN, "SourceConfiguration": source }));
        known = operations(&server);
        sleep(Duration::from_millis(round * 977 % 4000)).await;
        state = server.killed();
        let killed = Instant::now();
        while !left_by(engine.as_ref(), Path::new(STATE_HOME)).await.is_empty() {
            assert!(killed.elapsed() < Duration::from_secs(15), "round {round}: containers are left");
            sleep(Duration::from_millis(200)).await;
        }
        eprintln!("round {round}: nothing left {:.1} s after the kill", killed.elapsed().as_secs_f64());
    }
    let server = Server::on(state);
    assert!(operations(&server).ends_with(&known));
    server.until("the service runs again", Server::serves).await;
}

/// Waits until no operation of a service is under way, and returns its status.
async fn settled(server: &Server, arn: &str) -> String {
    let status = |server: &Server| {
        let service = server.call("DescribeService", &json!({ "ServiceArn": arn }));
        service["Service"]["Status"].as_str().expect("a status").to_owned()
    };
    server.until("the operation ends", |server| status(server) != "OPERATION_IN_PROGRESS").await;
    status(server)
}

/// Sends 2,000 calls, 100 at a time, and returns the milliseconds that each took, sorted.
async fn describe_2000(port: u16) -> Vec<f64> {
    async fn client(port: u16) -> Vec<f64> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let mut took = Vec::new();
        for _ in 0..20 {
            let body = Full::new(Bytes::from(json!({ "ServiceArn": ARN }).to_string()));
            let request = hyper::Request::post("/").header("host", format!("127.0.0.1:{port}"));
            let request = request.header("x-amz-target", "AppRunner.DescribeService").body(body).expect("a request");
            let begun = Instant::now();
            let answer = sender.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.expect("a body");
            took.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        took
    }
    let clients: Vec<_> = (0..100).map(|_| tokio::spawn(client(port))).collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.expect("it ends"));
    }
    all.sort_by(f64::total_cmp);
    all
}

/// Most memory that a process has had, in MB.
fn peak_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// Prints figures; it asserts no time.
#[tokio::test]
#[ignore = "takes minutes"]
async fn figures_of_a_server() {
    let Some((engine, _one)) = engine().await else { return };
    images().await;
    load_planted(engine.as_ref()).await;
    let server = Server::start();
    server.until("the service runs", Server::serves).await;
    let begun = Instant::now();
    let image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:v24-lazy-otp";
    let source = json!({ "ImageRepository": { "ImageIdentifier": image, "ImageRepositoryType": "ECR" } });
    server.call("UpdateService", &json!({ "ServiceArn": ARN, "SourceConfiguration": source }));
    let took = describe_2000(server.port).await;
    let (median, late) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    eprintln!("2,000 calls, 100 at a time, during a deployment: median {median:.1} ms, p99 {late:.1} ms");
    assert_eq!(settled(&server, ARN).await, "RUNNING");
    eprintln!("that deployment: {:.1} s", begun.elapsed().as_secs_f64());
    for _ in 0..3 {
        let begun = Instant::now();
        server.call("StartDeployment", &json!({ "ServiceArn": ARN }));
        assert_eq!(settled(&server, ARN).await, "RUNNING");
        eprintln!("a deployment by itself: {:.2} s", begun.elapsed().as_secs_f64());
    }
    let deployments = std::env::var("EXITONE_SERVE_DEPLOYMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_u32);
    let source = json!({ "ImageRepository": {
        "ImageIdentifier": PLANTED, "ImageRepositoryType": "ECR",
        "ImageConfiguration": { "StartCommand": "/planted chat 5000 0.0.0.0 8080" },
    } });
    let created = server.call("CreateService", &json!({ "ServiceName": "chatty", "SourceConfiguration": source }));
    let arn = created["Service"]["ServiceArn"].as_str().expect("an ARN").to_owned();
    let begun = Instant::now();
    assert_eq!(settled(&server, &arn).await, "RUNNING");
    for _ in 1..deployments {
        server.call("StartDeployment", &json!({ "ServiceArn": arn }));
        assert_eq!(settled(&server, &arn).await, "RUNNING");
    }
    eprintln!(
        "{deployments} deployments and {} lines of log in {:.0} s: at most {:.0} MB",
        deployments * 5000,
        begun.elapsed().as_secs_f64(),
        peak_mb(server.child.id()),
    );
}

#[tokio::test]
async fn answers_hold_against_the_service_model() {
    let Some((_engine, _one)) = engine().await else { return };
    Server::start().run("model.py");
}
