//! The controller's side of a holder: launches it and talks to it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::RunError;
use super::session::Session;
use crate::engine::{ContainerSpec, Engine, EngineError, EngineResult, HolderSpec, Output};
use crate::holder::authority::Pair;
use crate::holder::protocol::{
    Await, FromHolder, GROUPS, HEARTBEAT_EVERY, Hello, Prepare, RESOLVER, SHORT_HOSTNAME, ToHolder, VERSION, line,
};

/// Time limit of a holder's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What a launch needs.
#[derive(Clone)]
pub(crate) struct Launch {
    /// The engine.
    pub(crate) engine: Arc<dyn Engine>,
    /// The session, for labels and the volume.
    pub(crate) session: Arc<Session>,
    /// The holder's image.
    pub(crate) image: String,
    /// The session's certificate authority.
    pub(crate) authority: Arc<Pair>,
    /// A holder ends itself after this time.
    pub(crate) lifetime: Duration,
}

/// The zero of a run's times: the same moment by two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zero {
    /// By the clock of the engine's machine, in microseconds since the epoch.
    pub(crate) epoch_us: i64,
    /// By this process's clock.
    pub received: Instant,
}

impl Zero {
    /// Milliseconds from a moment of the engine's machine to a moment of ours.
    #[must_use]
    pub(crate) fn before(&self, ours: Instant, epoch_us: i64) -> f64 {
        (ours - self.received).as_secs_f64() * 1000.0 - millis_between(self.epoch_us, epoch_us)
    }

    /// Milliseconds since a process ended; `None` when the engine does not say when.
    #[must_use]
    pub(crate) fn since_end(&self, finished_us: Option<i64>) -> Option<f64> {
        finished_us.map(|at| self.before(Instant::now(), at))
    }
}

/// Milliseconds between two moments in microseconds since the epoch.
#[must_use]
pub(crate) fn millis_between(from_us: i64, to_us: i64) -> f64 {
    // Differences within a run are far below 2^53, so f64 is exact.
    (to_us - from_us) as f64 / 1000.0
}

/// A holder. Its container is there; it may still be starting until its first run.
pub struct Holder {
    /// The holder's container, whose network namespace candidates join.
    pub(crate) container: String,
    input: Arc<Mutex<Input>>,
    inbox: mpsc::UnboundedReceiver<Result<FromHolder, RunError>>,
    runs: u64,
    /// Starts it, then sends heartbeats.
    heartbeat: Option<AbortHandle>,
    /// Whether it could be started; `None` once it has said that it is ready.
    started: Option<oneshot::Receiver<Result<(), RunError>>>,
    failed: bool,
    occupied: bool,
    // The pool counts the holders that exist by the references to this.
    _counted: Arc<()>,
}

type Input = Pin<Box<dyn AsyncWrite + Send>>;

impl Drop for Holder {
    fn drop(&mut self) {
        // The holder ends with its input, and the heartbeat keeps the input open.
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.abort();
        }
    }
}

