//! What `exitone serve` refuses before it needs an engine.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
fn state_folder_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = std::fs::File::create(folder.path().join("lock")).expect("created");
    lock.lock().expect("locked");
    let words = ["in use by another `exitone serve`", "--state DIR"];
    refused(&serve(folder.path(), &["--port", "0"]), 3, &words);
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
    let folder = folder.path().display();
    assert!(text.contains(&format!("export CURL_CA_BUNDLE={folder}/ca.pem\nexport CURL_HOME={folder}\n")), "{text}");
}

const SEED: &str = r#"{"Service": {
    "ServiceName": "app", "ServiceArn": "arn:aws:apprunner:us-east-1:123456789012:service/app/0123456789abcdef0123456789abcdef",
    "ServiceUrl": "abcdefghij.us-east-1.awsapprunner.com",
    "SourceConfiguration": {"ImageRepository": {"ImageIdentifier": "app:1", "ImageRepositoryType": "ECR"}}
}}"#;

/// Answers one request, and returns its head.
fn answer_one(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().expect("a connection");
    let lines = BufReader::new(&stream).lines().map(|line| line.expect("text"));
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfound").expect("answered");
    head.join("\n")
}

#[test]
fn curl_finds_services_under_their_public_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join(".curlrc"), "user-agent = \"mine\"\n").expect("written");
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, SEED).expect("written");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    drop(taken);
    let mut command = Command::new(env!("CARGO_BIN_EXE_exitone"));
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env("HOME", home.path());
    command.args(["serve", "--state"]).arg(folder.path()).args(["--port", &port.to_string(), "--seed"]).arg(&seed);
    command.args(["--domain", "api.example.com", "--domain", "WWW.example.com"]);
    // It writes the files, and then needs an engine.
    refused(&command.output().expect("it runs"), 4, &["nonexistent/docker.sock"]);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("free again");
    for host in ["api.example.com", "www.example.com", "abcdefghij.us-east-1.awsapprunner.com"] {
        let mut curl = Command::new("curl");
        curl.args(["-s", &format!("http://{host}/health")]).env("CURL_HOME", folder.path()).stdout(Stdio::piped());
        let curl = match curl.spawn() {
            // Without curl there is nothing to test.
            Err(_) if std::env::var_os("CI").is_none() => return,
            curl => curl.expect("curl"),
        };
        let head = answer_one(&listener);
        let output = curl.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"found".as_slice()));
        assert!(head.starts_with("GET /health HTTP/1.1\n") && head.contains(&format!("\nHost: {host}")), "{head}");
        assert!(head.contains("\nUser-Agent: mine"), "the user's own configuration is read: {head}");
    }
}

#[test]
fn domain_that_is_no_host_name_or_has_no_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, SEED).expect("written");
    let seed = seed.to_str().expect("a path");
    for domain in ["https://api.example.com", "localhost", "127.0.0.1", "api.example.com:443", "a b.example.com", ""] {
        refused(&serve(folder.path(), &["--seed", seed, "--domain", domain]), 2, &["must be a host name"]);
    }
    refused(&serve(folder.path(), &["--domain", "api.example.com"]), 2, &["--seed"]);
}
