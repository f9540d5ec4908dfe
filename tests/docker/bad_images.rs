//! Images that cannot run, and invalid names: a clear error, the right exit code, nothing left behind.

use std::path::Path;

use exitone::engine::Engine;
use exitone::engine::archive::NewImage;
use predicates::prelude::*;

use super::support::{PLANTED, STATE_HOME, engine, exitone, layer, left_by, load, load_planted};

fn image(tag: &str, cmd: &[&str], files: &[(&str, u32, &[u8])]) -> NewImage {
    NewImage {
        tag: format!("exitone-test/{tag}:latest"),
        architecture: "amd64".to_owned(),
        cmd: cmd.iter().map(|w| (*w).to_owned()).collect(),
        layers: vec![layer(files)],
        ..NewImage::default()
    }
}

/// Runs an image; returns exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = exitone().arg("run").args(args).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

async fn nothing_left(engine: &dyn Engine) {
    assert_eq!(left_by(engine, Path::new(STATE_HOME)).await, Vec::new());
}

#[tokio::test]
async fn reports_images_that_cannot_start() {
    let Some((engine, _one)) = engine().await else { return };
    let nothing: &[(&str, u32, &[u8])] = &[("empty", 0o644, b"")];
    let script: &[(&str, u32, &[u8])] = &[("start.sh", 0o755, b"#!/bin/sh\r\necho hello\r\n")];
    load(
        engine.as_ref(),
        &[
            image("no-cmd", &[], nothing),
            image("no-program", &["/nope"], nothing),
            image("not-executable", &["/empty"], nothing),
            image("crlf", &["/start.sh"], script),
            NewImage { architecture: "arm64".to_owned(), ..image("arm64", &["/nope"], nothing) },
        ],
    )
    .await;
    for (name, code, words) in [
        ("no-cmd", 1, "o command specified"),
        ("no-program", 1, "/nope"),
        ("not-executable", 1, "ermission denied"),
        ("crlf", 1, "exit 1"),
        ("arm64", 1, "linux/arm64"),
    ] {
        let (exit, out, err) = run(&["--image", &format!("exitone-test/{name}")]);
        assert!(exit == code && out.contains(words), "{name}: exit {exit}\n{out}\n{err}");
    }
    let (_, out, _) = run(&["--image", "exitone-test/no-program", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("a document");
    assert_eq!((&json["cases"][0]["exit_code"], &json["cases"][0]["outcome"]), (&127.into(), &"not_started".into()));
    nothing_left(engine.as_ref()).await;
}

#[tokio::test]
async fn reports_a_missing_user_or_folder() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    // This project's archives cannot set USER, but the engine's builder can.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("Dockerfile"), format!("FROM {PLANTED}\nUSER ghost\n")).expect("written");
    let built = std::process::Command::new("docker")
        .args(["build", "-q", "-t", "exitone-test/ghost", "."])
        .current_dir(folder.path())
        .output();
    let Ok(built) = built else {
        eprintln!("skipped: no docker command");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let (exit, out, err) = run(&["--image", "exitone-test/ghost"]);
    assert!(exit == 1 && out.contains("ghost"), "exit {exit}\n{out}\n{err}");
    nothing_left(engine.as_ref()).await;
}

#[tokio::test]
async fn suggests_the_nearest_image_name() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    exitone()
        .args(["run", "--image", "exitone-test/plantd:latest"])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("did you mean `exitone-test/planted:latest`?"));
    nothing_left(engine.as_ref()).await;
}
