//! Engines that do not do what they are asked: a proxy before the local one changes the requests. Nothing is judged on what
//! is not ours.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::support::{PLANTED, SOCKET, engine, exitone, load_planted};

/// Changes the body of a request to create a container.
type Change = fn(&mut Value);

/// Passes everything on to the engine, but with other containers; ends with the test.
fn proxy(folder: &Path, change: Change) -> PathBuf {
    let path = folder.join("engine.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let engine = UnixStream::connect(SOCKET).await.expect("the engine");
                let (from_client, mut to_client) = client.into_split();
                let (mut from_engine, to_engine) = engine.into_split();
                let answers = tokio::spawn(async move { tokio::io::copy(&mut from_engine, &mut to_client).await });
                let _ = requests(BufReader::new(from_client), to_engine, change).await;
                let _ = answers.await;
            });
        }
    });
    path
}

/// Passes the requests of a connection on.
async fn requests(
    mut from: BufReader<impl tokio::io::AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    change: Change,
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        let mut length = None;
        let mut is_stream = false;
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await? == 0 {
                return to.shutdown().await;
            }
            let lower = line.to_ascii_lowercase();
            match lower.strip_prefix("content-length:") {
                Some(value) => length = value.trim().parse::<usize>().ok(),
                None => head.push(line.clone()),
            }
            // What follows is not a request any more, or is an archive: nothing that is changed comes after it here.
            is_stream |= lower.starts_with("upgrade:") || lower.starts_with("transfer-encoding: chunked");
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length.unwrap_or_default()];
        from.read_exact(&mut body).await?;
        if head[0].starts_with("POST ") && head[0].contains("/containers/create") {
            let mut asked: Value = serde_json::from_slice(&body)?;
            change(&mut asked);
            body = serde_json::to_vec(&asked)?;
        }
        let end = head.pop().unwrap_or_default();
        if length.is_some() {
            head.push(format!("Content-Length: {}\r\n", body.len()));
        }
        head.push(end);
        to.write_all(head.concat().as_bytes()).await?;
        to.write_all(&body).await?;
        if is_stream {
            tokio::io::copy(&mut from, &mut to).await?;
            return to.shutdown().await;
        }
    }
}

/// A server under each of these conditions on such an engine: the exit code, and what was said.
async fn run(change: Change, conditions: &[&str], more: &[&str]) -> Option<(i32, String)> {
    let (engine, _one) = engine().await?;
    if !Path::new(SOCKET).exists() {
        eprintln!("skipped: no {SOCKET}");
        return None;
    }
    load_planted(engine.as_ref()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = proxy(folder.path(), change);
    let scenario = folder.path().join("scenario.yaml");
    let service = "service: {port: 8000, start_command: /planted serve 0.0.0.0 8000}";
    let text = format!("candidates: [{PLANTED}]\n{service}\nconditions: [{}]\n", conditions.join(", "));
    std::fs::write(&scenario, text).expect("written");
    let mut command = exitone();
    command.arg("run").arg(&scenario).args(more);
    // What an engine was seen to do is kept there.
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("XDG_STATE_HOME", folder.path());
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("ended");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.code().expect("a code"), String::from_utf8_lossy(&said).into_owned()))
}

fn nothing(_: &mut Value) {}

const OWN_RESOLVER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/resolv.conf");

/// Candidates get a resolver of the engine's own.
fn own_resolver(asked: &mut Value) {
    if asked["HostConfig"]["NetworkMode"].as_str().is_some_and(|mode| mode.starts_with("container:")) {
        asked["HostConfig"]["Binds"] = serde_json::json!([format!("{OWN_RESOLVER}:/etc/resolv.conf:ro")]);
    }
}

fn no_limits(asked: &mut Value) {
    for name in ["NanoCpus", "Memory", "MemorySwap", "Ulimits"] {
        asked["HostConfig"][name] = Value::Null;
    }
}

/// The image's files do not reach a volume before it is full.
fn late_volumes(asked: &mut Value) {
    for mount in asked["HostConfig"]["Mounts"].as_array_mut().into_iter().flatten() {
        mount["VolumeOptions"]["NoCopy"] = true.into();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_with_its_own_resolver_is_refused() {
    std::fs::write(OWN_RESOLVER, "nameserver 127.0.0.11\n").expect("written");
    let Some((code, said)) = run(own_resolver, &["dns.nxdomain"], &[]).await else { return };
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("resolver: expected:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn what_an_engine_ignores_is_skipped() {
    let limits = ["cpu.limit:0.5", "memory.limit:64m", "nofile.limit:64"];
    let rows: [(Change, &[&str]); 2] = [(no_limits, &limits), (late_volumes, &["disk.full"])];
    for (change, conditions) in rows {
        let Some((code, said)) = run(change, conditions, &[]).await else { return };
        assert_eq!(code, 0, "the baseline passes: {said}");
        for condition in conditions {
            assert!(said.contains(&format!("skipped planted:latest  under {condition}")), "{condition}: {said}");
        }
    }
    let (code, said) = run(late_volumes, &["disk.full"], &["--require", "disk.full"]).await.expect("an engine");
    assert_eq!(code, 5, "{said}");
    // Untouched, the same engine imposes all of them.
    let (code, said) = run(nothing, &[&limits[..], &["disk.full"]].concat(), &[]).await.expect("an engine");
    assert!(code == 0 && !said.contains("skipped planted:"), "{said}");
}
