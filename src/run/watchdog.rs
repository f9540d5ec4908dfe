//! The watchdog: a separate process that removes what a session left when its controller is gone.
//!
//! The controller holds the other end of the watchdog's standard input. However the controller ends, the system closes
//! that end, and the watchdog wakes up.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use super::RunError;
use super::cleanup::until_nothing_is_left;
use super::session::Session;
use crate::engine::Engine;

/// What the controller sends when it has cleaned up itself.
const DONE: &[u8] = b"done";

/// The controller's side.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stdin: ChildStdin,
    _child: Child,
}

impl Watchdog {
    /// Starts the watchdog of a session in its own process group, so that Ctrl-C does not reach it. `program` is the
    /// exitone executable if this process is another program.
    ///
    /// # Errors
    /// When the executable cannot be started.
    pub(crate) fn start(session: &Session, program: Option<&Path>) -> Result<Self, RunError> {
        let wrong = |e: std::io::Error| RunError::host("starting the watchdog", e);
        let mut command = match program {
            Some(program) => Command::new(program),
            None => Command::new(std::env::current_exe().map_err(wrong)?),
        };
        command.args(["watchdog", "--session", &session.name]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(wrong)?;
        let stdin = child.stdin.take().ok_or_else(|| RunError::host("starting the watchdog", "no standard input"))?;
        Ok(Self { stdin, _child: child })
    }

    /// Tells the watchdog that nothing is left to do.
    pub(crate) async fn dismiss(mut self) {
        // The watchdog may be gone.
        let _ = self.stdin.write_all(DONE).await;
    }
}

/// The watchdog's side: waits for the end of standard input, then removes what the session left.
///
/// # Errors
/// The engine's tenth error.
pub(crate) async fn watch(engine: &dyn Engine, label: &str) -> Result<(), RunError> {
    let mut received = Vec::new();
    let read = tokio::io::stdin().read_to_end(&mut received).await;
    if read.is_ok() && received == DONE {
        return Ok(());
    }
    Ok(until_nothing_is_left(engine, label).await?)
}
