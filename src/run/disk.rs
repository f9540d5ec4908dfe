//! `disk.full`: the folders that a candidate writes to have no space left, and the rest is read-only.
//!
//! On most file systems, engines cannot limit the size of a container's layer. So each folder becomes a volume in
//! memory: the engine fills it with the image's content, and a keeper container shrinks it to that size.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::RunError;
use super::context::Context;
use super::teardown::Teardown;
use crate::engine::{ContainerSpec, EngineResult, HolderSpec, Output, VolumeMount};
use crate::holder::protocol::{FromKeeper, KEPT_DIR, RESOLVER, ToKeeper, line};
use crate::model::Condition;

/// Time limit of a keeper's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

const FILLED_LATE: &str = "this engine fills a volume when the container starts, and not before";

/// The full disk of a case.
pub(crate) struct FullDisk<'a> {
    /// The condition that asks for it.
    condition: Condition,
    volumes: Vec<VolumeMount>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    pending: Vec<u8>,
    keeper: Teardown<'a>,
}

impl<'a> FullDisk<'a> {
    /// Creates the volumes and starts their keeper. A container created afterwards can mount them at these folders.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn begin(
        context: &'a Context,
        condition: Condition,
        folders: &[String],
    ) -> Result<Self, RunError> {
        // A volume that is filled when the candidate starts would be full before it has the image's files.
        if !context.fills_at_create {
            return Err(RunError::CannotImpose { condition, reason: FILLED_LATE.to_owned() });
        }
        let engine = &context.engine;
        let labels = context.session.labels("disk");
        let mut volumes: Vec<VolumeMount> = Vec::new();
        let mut keeper = Teardown::new(context, "");
        for target in outermost(folders) {
            let name = context.session.another_volume();
            engine.create_volume(&name, &labels, true).await?;
            keeper.volumes.push(name.clone());
            volumes.push(VolumeMount { name, target, read_only: false, copy: true });
        }
        let kept = |(number, volume): (usize, &VolumeMount)| VolumeMount {
            target: format!("{KEPT_DIR}/{number}"),
            copy: false,
            ..volume.clone()
        };
        let spec = ContainerSpec {
            entrypoint: Some(vec![super::program::PROGRAM.to_owned(), "keeper".to_owned()]),
            volumes: volumes.iter().enumerate().map(kept).collect(),
            holder: Some(HolderSpec {
                hostname: "keeper".to_owned(),
                dns: RESOLVER.to_string(),
                network: false,
                // The volumes can be removed only after the keeper, and removing it explicitly can be awaited.
                auto_remove: false,
                groups: None,
            }),
            ..ContainerSpec::plain(context.pool.image(), context.session.labels("keeper"))
        };
        let container = engine.create(&spec).await?;
        keeper.id.clone_from(&container);
        let attached = engine.attach(&container, true).await?;
        engine.start(&container).await?;
        Ok(Self { condition, volumes, input: attached.input, output: attached.output, pending: Vec::new(), keeper })
    }

    /// The candidate's volumes.
    #[must_use]
    pub(crate) fn volumes(&self) -> &[VolumeMount] {
        &self.volumes
    }

    /// Removes the free space. Call it after the candidate was created.
    ///
    /// # Errors
    /// When the engine's machine cannot.
    pub(crate) async fn fill(&mut self) -> Result<(), RunError> {
        match self.ask(ToKeeper::Fill).await? {
            FromKeeper::Full => Ok(()),
            FromKeeper::Failed(reason) => Err(RunError::CannotImpose { condition: self.condition.clone(), reason }),
            FromKeeper::Writes(_) => Err(RunError::Holder("the disk keeper sent an unexpected answer".to_owned())),
        }
    }

    /// Number of attempts to write into the folders.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub(crate) async fn writes(&mut self) -> Result<u64, RunError> {
        match self.ask(ToKeeper::Count).await? {
            FromKeeper::Writes(writes) => Ok(writes),
            other => Err(RunError::Holder(format!("the disk keeper sent an unexpected answer: {other:?}"))),
        }
    }

    async fn ask(&mut self, question: ToKeeper) -> Result<FromKeeper, RunError> {
        let gone = |e: &dyn std::fmt::Display| RunError::Holder(format!("the disk keeper: {e}"));
        let bytes = line(&question).map_err(|e| gone(&e))?;
        self.input.write_all(&bytes).await.map_err(|e| gone(&e))?;
        self.input.flush().await.map_err(|e| gone(&e))?;
        let answer = async {
            while let Some(piece) = self.output.next().await {
                let (Output::Stdout(bytes) | Output::Stderr(bytes)) = piece?;
                self.pending.extend_from_slice(&bytes);
                if let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
                    let text: Vec<u8> = self.pending.drain(..=end).collect();
                    return serde_json::from_slice(&text).map_err(|_| gone(&String::from_utf8_lossy(&text)));
                }
            }
            Err(gone(&"it ended"))
        };
        timeout(ANSWER_WITHIN, answer).await.map_err(|_| gone(&"no answer"))?
    }

    /// Adds the keeper and the volumes to the candidate's teardown.
    pub(crate) fn tear_down_with(self, candidate: &mut Teardown<'_>) {
        candidate.absorb(self.keeper);
    }
}

/// The folders that are not inside another one. The root folder cannot be a volume.
fn outermost(folders: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut sorted: Vec<&String> = folders.iter().filter(|f| f.starts_with('/') && f.as_str() != "/").collect();
    sorted.sort();
    for folder in sorted {
        let folder = folder.trim_end_matches('/');
        let inside = kept.iter().any(|k| folder == k || folder.starts_with(&format!("{k}/")));
        if !inside {
            kept.push(folder.to_owned());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_folders_are_dropped() {
        let folders = ["/tmp", "/", "/home/app", "/home", "/tmp/", "/homes", "relative"].map(ToOwned::to_owned);
        assert_eq!(outermost(&folders), ["/home", "/homes", "/tmp"]);
    }
}
