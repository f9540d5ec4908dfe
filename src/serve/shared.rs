//! What every part of the server shares: the state and its journal, the logs, and the ways to the instances.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use super::api::error::ApiResult;
use super::service::{Begun, Change, Operation, Stamp, State, Work};
use super::store::journal::{Journal, StoreError};
use super::store::logs::Logs;

/// Account, region, port and domains of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// 12 digits.
    pub(crate) account: String,
    /// `us-east-1`, …
    pub(crate) region: String,
    /// The port it listens on.
    pub(crate) port: u16,
    /// Custom domains, each with the ARN of its service.
    pub(crate) domains: BTreeMap<String, String>,
}

/// What the deployer must do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The service.
    pub(crate) arn: String,
    /// The operation; `None` for a service that runs again after a restart.
    pub(crate) operation: Option<Operation>,
    /// What to do.
    pub(crate) work: Work,
}

/// The way to the instance that serves.
#[derive(Clone)]
pub(crate) struct Way {
    /// Sends requests.
    pub(crate) sender: SendRequest<Incoming>,
    /// Requests under way keep a copy of this: its receiver hears of the end of the last one.
    pub(crate) busy: mpsc::Sender<Infallible>,
}

/// State and logs; the journal is written before the state changes.
pub(crate) struct Books {
    /// What there is.
    pub(crate) state: State,
    /// The logs.
    pub(crate) logs: Logs,
    journal: Journal,
}

impl Books {
    /// Opens those of a state folder.
    ///
    /// # Errors
    /// Everything in [`StoreError`].
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let (journal, state) = Journal::open(folder)?;
        Ok(Self { state, logs: Logs::open(folder)?, journal })
    }

    /// Writes changes down, then makes them.
    ///
    /// # Errors
    /// The journal cannot be written; nothing has changed then.
    pub(crate) fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.journal.add(&changes)?;
        changes.into_iter().for_each(|change| self.state.apply(change));
        Ok(())
    }
}

/// What every part of the server shares.
pub(crate) struct Shared {
    /// Account, region, port.
    pub(crate) place: Place,
    books: Mutex<Books>,
    ways: Mutex<BTreeMap<String, Way>>,
    orders: mpsc::UnboundedSender<Order>,
    news: broadcast::Sender<()>,
    /// The same moment by the wall clock and by tokio's.
    zero: (i64, Instant),
}

impl Shared {
    /// Shares opened books; orders go to the receiver.
    #[must_use]
    pub(crate) fn new(place: Place, books: Books) -> (Arc<Self>, mpsc::UnboundedReceiver<Order>) {
        let (orders, ordered) = mpsc::unbounded_channel();
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let zero = (i64::try_from(epoch.as_millis()).unwrap_or(i64::MAX), Instant::now());
        let news = broadcast::Sender::new(1024);
        let shared = Self { place, books: Mutex::new(books), ways: Mutex::default(), orders, news, zero };
        (Arc::new(shared), ordered)
    }

    /// The time in milliseconds since 1970.
    #[must_use]
    pub(crate) fn now_ms(&self) -> i64 {
        self.zero.0 + i64::try_from(self.zero.1.elapsed().as_millis()).unwrap_or_default()
    }

    /// A moment in milliseconds since 1970 by tokio's clock; the start of the server for one before it.
    #[must_use]
    pub(crate) fn instant(&self, ms: i64) -> Instant {
        self.zero.1 + Duration::from_millis(u64::try_from(ms - self.zero.0).unwrap_or_default())
    }

    /// State and logs, for this thread alone.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders work of the deployer.
    pub(crate) fn order(&self, order: Order) {
        // The deployer ends after everything else.
        drop(self.orders.send(order));
    }

    /// Writes lines to a stream. What cannot be written is lost, and said.
    pub(crate) fn log(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = String>) {
        let written = self.books().logs.add(group, stream, self.now_ms(), lines);
        match written {
            Ok(()) => self.tell(),
            Err(error) => tracing::error!(%error, "writing a log"),
        }
    }

    /// When, and the id of a new operation.
    #[must_use]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { now_ms: self.now_ms(), operation: new_id() }
    }

    /// Writes down what a call changes, orders its work, and returns what it answers.
    ///
    /// # Errors
    /// The call's, and the journal's.
    pub(crate) fn carry_out(&self, begin: impl FnOnce(&State) -> ApiResult<Begun>) -> ApiResult<Begun> {
        // Nothing comes between the check of the state and the change.
        let begun = {
            let mut books = self.books();
            let begun = begin(&books.state)?;
            books.change(begun.changes.clone())?;
            begun
        };
        if begun.work != Work::Nothing {
            let arn = begun.service.arn.clone();
            self.order(Order { arn, operation: begun.operation.clone(), work: begun.work.clone() });
        }
        self.tell();
        Ok(begun)
    }

    /// Makes changes and tells the page.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) fn change(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.books().change(changes)?;
        self.tell();
        Ok(())
    }

    /// Tells the page that something is new.
    pub(crate) fn tell(&self) {
        // Nobody may be looking.
        drop(self.news.send(()));
    }

    /// Hears of everything new from now on.
    #[must_use]
    pub(crate) fn listen(&self) -> broadcast::Receiver<()> {
        self.news.subscribe()
    }

    /// The way to the service with this address.
    #[must_use]
    pub(crate) fn way(&self, url: &str) -> Option<Way> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    /// Leads an address to an instance, or nowhere; returns the way before.
    pub(crate) fn lead(&self, url: &str, way: Option<Way>) -> Option<Way> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        match way {
            Some(way) => ways.insert(url.to_owned(), way),
            None => ways.remove(url),
        }
    }
}

/// 32 random hexadecimal digits.
#[must_use]
pub(crate) fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
