//! Programs on this machine.

use std::process::Stdio;

use tokio::process::Command;

use super::BuildError;

/// Whether this machine has the program.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program; its output goes into the error.
pub(crate) async fn run(step: &str, command: &mut Command, hint: &'static str) -> Result<(), BuildError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let program = command.as_std().get_program().display();
    let output = output.map_err(|e| BuildError::step(step, format!("{program} cannot be run: {e}"), hint))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = text.lines().rev().take(6).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(BuildError::step(step, format!("{}\n{}", output.status, tail.join("\n")), hint))
}
