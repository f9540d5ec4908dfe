//! Shared by the tests: the engine, one test at a time, planted images, runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use exitone::engine::archive::{Layer, NewImage, append_mode, write};
use exitone::engine::{Engine, Found, IMAGE_LABEL, OWNER_LABEL};
use exitone::model::{Candidate, Case, CaseResult, ConditionSet, Part, Plan, Service};
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::pool::Mode;
use exitone::run::rig::{Rig, Setup};
use exitone::run::session::known_owner;
use exitone::scenario::{apprunner, service};
use futures_util::StreamExt;
use tokio::sync::{Mutex, MutexGuard, watch};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The image with the planted program.
pub(crate) const PLANTED: &str = "exitone-test/planted:latest";

/// The local engine's socket, for tests that put a proxy before it.
pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// How many cases [`run`] runs at a time.
const JOBS: usize = 2;

/// The engine, for one test at a time; `None`, with a printed reason, if there is none.
pub(crate) async fn engine() -> Option<(Arc<dyn Engine>, MutexGuard<'static, ()>)> {
    let guard = ONE_AT_A_TIME.lock().await;
    let (engine, _) = super::real::engine().await?;
    Some((Arc::new(engine), guard))
}

/// Compiles the planted program.
pub(crate) fn planted_program(folder: &Path) -> PathBuf {
    let program = folder.join("planted");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/planted.c");
    let status = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(source).status();
    assert!(status.expect("a C compiler").success(), "the planted program compiles");
    program
}

/// A layer of files: path, mode, content.
pub(crate) fn layer(files: &[(&str, u32, &[u8])]) -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        append_mode(&mut tar, name, content.len() as u64, *mode, *content).expect("packed");
    }
    Layer::of_bytes(tar.into_inner().expect("packed"))
}

/// Loads images.
pub(crate) async fn load(engine: &dyn Engine, images: &[NewImage]) {
    let mut archive = tempfile::NamedTempFile::new().expect("a file");
    write(images, &mut archive).expect("packed");
    engine.load_image(archive.path()).await.expect("loaded");
}

/// An image of the planted program.
pub(crate) async fn load_planted(engine: &dyn Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::fs::read(planted_program(folder.path())).expect("compiled");
    let image = NewImage {
        tag: PLANTED.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["/planted".to_owned()],
        labels: BTreeMap::from([(IMAGE_LABEL.to_owned(), "test".to_owned())]),
        layers: vec![layer(&[("planted", 0o755, &program)])],
        ..NewImage::default()
    };
    load(engine, &[image]).await;
}

/// A service on port 8000 with a TCP check and this start command.
pub(crate) fn service_with(command: &str) -> Service {
    let mut service = service::defaults(&apprunner());
    service.port = 8000;
    service.start_command = Some(command.to_owned());
    service
}

pub(crate) fn set(conditions: &[&str]) -> ConditionSet {
    ConditionSet::new(conditions.iter().map(|c| c.parse().expect("a condition"))).expect("a set")
}

/// Runs cases of one image, a service and a set for each, [`JOBS`] at a time.
pub(crate) async fn run(
    engine: &Arc<dyn Engine>,
    mode: Option<Mode>,
    image: &str,
    cases: &[(Service, ConditionSet)],
) -> Vec<Arc<CaseResult>> {
    let info = engine.info().await.expect("an engine");
    let facts = engine.inspect_image(image).await.expect("an image");
    let state = tempfile::tempdir().expect("a folder");
    let setup = Setup {
        state: state.path().to_owned(),
        jobs: JOBS,
        options: Options::default(),
        watchdog: true,
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_exitone"))),
        mode,
    };
    let rig = Rig::open(engine.clone(), &info, setup).await.expect("a session");
    let session = rig.context.session.filter();
    let run = |(service, set): &(Service, ConditionSet)| {
        let candidates = vec![Candidate { facts: facts.clone() }];
        let part = Part { scenario: None, service: service.clone() };
        let plan = Plan { cases: vec![Case::new(image, set.clone())], ..Plan::of_scenario(part, candidates, []) };
        drivers::run(rig.context.clone(), Arc::new(plan), 1, watch::channel(0).1, |_| {})
    };
    // Each case has a plan of its own, since their services differ.
    let finished: Vec<_> = futures_util::stream::iter(cases).map(run).buffered(JOBS).collect().await;
    let results = finished.into_iter().flat_map(|finished| finished.results).collect();
    rig.close(false).await.expect("closed");
    assert_eq!(engine.containers(&session).await, Ok(Vec::new()), "no container is left");
    assert_eq!(engine.volumes(&session).await, Ok(Vec::new()), "no volume is left");
    results
}

/// `XDG_STATE_HOME` of the tests: what they leave has its own owner, whoever else uses the engine.
pub(crate) const STATE_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state");

/// The program itself.
pub(crate) fn exitone() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("exitone").expect("built");
    command.arg("--no-progress").env("XDG_STATE_HOME", STATE_HOME);
    command
}

/// Containers and volumes left on the engine by runs of the program with this state folder.
pub(crate) async fn left_by(engine: &dyn Engine, state_home: &Path) -> Vec<Found> {
    let Some(owner) = known_owner(&state_home.join("exitone")) else { return Vec::new() };
    let label = format!("{OWNER_LABEL}={owner}");
    let mut left = engine.containers(&label).await.expect("listed");
    left.extend(engine.volumes(&label).await.expect("listed"));
    left
}
