//! Real clients of six protocols, with no server there: one that only connects goes on, and one that asks for more makes
//! its run inconclusive, never the image's failure.

use std::path::Path;

use serde_json::Value;

use super::rows::{self, Row, Wanted};
use super::support::{engine, exitone};

const IMAGE: &str = "exitone-test/clients:latest";
/// The protocol, and what plays it.
const CLIENTS: [(&str, &str, &str); 6] = [
    ("postgresql", "PostgreSQL", "port: 5432, container: {image: 'postgres:16'"),
    ("mysql", "MySQL", "port: 3306, container: {image: 'mysql:8'"),
    ("redis", "Redis", "port: 6379, container: {image: 'redis:7'"),
    ("mongodb", "MongoDB", "port: 27017, container: {image: 'mongo:7'"),
    ("amqp", "RabbitMQ", "port: 5672, container: {image: 'rabbitmq:3'"),
    ("smtp", "a mail server", "port: 587, container: {image: 'axllent/mailpit'"),
];

fn row() -> Row {
    Row {
        cmd: ["python", "main.py"].map(ToOwned::to_owned).to_vec(),
        user: "65534:65534".to_owned(),
        ..Row::new(IMAGE.to_owned(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/clients/app"))
    }
}

/// Runs a command about the image with this client; its exit code and document.
fn ask(command: &str, client: &str, asks: bool) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let service = folder.path().join("service.yaml");
    let more = if asks { ", ASK: 'yes'" } else { "" };
    let text =
        format!("port: 8000\nhealth_check: {{path: /}}\nenv: {{SERVER: server.internal, CLIENT: {client}{more}}}\n");
    std::fs::write(&service, text).expect("written");
    let image: &[&str] = if command == "run" { &["--image", IMAGE] } else { &[IMAGE] };
    let output = exitone()
        .args([command, "--format", "json"])
        .args(image)
        .arg("--service")
        .arg(&service)
        .output()
        .expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{client}: {e}: {err}"));
    (output.status.code(), document)
}

/// A protocol whose client speaks first, and one whose server does.
const FEW: [&str; 2] = ["postgresql", "smtp"];

#[tokio::test]
async fn client_that_only_connects_goes_on() {
    let Some((engine, _one)) = engine().await else { return };
    rows::build(engine.as_ref(), &[row()]).await;
    let wanted = Wanted::of("EXITONE_CLIENTS", &FEW);
    for (client, server, add) in CLIENTS.into_iter().filter(|(client, ..)| wanted.has(client)) {
        let (code, run) = ask("run", client, false);
        let case = &run["cases"][0];
        assert_eq!((code, &case["verdict"]), (Some(0), &Value::from("pass")), "{client}: {case:#}");
        let note = format!("({server}): the sandbox only accepted its connection");
        assert!(case["notes"].to_string().contains(&note), "{client}: {:#}", case["notes"]);

        let (code, run) = ask("run", client, true);
        let case = &run["cases"][0];
        assert_eq!((code, &case["verdict"]), (Some(5), &Value::from("unresolved")), "{client}: {case:#}");
        let need = &case["needs"][0];
        assert!(need["add"].as_str().is_some_and(|text| text.contains(add)), "{client}: {need:#}");
        assert!(need["text"].as_str().is_some_and(|text| text.contains("named by SERVER")), "{client}: {need:#}");
    }
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn missing_server_leaves_why_undecided() {
    let Some((engine, _one)) = engine().await else { return };
    rows::build(engine.as_ref(), &[row()]).await;
    let (code, answer) = ask("why", "postgresql", true);
    assert_eq!((code, &answer["verdict"]), (Some(5), &Value::from("unresolved")), "{answer:#}");
    assert_eq!(answer["minimal_sets"], Value::Array(Vec::new()), "{answer:#}");
    assert_eq!(answer["needs"][0]["kind"], "upstream", "{answer:#}");
    // One that only connects is searched as ever: without its server's name it cannot be reached.
    let (code, answer) = ask("why", "postgresql", false);
    assert_eq!(code, Some(1), "{answer:#}");
    let sets = answer["minimal_sets"].to_string();
    assert!(sets.contains("env.unset:SERVER") && sets.contains("egress.drop"), "{answer:#}");
}
