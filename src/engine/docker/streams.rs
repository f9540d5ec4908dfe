//! What the engine sends piece by piece: the output of processes, the names that images get.

use std::pin::Pin;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as Cause;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters as q;
use futures_util::{Stream, StreamExt};

use super::{chain, filters};
use crate::engine::{Attached, EngineError, EngineResult, Output};

/// Largest piece of the output of a command in a container, in bytes.
const EXEC_BUFFER: usize = 64 << 10;

pub(super) fn outputs(
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Cause>> + Send>>,
) -> impl Stream<Item = EngineResult<Output>> + Send {
    output.map(|item| match item {
        Ok(LogOutput::StdErr { message }) => Ok(Output::Stderr(message)),
        Ok(other) => Ok(Output::Stdout(other.into_bytes())),
        Err(e) => Err(EngineError::Broken { action: "reading a container's output".to_owned(), message: chain(&e) }),
    })
}

/// Runs a command in a container, attached to its streams.
///
/// # Errors
/// The client's.
pub(super) async fn exec(client: &Docker, container: &str, command: &[&str]) -> Result<Attached, Cause> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
        ..ExecConfig::default()
    };
    let id = client.create_exec(container, config).await?.id;
    let options = StartExecOptions { output_capacity: Some(EXEC_BUFFER), ..StartExecOptions::default() };
    match client.start_exec(&id, Some(options)).await? {
        StartExecResults::Attached { output, input } => Ok(Attached { output: Box::pin(outputs(output)), input }),
        StartExecResults::Detached => Err(std::io::Error::other("the engine detached the command").into()),
    }
}

/// Names that images get from now on, by `docker tag`, a build or a load.
pub(super) fn image_names(client: &Docker) -> impl Stream<Item = EngineResult<String>> + Send + use<> {
    let wanted = [("type", "image"), ("event", "tag"), ("event", "load")];
    let options = q::EventsOptionsBuilder::new().filters(&filters(&wanted)).build();
    client.events(Some(options)).filter_map(async |event| match event {
        Ok(event) => event.actor?.attributes?.remove("name").map(Ok),
        Err(e) => Some(Err(EngineError::Broken { action: "following the images".to_owned(), message: chain(&e) })),
    })
}