impl Holder {
    /// Creates a holder, which then starts by itself. It keeps `counted` for as long as it exists.
    ///
    /// # Errors
    /// The engine's and the holder's.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn launch(launch: &Launch, counted: Arc<()>) -> Result<Self, RunError> {
        let engine = &launch.engine;
        let spec = ContainerSpec {
            volumes: vec![launch.session.shared(true)],
            holder: Some(HolderSpec {
                hostname: SHORT_HOSTNAME.to_owned(),
                dns: RESOLVER.to_string(),
                network: true,
                auto_remove: true,
                groups: Some(GROUPS.to_owned()),
            }),
            ..ContainerSpec::plain(&launch.image, launch.session.labels("holder"))
        };
        let container = match engine.create(&spec).await {
            // Some engines cannot mount a folder of their machine. CPU and memory are not measured then. Any other reason to
            // refuse comes back with the second answer.
            Err(EngineError::Refused { .. }) => {
                let mut spec = spec;
                spec.holder.iter_mut().for_each(|holder| holder.groups = None);
                engine.create(&spec).await?
            }
            created => created?,
        };
        let attached = engine.attach(&container, true).await?;
        let (sender, inbox) = mpsc::unbounded_channel();
        tokio::spawn(read(attached.output, sender));
        let input = Arc::new(Mutex::new(attached.input));
        let hello = Hello {
            version: VERSION,
            ca_cert: launch.authority.cert.clone(),
            ca_key: launch.authority.key.clone(),
            lifetime_s: launch.lifetime.as_secs(),
            container: container.clone(),
        };
        let (tell, started) = oneshot::channel();
        let heartbeat = tokio::spawn(start(engine.clone(), hello, input.clone(), tell)).abort_handle();
        Ok(Self {
            container,
            input,
            inbox,
            runs: 0,
            heartbeat: Some(heartbeat),
            started: Some(started),
            failed: false,
            occupied: false,
            _counted: counted,
        })
    }

    /// Waits until it is ready for its first run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) async fn ready(&mut self) -> Result<(), RunError> {
        let Some(started) = &mut self.started else { return Ok(()) };
        let started = started.await.unwrap_or_else(|_| Err(RunError::Holder("it was not started".to_owned())));
        let ready = match started {
            Ok(()) => self.answer(Some).await,
            Err(error) => Err(error),
        };
        self.started = None;
        self.failed |= ready.is_err();
        match ready? {
            FromHolder::Ready { version: VERSION } => Ok(()),
            other => {
                self.failed = true;
                Err(RunError::Holder(format!("expected `ready`, got {other:?}")))
            }
        }
    }

    /// Begins the next run and returns its number.
    pub(crate) fn next_run(&mut self) -> u64 {
        self.runs += 1;
        self.occupied = false;
        self.runs
    }

    /// Whether another run may use it: it has not failed, and no candidate can be in its namespace.
    #[must_use]
    pub(crate) fn is_reusable(&self) -> bool {
        !self.failed && !self.occupied
    }

    /// Marks that a candidate may be in the namespace, so that the holder is not reused before it has left.
    pub fn mark_occupied(&mut self) {
        self.occupied = true;
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the holder is gone.
    pub(crate) async fn send(&mut self, message: &ToHolder) -> Result<(), RunError> {
        let gone = |e: &dyn std::fmt::Display| RunError::Holder(format!("cannot write to it: {e}"));
        let bytes = line(message).map_err(|e| gone(&e))?;
        let written = timeout(ANSWER_WITHIN, write(&self.input, &bytes)).await;
        let written = written.map_err(|e| gone(&e)).and_then(|written| written.map_err(|e| gone(&e)));
        self.failed |= written.is_err();
        written
    }

    /// Waits for the next message. Any error but [`RunError::CannotImpose`] marks the holder as failed.
    ///
    /// # Errors
    /// When the holder is gone, reports a failure, or cannot impose a condition.
    pub(crate) async fn receive(&mut self) -> Result<FromHolder, RunError> {
        let message = self.next_line().await;
        self.failed |= matches!(&message, Err(error) if !matches!(error, RunError::CannotImpose { .. }));
        message
    }

    async fn next_line(&mut self) -> Result<FromHolder, RunError> {
        loop {
            return match self.inbox.recv().await {
                // A late message about an earlier run.
                Some(Ok(FromHolder::Failed { run: Some(run), message })) if run < self.runs => {
                    tracing::debug!(run, message, "late failure of an earlier run");
                    continue;
                }
                Some(Ok(FromHolder::CannotImpose { condition, reason, .. })) => {
                    Err(RunError::CannotImpose { condition, reason })
                }
                Some(Ok(FromHolder::Failed { message, .. })) => Err(RunError::Holder(message)),
                Some(other) => other,
                None => Err(RunError::Holder("it ended".to_owned())),
            };
        }
    }

    /// Waits for the message that `wanted` turns into an answer. Other messages do not extend the time limit.
    async fn answer<T>(&mut self, mut wanted: impl FnMut(FromHolder) -> Option<T>) -> Result<T, RunError> {
        let wait = async {
            loop {
                if let Some(answer) = wanted(self.receive().await?) {
                    return Ok(answer);
                }
            }
        };
        let late = || RunError::Holder(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        let answer = timeout(ANSWER_WITHIN, wait).await;
        self.failed |= answer.is_err();
        answer.map_err(|_| late())?
    }

    /// Makes the namespace of a run. When this returns, every condition is in force; it returns that moment by both
    /// clocks.
    ///
    /// # Errors
    /// When the holder is gone, or cannot impose a condition.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn prepare(&mut self, prepare: Prepare) -> Result<Zero, RunError> {
        self.ready().await?;
        let wanted = prepare.run;
        self.send(&ToHolder::Prepare(Box::new(prepare))).await?;
        let prepared = |message| match message {
            FromHolder::Prepared { run, epoch_us, setup_us } if run == wanted => {
                tracing::debug!(run, setup_us, "namespace prepared");
                Some(Zero { epoch_us, received: Instant::now() })
            }
            // Late messages about an earlier run.
            _ => None,
        };
        self.answer(prepared).await
    }

    /// Makes a namespace for a service container, which must be started before the next request.
    ///
    /// # Errors
    /// When the holder is gone, or cannot make the namespace.
    pub async fn place_service(&mut self, run: u64, number: u32) -> Result<(), RunError> {
        self.ready().await?;
        self.occupied = true;
        self.send(&ToHolder::Place { run, number }).await?;
        self.answer(|message| (message == FromHolder::Placed { run, number }).then_some(())).await
    }

    /// Waits until a service container accepts connections.
    ///
    /// # Errors
    /// When the holder is gone, or the service does not accept connections in time.
    pub(crate) async fn wait_until_serving(&mut self, order: Await, within: Duration) -> Result<(), RunError> {
        let expected = FromHolder::Awake { run: order.run, number: order.number };
        self.send(&ToHolder::Await(order)).await?;
        let wait = async {
            while self.receive().await? != expected {}
            Ok(())
        };
        let late = || RunError::Holder(format!("not serving after {} s", within.as_secs_f64()));
        timeout(within, wait).await.map_err(|_| late())?
    }

    /// Takes a run down; `on_message` gets the messages that are still under way.
    ///
    /// # Errors
    /// When the holder is gone.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn finish(&mut self, run: u64, mut on_message: impl FnMut(FromHolder)) -> Result<(), RunError> {
        self.send(&ToHolder::Finish { run }).await?;
        let finished = |message| match message {
            FromHolder::Finished { run: finished } if finished == run => Some(()),
            other => {
                on_message(other);
                None
            }
        };
        self.answer(finished).await
    }
}

