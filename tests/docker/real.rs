//! The engine for tests, or the reason why there is none.

use exitone::engine::context::EngineEnv;
use exitone::engine::docker::DockerEngine;
use exitone::engine::{Engine, EngineInfo};

/// The engine; `None`, with a printed reason, if there is none. CI needs one.
pub(crate) async fn engine() -> Option<(DockerEngine, EngineInfo)> {
    let engine = DockerEngine::connect(&EngineEnv::of_process());
    let info = match &engine {
        Ok(engine) => engine.info().await,
        Err(e) => Err(e.clone()),
    };
    match info {
        Ok(info) => Some((engine.expect("it answered"), info)),
        Err(e) if std::env::var_os("CI").is_some() => panic!("CI needs an engine: {e}"),
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}
