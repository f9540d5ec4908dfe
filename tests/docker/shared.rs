//! A shared engine: what `exitone clean` of one user leaves of the others' sessions, and holders without a controller.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use exitone::engine::{ContainerSpec, Engine, Found, ROLE_LABEL, SESSION_LABEL};
use serde_json::Value;

use super::support::{PLANTED, engine, exitone, left_by, load_planted};

/// The planted image under a user's own name: `clean` removes exitone's images while no session is in use.
const OF_A_USER: &str = "somebody/planted:latest";

/// Runs an image under some conditions; `home` is the user's state folder.
fn run(home: &Path, image: &str, start_command: &str, conditions: &[&str]) -> Child {
    let service = home.join("service.yaml");
    std::fs::write(&service, format!("port: 8000\nstart_command: {start_command}\n")).expect("written");
    let mut run = Command::new(env!("CARGO_BIN_EXE_exitone"));
    run.args(["--no-progress", "run", "--format", "json", "--image", image, "--service"]).arg(&service);
    run.args(conditions.iter().flat_map(|condition| ["--with", condition]));
    run.env("XDG_STATE_HOME", home).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

/// The cases of a finished run and its exit code; its standard error is shown if the test fails.
async fn ended(child: Child) -> (Vec<Value>, Option<i32>, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("joined").expect("ended");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprintln!("{said}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (document["cases"].as_array().cloned().unwrap_or_default(), output.status.code(), said)
}

fn clean(home: &Path, args: &[&str]) -> String {
    let output = exitone().env("XDG_STATE_HOME", home).arg("clean").args(args).output().expect("it ran");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    said
}

/// Waits until a session has a running holder.
async fn served(engine: &dyn Engine, home: &Path) -> String {
    let holder = |found: &Found| found.running && found.labels.get(ROLE_LABEL).is_some_and(|role| role == "holder");
    let wait = async {
        loop {
            if let Some(found) = left_by(engine, home).await.iter().find(|found| holder(found)) {
                return found.labels[SESSION_LABEL].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("a holder")
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_spares_the_run_of_another_user() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let (theirs, ours) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let conditions = ["egress.drop", "dns.servfail", "latency:50ms", "ipv6.off"];
    engine.tag_image(PLANTED, OF_A_USER).await.expect("tagged");
    let child = run(theirs.path(), OF_A_USER, "/planted exit 3", &conditions);
    // From before it has created anything until it has ended.
    let cleaner = async {
        loop {
            tokio::task::block_in_place(|| clean(ours.path(), &[]));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (cases, code, said) = tokio::select! {
        ended = ended(child) => ended,
        () = cleaner => unreachable!("it cleans until the run has ended"),
    };
    let codes: Vec<Option<i64>> = cases.iter().map(|case| case["exit_code"].as_i64()).collect();
    engine.remove_image(OF_A_USER).await.expect("removed");
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == Some(3)), "{code:?} {codes:?} {said}");
}

#[tokio::test]
async fn clean_all_reports_and_ends_sessions() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let (theirs, ours) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let child = run(theirs.path(), PLANTED, "/planted serve 0.0.0.0 8000", &["egress.drop"]);
    let session = served(engine.as_ref(), theirs.path()).await;
    let said = clean(ours.path(), &[]);
    assert!(said.contains(&format!("session {session} (its holder runs")) && said.contains(" stays; "), "{said}");
    assert!(!left_by(engine.as_ref(), theirs.path()).await.is_empty());
    let said = clean(ours.path(), &["--all"]);
    assert!(said.contains(&format!("ending session {session} (its holder runs")), "{said}");
    ended(child).await;
    assert_eq!(left_by(engine.as_ref(), theirs.path()).await, []);
}

#[tokio::test]
async fn clean_spares_user_containers_from_our_images() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let ours = tempfile::tempdir().expect("a folder");
    let spec = ContainerSpec {
        cmd: Some(vec!["/planted".to_owned(), "serve".to_owned(), "0.0.0.0".to_owned(), "8000".to_owned()]),
        ..ContainerSpec::plain(PLANTED, [].into())
    };
    let theirs = engine.create(&spec).await.expect("created");
    engine.start(&theirs).await.expect("started");
    let said = clean(ours.path(), &[]);
    let state = engine.state(&theirs).await;
    engine.remove(&theirs).await.expect("removed");
    assert!(state.expect("it is there").running, "{said}");
}

/// A stopped controller (Ctrl-Z, a sleeping laptop) has lost its holders: that is not a verdict on the image.
#[tokio::test]
async fn stopped_controller_ends_with_an_error_and_no_verdict() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let home = tempfile::tempdir().expect("a folder");
    // The port is unreachable: its health check would fail while the controller is stopped.
    let child = run(home.path(), PLANTED, "/planted serve 127.0.0.1 8000", &[]);
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    };
    served(engine.as_ref(), home.path()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    signal("-STOP");
    tokio::time::sleep(Duration::from_secs(13)).await;
    let held = left_by(engine.as_ref(), home.path()).await.into_iter().filter(|found| found.running);
    let holders = held.filter(|found| found.labels.get(ROLE_LABEL).is_some_and(|role| role == "holder")).count();
    signal("-CONT");
    assert_eq!(holders, 0, "holders end when they hear nothing for 10 s");
    signal("-INT");
    let (cases, code, said) = ended(child).await;
    assert!(cases.iter().all(|case| case["exit_code"].is_null()), "{code:?} {cases:?} {said}");
}
