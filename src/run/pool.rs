//! The pool of holders for parallel cases.
//!
//! On an engine that joins the namespace a holder's main process is in at that moment, a holder serves run after run.
//! On other engines every run gets its own holder, and the next one is launched during the run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::RunError;
use super::holder::{Holder, Launch};
use crate::engine::Engine;

/// How holders are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A holder serves run after run, each in a fresh namespace.
    Shared,
    /// A holder serves a single run, in the namespace that the engine gave it.
    OneRun,
}

type Task = JoinHandle<Result<Holder, RunError>>;

/// A holder that is there or about to be.
enum Idle {
    /// It is being created.
    Launching(Task),
    /// It waits for its last candidate to end.
    Returning(Task),
}

impl Idle {
    fn is_ready(&self) -> bool {
        let (Self::Launching(task) | Self::Returning(task)) = self;
        task.is_finished()
    }

    fn task(self) -> Task {
        let (Self::Launching(task) | Self::Returning(task)) = self;
        task
    }
}

/// The holders of a session.
pub struct Pool {
    launch: Launch,
    mode: Mode,
    /// Maximum number of holders. It exceeds the number of jobs because some wait for their last candidate to end.
    most: usize,
    /// Holders that no case uses.
    idle: Mutex<VecDeque<Idle>>,
    /// Removals of holders whose only candidate is being removed.
    leaving: tokio::sync::Mutex<JoinSet<()>>,
    /// True when the session ends: no other candidate needs what a holder shares.
    ending: watch::Receiver<bool>,
    /// Every holder keeps a reference to this from its launch to its end.
    counted: Arc<()>,
}

impl Pool {
    /// An empty pool for `jobs` parallel cases. `ending` becomes true before [`Self::close`].
    #[must_use]
    pub(crate) fn new(launch: Launch, mode: Mode, jobs: usize, ending: watch::Receiver<bool>) -> Self {
        Self {
            launch,
            mode,
            most: jobs * 2,
            idle: Mutex::default(),
            leaving: Default::default(),
            ending,
            counted: Arc::default(),
        }
    }

    /// Whether each run needs a fresh namespace inside its holder.
    #[must_use]
    pub(crate) fn fresh(&self) -> bool {
        self.mode == Mode::Shared
    }

    /// The holder's image.
    #[must_use]
    pub(crate) fn image(&self) -> &str {
        &self.launch.image
    }

    /// Launches holders in the background.
    pub(crate) fn warm(&self, holders: usize) {
        let mut idle = self.lock();
        idle.extend((0..holders).map(|_| Idle::Launching(self.launched())));
    }

    fn launched(&self) -> Task {
        let (launch, counted) = (self.launch.clone(), self.counted.clone());
        tokio::spawn(async move { Holder::launch(&launch, counted).await })
    }

    /// Number of holders that exist.
    fn count(&self) -> usize {
        Arc::strong_count(&self.counted) - 1
    }

    /// Takes a holder for exclusive use.
    ///
    /// # Errors
    /// When none can be launched.
    pub async fn take(&self) -> Result<Holder, RunError> {
        let next = self.next();
        if self.mode == Mode::OneRun {
            self.warm(1);
        }
        next.await.map_err(|e| RunError::Holder(e.to_string()))?
    }

    /// The holder that is ready first. One that waits for its last candidate is taken only when no more may be
    /// launched.
    fn next(&self) -> Task {
        let mut all = self.lock();
        let ready = all.iter().position(Idle::is_ready);
        let new = || all.iter().position(|idle| matches!(idle, Idle::Launching(_)));
        let at = ready.or_else(new);
        let at = at.or_else(|| (self.count() >= self.most && !all.is_empty()).then_some(0));
        match at.and_then(|at| all.remove(at)) {
            Some(idle) => idle.task(),
            None => self.launched(),
        }
    }

    /// Returns a holder, which becomes ready again once `gone` resolves: until then its last candidate may still write
    /// to the name files that it would share with the next one.
    pub async fn give_back(&self, holder: Holder, gone: impl Future<Output = ()> + Send + 'static) {
        match self.mode {
            Mode::Shared => {
                let mut ending = self.ending.clone();
                let task = tokio::spawn(async move {
                    tokio::select! {
                        () = gone => {}
                        _ = ending.wait_for(|ending| *ending) => {}
                    }
                    Ok(holder)
                });
                self.lock().push_back(Idle::Returning(task));
            }
            Mode::OneRun => {
                // An engine removes no holder whose network a candidate uses.
                let engine = self.launch.engine.clone();
                let mut leaving = self.leaving.lock().await;
                while leaving.try_join_next().is_some() {}
                leaving.spawn(async move {
                    gone.await;
                    discard(engine.as_ref(), holder).await;
                });
            }
        }
    }

    /// Removes a holder.
    pub async fn discard(&self, holder: Holder) {
        discard(self.launch.engine.as_ref(), holder).await;
    }

    /// Removes all holders, including those that are still being launched.
    pub(crate) async fn close(&self) {
        let idle = std::mem::take(&mut *self.lock());
        let ended = idle.into_iter().map(|idle| async {
            if let Ok(Ok(holder)) = idle.task().await {
                self.discard(holder).await;
            }
        });
        join_all(ended).await;
        let mut leaving = std::mem::take(&mut *self.leaving.lock().await);
        while leaving.join_next().await.is_some() {}
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn discard(engine: &dyn Engine, mut holder: Holder) {
    // An engine may refuse to remove a container that it is starting.
    if let Err(error) = holder.ready().await {
        tracing::debug!(%error, "removing a holder that did not start");
    }
    if let Err(error) = engine.remove(&holder.container).await {
        tracing::debug!(%error, "cannot remove a holder; the end of the session removes it");
    }
}
