//! Sessions: many concurrent holders, and what is left after `kill -9` of the controller.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exitone::model::{Candidate, Plan};
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::rig::{Rig, Setup};
use tokio::sync::watch;

use super::support::{PLANTED, engine, left_by, load_planted, service_with, set};

#[tokio::test]
async fn many_holders_of_a_session_start_concurrently() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let info = engine.info().await.expect("an engine");
    let facts = engine.inspect_image(PLANTED).await.expect("an image");
    for round in 0..3 {
        let state = tempfile::tempdir().expect("a folder");
        let setup = Setup {
            state: state.path().to_owned(),
            jobs: 8,
            options: Options::default(),
            watchdog: true,
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_exitone"))),
            mode: None,
        };
        let rig = Rig::open(engine.clone(), &info, setup).await.expect("a session");
        let pairs = (0..8).map(|n| (PLANTED.to_owned(), set(&[&format!("env.set:N={n}")])));
        let plan = Plan::new(service_with("/planted exit 3"), vec![Candidate { facts: facts.clone() }], pairs);
        let finished = drivers::run(rig.context.clone(), Arc::new(plan), 8, watch::channel(0).1, |_| {}).await;
        rig.close(false).await.expect("closed");
        let codes: Vec<Option<i64>> = finished.results.iter().map(|r| r.exit_code).collect();
        let notes: Vec<&String> = finished.results.iter().flat_map(|r| &r.notes).collect();
        assert_eq!(codes, vec![Some(3); 8], "round {round}: {notes:?}");
    }
}

/// A controller whose candidate stays healthy for a minute; `folder` is also its state folder.
fn serving(folder: &Path) -> Child {
    let service = folder.join("service.yaml");
    std::fs::write(&service, "port: 8000\nstart_command: /planted serve 0.0.0.0 8000\n").expect("written");
    Command::new(env!("CARGO_BIN_EXE_exitone"))
        .args(["run", "--soak", "60s", "--image", PLANTED, "--service"])
        .arg(&service)
        .env("XDG_STATE_HOME", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

#[tokio::test]
async fn nothing_is_left_two_seconds_after_a_kill() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let folder = tempfile::tempdir().expect("a folder");
    for after in [50, 200, 350, 500, 900] {
        let mut child = serving(folder.path());
        tokio::time::sleep(Duration::from_millis(after)).await;
        child.kill().expect("killed");
        child.wait().expect("ended");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(left_by(engine.as_ref(), folder.path()).await, [], "killed after {after} ms");
    }
}

#[tokio::test]
async fn ctrl_c_drains_and_cleans() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = serving(folder.path());
    tokio::time::sleep(Duration::from_millis(900)).await;
    for _ in 0..2 {
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        assert!(status.success());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined").expect("ended");
    assert_eq!(status.code(), Some(130));
    // Resources being created at the interruption are left to the watchdog.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(left_by(engine.as_ref(), folder.path()).await, []);
}
