//! Shared by tests against the scripted engine: a service, its candidates, and a session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use exitone::engine::Engine;
use exitone::engine::fake::FakeEngine;
use exitone::model::service::Protocol;
use exitone::model::{Candidate, Service};
use exitone::run::RunError;
use exitone::run::context::Options;
use exitone::run::rig::{Rig, Setup};

/// App Runner's defaults with an HTTP check on port 8000 (every 5 s, five failures), and these variables.
pub(crate) fn service(env: &[&str]) -> Service {
    let mut service = exitone::scenario::service::defaults(&exitone::scenario::apprunner());
    service.port = 8000;
    service.health_check.protocol = Protocol::Http;
    service.env = env.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
    service
}

/// Writes an executable file, and the folders above it.
pub(crate) fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("may be run");
}

/// The facts of these images.
pub(crate) async fn candidates<S: AsRef<str>>(engine: &FakeEngine, images: &[S]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for image in images {
        candidates.push(Candidate { facts: engine.inspect_image(image.as_ref()).await.expect("an image") });
    }
    candidates
}

/// In place of the executable, which each session reads and hashes: the scripted engine runs none.
pub(crate) fn any_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")
}

/// Opens a session on the engine.
pub(crate) async fn open(engine: &FakeEngine, state: &Path, jobs: usize, options: Options) -> Rig {
    try_open(engine, state, jobs, options).await.expect("a session")
}

/// Opens a session on the engine, or returns why it cannot.
pub(crate) async fn try_open(
    engine: &FakeEngine,
    state: &Path,
    jobs: usize,
    options: Options,
) -> Result<Rig, RunError> {
    let engine: Arc<dyn Engine> = Arc::new(engine.clone());
    let info = engine.info().await.expect("an engine");
    let setup =
        Setup { state: state.to_owned(), jobs, options, watchdog: false, program: Some(any_file()), mode: None };
    Rig::open(engine, &info, setup).await
}

/// Closes it and checks that nothing is left.
pub(crate) async fn close(rig: Rig, engine: &FakeEngine, broken_off: bool) {
    rig.close(broken_off).await.expect("closed");
    assert_eq!(engine.left(), Vec::<String>::new(), "nothing is left on the engine");
}
