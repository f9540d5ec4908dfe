//! Asks what the threads of a running candidate wait for, in a container that sees its processes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::context::Context;
use super::program::PROGRAM;
use super::teardown::Teardown;
use crate::engine::{ContainerSpec, EngineResult, Output};
use crate::model::observation::Waits;

/// An answer that takes longer than this is worth nothing.
const WITHIN: Duration = Duration::from_secs(10);

/// What the candidate waits for; a wait as long as `within` counts as endless. What cannot be read proves nothing.
pub(super) async fn waits(context: &Context, candidate: &str, within: Duration) -> Waits {
    match timeout(WITHIN, ask(context, candidate, within)).await {
        Ok(Ok(waits)) => waits,
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot tell what a candidate waits for");
            Waits::Other
        }
        Err(_) => Waits::Other,
    }
}

async fn ask(context: &Context, candidate: &str, within: Duration) -> EngineResult<Waits> {
    let engine = &context.engine;
    let words = [PROGRAM, "waits", &within.as_secs().to_string()].map(ToOwned::to_owned);
    let spec = ContainerSpec {
        entrypoint: Some(words.to_vec()),
        looks_into: Some(candidate.to_owned()),
        ..ContainerSpec::plain(context.pool.image(), context.session.labels("waits"))
    };
    let id = engine.create(&spec).await?;
    let teardown = Teardown::new(context, &id);
    let mut attached = engine.attach(&id, false).await?;
    engine.start(&id).await?;
    let mut said = Vec::new();
    while let Some(piece) = attached.output.next().await {
        let (Output::Stdout(bytes) | Output::Stderr(bytes)) = piece?;
        said.extend_from_slice(&bytes);
    }
    teardown.start().await;
    Ok(serde_json::from_slice(&said).unwrap_or_default())
}
