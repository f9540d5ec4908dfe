//! What `exitone serve` refuses before it needs an engine.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn serve(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exitone"));
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    command.args(["serve", "--state"]).arg(folder).args(more).output().expect("it runs")
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn port_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    refused(&serve(folder.path(), &["--port", &port]), 2, &["cannot listen on 127.0.0.1:", "--port"]);
}

#[test]
fn state_folder_of_another_version_or_of_something_else() {
    for (journal, words) in [
        ("{\"journal\":\"exitone serve\",\"version\":99}\n", ["another version", "format 99", "--state DIR"]),
        (
            "{\"journal\":\"exitone serve\",\"version\":1}\nnonsense\n",
            ["journal.jsonl:2", "not a journal", "--state DIR"],
        ),
        ("hello\n", ["journal.jsonl:1", "not a journal", "--state DIR"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, journal).expect("written");
        refused(&serve(folder.path(), &["--port", "0"]), 3, &words);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), journal, "it is left as it was");
    }
}

#[test]
fn seed_that_describes_no_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed.json");
    for text in ["{}", "[1]", "hello", "{\"Service\":{\"ServiceName\":\"app\",\"ServiceArn\":\"nonsense\"}}"] {
        std::fs::write(&seed, text).expect("written");
        let output = serve(folder.path(), &["--port", "0", "--seed", seed.to_str().expect("a path")]);
        refused(&output, 3, &["seed.json", "describe-service"]);
    }
}

#[test]
fn environment_of_aws_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = serve(folder.path(), &["--print-env", "--port", "9000"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for line in [
        "export AWS_ENDPOINT_URL_APPRUNNER=http://127.0.0.1:9000",
        "export AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://127.0.0.1:9000",
        "export AWS_REGION=us-east-1",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}: {text}");
    }
    assert!(text.contains(&format!("export CURL_CA_BUNDLE={}/ca.pem", folder.path().display())), "{text}");
}
