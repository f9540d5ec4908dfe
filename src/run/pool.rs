//! Holders for as many cases as run at a time.
//!
//! Where the engine joins the namespace that a holder's main process is in at that moment, a holder serves run
//! after run. Elsewhere every run gets a holder of its own, and the next one is launched while the run goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::RunError;
use super::holder::{Holder, Launch};

/// How holders are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A holder serves run after run with a fresh namespace each.
    Shared,
    /// A holder serves one run in the namespace that the engine gave it.
    OneRun,
}

/// The holders of a session.
pub struct Pool {
    launch: Launch,
    mode: Mode,
    ready: Mutex<VecDeque<JoinHandle<Result<Holder, RunError>>>>,
}

impl Pool {
    /// A pool that has no holder yet.
    #[must_use]
    pub fn new(launch: Launch, mode: Mode) -> Self {
        Self { launch, mode, ready: Mutex::default() }
    }

    /// True when a run needs a fresh namespace inside its holder.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.mode == Mode::Shared
    }

    /// The holder's image.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.launch.image
    }

    /// Launches so many holders now, beside whatever else goes on.
    pub fn warm(&self, holders: usize) {
        for _ in 0..holders {
            let launch = self.launch.clone();
            self.put(tokio::spawn(async move { Holder::launch(&launch).await }));
        }
    }

    /// A holder that nobody else uses.
    ///
    /// # Errors
    /// When none can be launched.
    pub async fn take(&self) -> Result<Holder, RunError> {
        let next = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if self.mode == Mode::OneRun {
            self.warm(1);
        }
        match next {
            Some(launching) => launching.await.map_err(|e| RunError::Holder(e.to_string()))?,
            None => Holder::launch(&self.launch).await,
        }
    }

    /// Gives a holder back that is fit for another run once `gone` is there: until then its candidate, which may take its
    /// time to leave, shares the files that name things with whoever comes next.
    pub async fn give_back(&self, holder: Holder, gone: impl Future<Output = ()> + Send + 'static) {
        match self.mode {
            Mode::Shared => self.put(tokio::spawn(async {
                gone.await;
                Ok(holder)
            })),
            Mode::OneRun => self.discard(holder).await,
        }
    }

    /// Ends a holder that is not.
    pub async fn discard(&self, holder: Holder) {
        let engine: Arc<_> = self.launch.engine.clone();
        if let Err(error) = engine.remove(&holder.container).await {
            tracing::warn!(%error, "a holder could not be removed; the end of the session removes it");
        }
    }

    /// Ends every holder that is ready, and those that are still being launched.
    pub async fn close(&self) {
        let ready = std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        for launching in ready {
            if let Ok(Ok(holder)) = launching.await {
                self.discard(holder).await;
            }
        }
    }

    fn put(&self, holder: JoinHandle<Result<Holder, RunError>>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(holder);
    }
}
