//! Holders for as many cases as run at a time.
//!
//! Where the engine joins the namespace that a holder's main process is in at that moment, a holder serves run
//! after run. Elsewhere every run gets a holder of its own, and the next one is launched while the run goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::watch;
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

type Task = JoinHandle<Result<Holder, RunError>>;

/// A holder that will be there.
enum Coming {
    /// It is being launched.
    New(Task),
    /// Its last candidate has yet to leave.
    Back(Task),
}

impl Coming {
    fn is_here(&self) -> bool {
        let (Self::New(task) | Self::Back(task)) = self;
        task.is_finished()
    }

    fn task(self) -> Task {
        let (Self::New(task) | Self::Back(task)) = self;
        task
    }
}

/// The holders of a session.
pub struct Pool {
    launch: Launch,
    mode: Mode,
    /// Some wait for their last candidate to leave while others are taken: no more than this are needed.
    most: usize,
    /// Holders that are there or coming.
    coming: Mutex<VecDeque<Coming>>,
    /// Whether the session ends: no other candidate needs what a holder shares.
    closing: watch::Sender<bool>,
    /// Shared by every holder from its launch to its end, however that comes about.
    counted: Arc<()>,
}

impl Pool {
    /// A pool that has no holder yet, for so many runs at a time.
    #[must_use]
    pub(crate) fn new(launch: Launch, mode: Mode, jobs: usize) -> Self {
        Self {
            launch,
            mode,
            most: jobs * 2,
            coming: Mutex::default(),
            closing: watch::Sender::new(false),
            counted: Arc::default(),
        }
    }

    /// True when a run needs a fresh namespace inside its holder.
    #[must_use]
    pub(crate) fn fresh(&self) -> bool {
        self.mode == Mode::Shared
    }

    /// The holder's image.
    #[must_use]
    pub(crate) fn image(&self) -> &str {
        &self.launch.image
    }

    /// Launches so many holders now, beside whatever else goes on.
    pub(crate) fn warm(&self, holders: usize) {
        let mut coming = self.lock();
        coming.extend((0..holders).map(|_| Coming::New(self.launched())));
    }

    fn launched(&self) -> Task {
        let (launch, counted) = (self.launch.clone(), self.counted.clone());
        tokio::spawn(async move { Holder::launch(&launch, counted).await })
    }

    /// Number of holders that were launched and have not ended.
    fn count(&self) -> usize {
        Arc::strong_count(&self.counted) - 1
    }

    /// A holder that nobody else uses.
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

    /// The one that is there first: none waits for a candidate to leave while another can be had.
    fn next(&self) -> Task {
        let mut all = self.lock();
        let here = all.iter().position(Coming::is_here);
        let new = || all.iter().position(|coming| matches!(coming, Coming::New(_)));
        let at = here.or_else(new);
        let at = at.or_else(|| (self.count() >= self.most && !all.is_empty()).then_some(0));
        match at.and_then(|at| all.remove(at)) {
            Some(coming) => coming.task(),
            None => self.launched(),
        }
    }

    /// Gives a holder back that is fit for another run once `gone` is there: until then its candidate, which may take its
    /// time to leave, shares the files that name things with whoever comes next.
    pub async fn give_back(&self, holder: Holder, gone: impl Future<Output = ()> + Send + 'static) {
        match self.mode {
            Mode::Shared => {
                let mut closing = self.closing.subscribe();
                let task = tokio::spawn(async move {
                    tokio::select! {
                        () = gone => {}
                        _ = closing.wait_for(|closing| *closing) => {}
                    }
                    Ok(holder)
                });
                self.lock().push_back(Coming::Back(task));
            }
            Mode::OneRun => self.discard(holder).await,
        }
    }

    /// Ends a holder that is not.
    pub async fn discard(&self, holder: Holder) {
        let engine: Arc<_> = self.launch.engine.clone();
        if let Err(error) = engine.remove(&holder.container).await {
            tracing::debug!(%error, "a holder could not be removed; the end of the session removes it");
        }
    }

    /// Ends every holder that is ready, and those that are still being launched.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let coming = std::mem::take(&mut *self.lock());
        let ended = coming.into_iter().map(|coming| async {
            if let Ok(Ok(holder)) = coming.task().await {
                self.discard(holder).await;
            }
        });
        join_all(ended).await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Coming>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
