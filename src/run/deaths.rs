//! Reports the ends of containers from a single event stream of the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::RunError;
use crate::engine::{ContainerState, Engine, EngineError, EngineEvent};

/// The end of a container: its state then, if the engine's events tell it.
pub(crate) type Death = Result<Option<ContainerState>, RunError>;

#[derive(Default)]
struct State {
    waiting: HashMap<String, oneshot::Sender<Death>>,
    /// Containers that ended before anyone waited for them.
    ended: HashMap<String, Option<ContainerState>>,
    /// Why the event stream broke.
    broken: Option<RunError>,
}

/// The ends of a session's containers.
#[derive(Clone)]
pub struct Deaths(Arc<Mutex<State>>);

impl Deaths {
    /// Follows the containers with a label.
    #[must_use]
    pub(crate) fn follow(engine: &Arc<dyn Engine>, label: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let mut events = engine.events(label);
        let shared = state.clone();
        tokio::spawn(async move {
            let why = loop {
                match events.next().await {
                    Some(Ok(EngineEvent::Died { id, state })) => record_end(&shared, id, state),
                    Some(Err(e)) => break e.into(),
                    None => break stream_ended(),
                }
            };
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, waiting) in state.waiting.drain() {
                let _ = waiting.send(Err(RunError::clone(&why)));
            }
            state.broken = Some(why);
        });
        Self(state)
    }

    /// Why the event stream broke; `None` while it works.
    #[must_use]
    pub(crate) fn broken(&self) -> Option<RunError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).broken.clone()
    }

    /// Resolves when the container ends.
    #[must_use]
    pub(crate) fn of(&self, container: &str) -> oneshot::Receiver<Death> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &state.broken {
            let _ = sender.send(Err(why.clone()));
        } else if let Some(ended) = state.ended.remove(container) {
            let _ = sender.send(Ok(ended));
        } else {
            state.waiting.insert(container.to_owned(), sender);
        }
        receiver
    }
}

fn stream_ended() -> RunError {
    let (action, message) = ("following the engine's events".to_owned(), "the stream ended".to_owned());
    EngineError::Broken { action, message }.into()
}

fn record_end(state: &Mutex<State>, id: String, ended: Option<ContainerState>) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match state.waiting.remove(&id) {
        Some(waiting) => drop(waiting.send(Ok(ended))),
        None => drop(state.ended.insert(id, ended)),
    }
}
