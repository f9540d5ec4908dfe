//! Containers on their way out: stopping and removing go on beside the next case.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::RunError;
use super::context::Context;
use crate::engine::Engine;

/// After SIGTERM a candidate has this long before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A container on its way out. Stopping and removing go on beside the next case.
pub(crate) struct Leaving<'a> {
    /// What cases share.
    pub(crate) context: &'a Context,
    /// The container.
    pub(crate) id: String,
    /// Resolves when it ends; only for one that still lives and is to be asked first.
    pub(crate) death: Option<oneshot::Receiver<Result<(), RunError>>>,
    /// Containers that go after it.
    pub(crate) also: Vec<String>,
    /// Volumes that go when no container has them any more.
    pub(crate) volumes: Vec<String>,
    gone: Option<oneshot::Sender<()>>,
}

impl<'a> Leaving<'a> {
    /// A container that has nothing to do with others.
    #[must_use]
    pub(crate) fn new(context: &'a Context, id: &str) -> Self {
        Self { context, id: id.to_owned(), death: None, also: Vec::new(), volumes: Vec::new(), gone: None }
    }

    /// Resolves when everything is gone.
    pub(crate) fn gone(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (tell, told) = oneshot::channel();
        self.gone = Some(tell);
        async move {
            // The other end is dropped when all is done, and also when the session breaks off.
            let _ = told.await;
        }
    }

    /// Takes over what another one would have taken along; it goes after this one.
    pub(crate) fn take_over(&mut self, mut other: Leaving<'_>) {
        self.also.push(std::mem::take(&mut other.id));
        self.also.append(&mut other.also);
        self.volumes.append(&mut other.volumes);
    }

    fn task(&mut self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let ids = std::iter::once(std::mem::take(&mut self.id)).chain(std::mem::take(&mut self.also));
        let ids: Vec<String> = ids.filter(|id| !id.is_empty()).collect();
        let grace = self.death.take().map(|death| Grace { death, ending: self.context.ending.subscribe() });
        let left = leave(self.context.engine.clone(), ids, std::mem::take(&mut self.volumes), grace);
        let gone = self.gone.take();
        async move {
            left.await;
            drop(gone);
        }
    }

    /// Lets it go.
    pub(crate) async fn go(mut self) {
        let task = self.task();
        let mut leaving = self.context.leaving.lock().await;
        leaving.spawn(task);
        while leaving.try_join_next().is_some() {}
    }
}

impl Drop for Leaving<'_> {
    /// An attempt that breaks off early: its container goes without being asked.
    fn drop(&mut self) {
        if self.id.is_empty() && self.also.is_empty() && self.volumes.is_empty() {
            return;
        }
        self.death = None;
        let task = self.task();
        match self.context.leaving.try_lock() {
            Ok(mut leaving) => drop(leaving.spawn(task)),
            // The session's end removes what is left.
            Err(_) => drop(tokio::spawn(task)),
        }
    }
}

/// For how long somebody may take leave.
struct Grace {
    /// Resolves when it has ended.
    death: oneshot::Receiver<Result<(), RunError>>,
    /// True once the session ends.
    ending: watch::Receiver<bool>,
}

async fn leave(engine: Arc<dyn Engine>, ids: Vec<String>, volumes: Vec<String>, grace: Option<Grace>) {
    if let (Some(Grace { death, mut ending }), Some(id)) = (grace, ids.first()) {
        if let Err(error) = engine.kill(id, "SIGTERM").await {
            tracing::debug!(%error, "SIGTERM");
        }
        // Dead or not, what follows removes it by force; at the session's end nobody has use of its grace.
        tokio::select! {
            _ = timeout(STOP_WITHIN, death) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
    }
    for id in ids {
        if let Err(error) = engine.remove(&id).await {
            tracing::warn!(%error, "a container could not be removed; the end of the session removes it");
        }
    }
    for volume in volumes {
        if let Err(error) = engine.remove_volume(&volume).await {
            tracing::warn!(%error, "a volume could not be removed; the end of the session removes it");
        }
    }
}
