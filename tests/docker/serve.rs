//! `exitone serve` with real clients: the AWS CLI and boto3 from PyPI, against real containers.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::support::{engine, exitone};

/// The versions that were tried; the CLI of PyPI is version 1.
const CLIENTS: [&str; 2] = ["awscli>=1.44,<2", "boto3"];
const SEED: &str = "scenarios/incident/vpc-without-nat/service.json";
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
    state: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let state = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_exitone"));
        command.args(["serve", "--seed", SEED, "--port", &port.to_string(), "--state"]).arg(state.path());
        let mut child = command.current_dir(root()).stderr(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.contains(&format!("http://127.0.0.1:{port}"))), "it says where it listens");
        // What it says later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("serve: {line}")));
        Self { child, port, state }
    }

    /// Runs a program against it.
    fn run(&self, program: &str) {
        let environment = exitone().args(["serve", "--print-env", "--seed", SEED, "--port", &self.port.to_string()])
            .arg("--state").arg(self.state.path()).current_dir(root()).output().expect("it runs");
        let mut command = Command::new(python());
        for line in String::from_utf8_lossy(&environment.stdout).lines() {
            let (name, value) = line.strip_prefix("export ").and_then(|line| line.split_once('=')).expect("a variable");
            command.env(name, value);
        }
        command.env("EXITONE_SERVE_PORT", self.port.to_string()).env("EXITONE_SERVE_ARN", ARN);
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
    Server::start().run("commands.py");
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn other_clients_wait_as_they_do() {
    let Some((_engine, _one)) = engine().await else { return };
    images().await;
    Server::start().run("waiters.py");
}

#[tokio::test]
async fn answers_hold_against_the_service_model() {
    let Some((_engine, _one)) = engine().await else { return };
    Server::start().run("model.py");
}
