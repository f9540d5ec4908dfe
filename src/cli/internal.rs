//! Commands that only exitone itself starts: the holder, its relay, the keeper and the watchdog.

use std::process::ExitCode;

use super::failure::Failure;
use crate::engine::SESSION_LABEL;
use crate::engine::context::EngineEnv;
use crate::engine::docker::DockerEngine;
use crate::run::watchdog::watch;

/// Arguments of the watchdog.
#[derive(clap::Args)]
pub(crate) struct WatchdogArgs {
    #[arg(long)]
    session: String,
}

#[cfg(target_os = "linux")]
fn exit_code(ended: Result<(), impl std::fmt::Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => Failure::internal(e.to_string()).report(),
    }
}

/// Serves as a holder until standard input ends.
#[cfg(target_os = "linux")]
pub(crate) fn holder() -> ExitCode {
    exit_code(crate::holder::serve())
}

/// Only Linux has network namespaces.
#[cfg(not(target_os = "linux"))]
pub(crate) fn holder() -> ExitCode {
    Failure::internal("the holder runs on Linux only").report()
}

/// Copies standard input to the holder's relay, and its answers to standard output.
#[cfg(target_os = "linux")]
pub(crate) fn relay() -> ExitCode {
    exit_code(crate::holder::relay::stdio())
}

/// Only a holder has a relay.
#[cfg(not(target_os = "linux"))]
pub(crate) fn relay() -> ExitCode {
    Failure::internal("the relay runs on Linux only").report()
}

/// Keeps directories full until standard input ends.
#[cfg(target_os = "linux")]
pub(crate) fn keeper() -> ExitCode {
    exit_code(crate::holder::keeper::serve())
}

/// Only Linux has in-memory volumes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn keeper() -> ExitCode {
    Failure::internal("the keeper runs on Linux only").report()
}

/// Waits for the controller to end and removes what it left.
///
/// # Errors
/// Engine.
pub(crate) async fn watchdog(args: &WatchdogArgs) -> Result<u8, Failure> {
    // The engine is located while the controller lives, so its settings are the same. It is asked nothing yet: it is busy
    // with the session.
    let engine = DockerEngine::connect(&EngineEnv::of_process())?;
    watch(&engine, &format!("{SESSION_LABEL}={}", args.session)).await?;
    Ok(0)
}
