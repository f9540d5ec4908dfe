//! Detects that the container engine stopped answering. It is asked after a failure that the loss of the engine would
//! explain.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::RunError;
use super::deaths::Deaths;
use crate::engine::Engine;

/// Time limit of a simple request; an engine that exceeds it has stopped answering.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Whether a session's engine still answers. A lost engine stays lost, since what happened meanwhile is unknown.
pub struct Lifeline {
    engine: Arc<dyn Engine>,
    deaths: Deaths,
    lost: watch::Sender<Option<String>>,
}

impl Lifeline {
    /// The lifeline of a session; `deaths` follows its containers.
    #[must_use]
    pub(crate) fn new(engine: Arc<dyn Engine>, deaths: Deaths) -> Self {
        Self { engine, deaths, lost: watch::Sender::new(None) }
    }

    /// Checks whether the loss of the engine explains `error`. If so, [`Self::lost`] resolves before this returns.
    pub(crate) async fn check(&self, error: &RunError) {
        let may_be = match error {
            RunError::Engine(_) | RunError::Holder(_) | RunError::Service { .. } => true,
            RunError::CannotImpose { .. }
            | RunError::Unsupported { .. }
            | RunError::Cancelled
            | RunError::Unproven { .. }
            | RunError::Host { .. } => false,
        };
        if may_be
            && self.lost.borrow().is_none()
            && let Some(why) = self.why().await
        {
            self.lost.send_replace(Some(why));
        }
    }

    /// Why the engine is lost; `None` while it answers.
    async fn why(&self) -> Option<String> {
        match timeout(ANSWERS_WITHIN, self.engine.clock_us()).await {
            Err(_) => Some(format!("no answer within {} s", ANSWERS_WITHIN.as_secs())),
            Ok(Err(error)) => Some(error.to_string()),
            // A restarted engine answers, but it closed the event stream and may have ended every container.
            Ok(Ok(_)) => self.deaths.broken().map(|why| why.to_string()),
        }
    }

    /// Resolves with the reason once the engine is lost.
    pub(crate) async fn lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }
}