async fn write(input: &Mutex<Input>, bytes: &[u8]) -> std::io::Result<()> {
    let mut input = input.lock().await;
    input.write_all(bytes).await?;
    input.flush().await
}

/// Starts a holder, tells how that went, and sends heartbeats to it.
async fn start(
    engine: Arc<dyn Engine>,
    hello: Hello,
    input: Arc<Mutex<Input>>,
    tell: oneshot::Sender<Result<(), RunError>>,
) {
    let container = hello.container.clone();
    let greeted = async {
        let gone = |e: &dyn std::fmt::Display| RunError::Holder(format!("cannot write to it: {e}"));
        let bytes = line(&ToHolder::Hello(hello)).map_err(|e| gone(&e))?;
        write(&input, &bytes).await.map_err(|e| gone(&e))
    };
    // The greeting waits for the process: it runs before the engine says that it has started it.
    let begin = async {
        let (started, greeted) = tokio::join!(engine.start(&container), greeted);
        started.map_err(RunError::from).and(greeted)
    };
    let begun = begin.await;
    let runs = begun.is_ok();
    // Nobody waits for a holder that was given up.
    if tell.send(begun).is_ok() && runs {
        heartbeat(input).await;
    }
}

/// Sends heartbeats to a holder until it can no longer be written to.
async fn heartbeat(input: Arc<Mutex<Input>>) {
    let Ok(bytes) = line(&ToHolder::Heartbeat) else { return };
    let mut beat = interval(HEARTBEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if write(&input, &bytes).await.is_err() {
            return;
        }
    }
}

/// Reads the holder's output, one message a line.
async fn read(
    mut output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    sender: mpsc::UnboundedSender<Result<FromHolder, RunError>>,
) {
    let mut pending = Vec::new();
    let mut stderr = String::new();
    while let Some(item) = output.next().await {
        match item {
            Ok(Output::Stdout(bytes)) => {
                pending.extend_from_slice(&bytes);
                while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                    let text: Vec<u8> = pending.drain(..=end).collect();
                    let message =
                        serde_json::from_slice(&text).map_err(|e| RunError::Holder(format!("invalid message: {e}")));
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            }
            Ok(Output::Stderr(bytes)) => {
                stderr.push_str(&String::from_utf8_lossy(&bytes));
                stderr.truncate(stderr.floor_char_boundary(2000));
            }
            Err(e) => {
                let _ = sender.send(Err(e.into()));
                return;
            }
        }
    }
    let _ = sender.send(Err(RunError::Holder(format!("it ended: {}", stderr.trim()))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn other_messages_do_not_extend_the_time_limit() {
        for pause in [Duration::from_secs(5), Duration::from_millis(1)] {
            let (sender, inbox) = mpsc::unbounded_channel();
            let input: Input = Box::pin(tokio::io::sink());
            let mut holder = Holder {
                container: String::new(),
                input: Arc::new(Mutex::new(input)),
                inbox,
                runs: 2,
                heartbeat: None,
                started: None,
                failed: false,
                occupied: false,
                _counted: Arc::new(()),
            };
            let chatter = tokio::spawn(async move {
                while sender.send(Ok(FromHolder::Pending { run: 1, open: 0 })).is_ok() {
                    tokio::time::sleep(pause).await;
                }
            });
            let begun = Instant::now();
            let finished = timeout(ANSWER_WITHIN * 6, holder.finish(2, |_| ())).await.expect("it gives up");
            assert_eq!(finished.map_err(|e| e.to_string()), Err("namespace holder: no answer within 20 s".to_owned()));
            assert!(begun.elapsed() < ANSWER_WITHIN + Duration::from_secs(1), "{:?}", begun.elapsed());
            chatter.abort();
        }
    }
}
