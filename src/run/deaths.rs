//! Who has ended: one event stream of the engine, handed to whoever waits for a container.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::RunError;
use crate::engine::{Engine, EngineEvent};

#[derive(Default)]
struct Book {
    waiting: HashMap<String, oneshot::Sender<Result<(), RunError>>>,
    /// Ended before anybody waited.
    ended: HashSet<String>,
    /// Why nothing more will be heard.
    broken: Option<RunError>,
}

/// The ends of a session's containers.
#[derive(Clone)]
pub struct Deaths(Arc<Mutex<Book>>);

impl Deaths {
    /// Follows the events of the containers with a label.
    #[must_use]
    pub(crate) fn follow(engine: &Arc<dyn Engine>, label: &str) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let mut events = engine.events(label);
        let shared = book.clone();
        tokio::spawn(async move {
            let why = loop {
                match events.next().await {
                    Some(Ok(EngineEvent::Died { id })) => note(&shared, id),
                    Some(Err(e)) => break e.into(),
                    None => break RunError::Holder("the engine's event stream ended".to_owned()),
                }
            };
            let mut book = shared.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, waiting) in book.waiting.drain() {
                let _ = waiting.send(Err(RunError::clone(&why)));
            }
            book.broken = Some(why);
        });
        Self(book)
    }

    /// Resolves when the container ends.
    #[must_use]
    pub(crate) fn of(&self, container: &str) -> oneshot::Receiver<Result<(), RunError>> {
        let (sender, receiver) = oneshot::channel();
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &book.broken {
            let _ = sender.send(Err(why.clone()));
        } else if book.ended.remove(container) {
            let _ = sender.send(Ok(()));
        } else {
            book.waiting.insert(container.to_owned(), sender);
        }
        receiver
    }
}

fn note(book: &Mutex<Book>, id: String) {
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    match book.waiting.remove(&id) {
        Some(waiting) => drop(waiting.send(Ok(()))),
        None => drop(book.ended.insert(id)),
    }
}
