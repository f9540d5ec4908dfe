//! Stops and removes containers in the background, while the next case runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::context::Context;
use super::deaths::Death;
use crate::engine::Engine;

/// Time between SIGTERM and SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A container to stop and remove in the background.
pub(crate) struct Teardown<'a> {
    /// The session.
    pub(crate) context: &'a Context,
    /// The container.
    pub(crate) id: String,
    /// Resolves when the container ends. Set for a running container that gets SIGTERM first.
    pub(crate) death: Option<oneshot::Receiver<Death>>,
    /// Containers to remove after it.
    pub(crate) others: Vec<String>,
    /// Volumes to remove after the containers.
    pub(crate) volumes: Vec<String>,
    done: Option<oneshot::Sender<()>>,
}

impl<'a> Teardown<'a> {
    /// The teardown of one container.
    #[must_use]
    pub(crate) fn new(context: &'a Context, id: &str) -> Self {
        Self { context, id: id.to_owned(), death: None, others: Vec::new(), volumes: Vec::new(), done: None }
    }

    /// Resolves when everything is removed.
    pub(crate) fn done(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (tell, finished) = oneshot::channel();
        self.done = Some(tell);
        async move {
            // The sender is dropped when everything is removed, and when the session is aborted.
            let _ = finished.await;
        }
    }

    /// Adds the containers and volumes of another teardown, to be removed after this container.
    pub(crate) fn absorb(&mut self, mut other: Teardown<'_>) {
        self.others.push(std::mem::take(&mut other.id));
        self.others.append(&mut other.others);
        self.volumes.append(&mut other.volumes);
    }

    fn task(&mut self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let ids = std::iter::once(std::mem::take(&mut self.id)).chain(std::mem::take(&mut self.others));
        let ids: Vec<String> = ids.filter(|id| !id.is_empty()).collect();
        let grace = self.death.take().map(|death| Grace { death, ending: self.context.ending.subscribe() });
        let left = tear_down(self.context.engine.clone(), ids, std::mem::take(&mut self.volumes), grace);
        let done = self.done.take();
        async move {
            left.await;
            drop(done);
        }
    }

    /// Starts the teardown in the background.
    pub(crate) async fn start(mut self) {
        let task = self.task();
        let mut running = self.context.teardowns.lock().await;
        running.spawn(task);
        while running.try_join_next().is_some() {}
    }
}

impl Drop for Teardown<'_> {
    /// An aborted attempt: its container is killed without SIGTERM.
    fn drop(&mut self) {
        if self.id.is_empty() && self.others.is_empty() && self.volumes.is_empty() {
            return;
        }
        self.death = None;
        let task = self.task();
        match self.context.teardowns.try_lock() {
            Ok(mut running) => drop(running.spawn(task)),
            // The end of the session removes the rest.
            Err(_) => drop(tokio::spawn(task)),
        }
    }
}

/// What ends the wait after SIGTERM.
struct Grace {
    /// Resolves when the container ends.
    death: oneshot::Receiver<Death>,
    /// True when the session ends.
    ending: watch::Receiver<bool>,
}

#[tracing::instrument(skip_all)]
async fn tear_down(engine: Arc<dyn Engine>, ids: Vec<String>, volumes: Vec<String>, grace: Option<Grace>) {
    if let (Some(Grace { death, mut ending }), Some(id)) = (grace, ids.first()) {
        if let Err(error) = engine.kill(id, "SIGTERM").await {
            tracing::debug!(%error, "SIGTERM");
        }
        // Either way it is then removed by force.
        tokio::select! {
            _ = timeout(STOP_WITHIN, death) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
    }
    for id in ids {
        if let Err(error) = engine.remove(&id).await {
            tracing::debug!(%error, "cannot remove a container; the end of the session removes it");
        }
    }
    for volume in volumes {
        if let Err(error) = engine.remove_volume(&volume).await {
            tracing::debug!(%error, "cannot remove a volume; the end of the session removes it");
        }
    }
}
