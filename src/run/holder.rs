//! The controller's side of a holder: launch it, talk to it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::RunError;
use super::session::Session;
use crate::engine::{ContainerSpec, Engine, EngineError, EngineResult, HolderSpec, Output};
use crate::holder::authority::Pair;
use crate::holder::protocol::{
    Await, FromHolder, GROUPS, HEARTBEAT_EVERY, Hello, Prepare, RESOLVER, SHORT_HOSTNAME, ToHolder, VERSION, line,
};

/// A holder that does not answer within this time is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A holder ends itself after this long, whatever happens to everything else.
const LIFETIME_S: u64 = 6 * 3600;

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
}

/// The moment from which a run's times count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zero {
    /// By the clock of the engine's machine, microseconds since the epoch.
    pub(crate) epoch_us: i64,
    /// By ours.
    pub(crate) heard: Instant,
}

impl Zero {
    /// How long before one of our moments a moment of the engine's machine was, in milliseconds.
    #[must_use]
    pub(crate) fn before(&self, ours: Instant, epoch_us: i64) -> f64 {
        (ours - self.heard).as_secs_f64() * 1000.0 - millis_between(self.epoch_us, epoch_us)
    }

    /// How long ago a process ended, in milliseconds; nothing when the engine does not say when.
    #[must_use]
    pub(crate) fn since_end(&self, finished_us: Option<i64>) -> Option<f64> {
        finished_us.map(|at| self.before(Instant::now(), at))
    }
}

/// From one moment to another, both microseconds since the epoch.
#[must_use]
pub(crate) fn millis_between(from_us: i64, to_us: i64) -> f64 {
    // Differences within a run are far below the 2^53 that a f64 holds exactly.
    (to_us - from_us) as f64 / 1000.0
}

/// A holder that is ready for runs.
pub struct Holder {
    /// The holder's container: what candidates join.
    pub(crate) container: String,
    input: Arc<Mutex<Input>>,
    inbox: mpsc::UnboundedReceiver<Result<FromHolder, RunError>>,
    runs: u64,
    heartbeat: Option<AbortHandle>,
    failed: bool,
    occupied: bool,
    // Counted by the pool for as long as the holder is there.
    _counted: Arc<()>,
}

type Input = Pin<Box<dyn AsyncWrite + Send>>;

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input ends the holder, and the heartbeat has a share in it.
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.abort();
        }
    }
}

impl Holder {
    /// Creates and starts a holder and waits until it is ready. `counted` lives as long as the holder.
    ///
    /// # Errors
    /// The engine's, or the holder's own words about why it cannot serve.
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
            // Some engines share no folder of their machine: then use of CPU and memory is not measured.
            Err(EngineError::Refused { message, .. }) if message.contains("/sys/fs/cgroup") => {
                let mut spec = spec;
                spec.holder.iter_mut().for_each(|holder| holder.groups = None);
                engine.create(&spec).await?
            }
            created => created?,
        };
        let attached = engine.attach(&container, true).await?;
        let (sender, inbox) = mpsc::unbounded_channel();
        tokio::spawn(read(attached.output, sender));
        let mut holder = Self {
            container,
            input: Arc::new(Mutex::new(attached.input)),
            inbox,
            runs: 0,
            heartbeat: None,
            failed: false,
            occupied: false,
            _counted: counted,
        };
        engine.start(&holder.container).await?;
        let hello = Hello {
            version: VERSION,
            ca_cert: launch.authority.cert.clone(),
            ca_key: launch.authority.key.clone(),
            lifetime_s: LIFETIME_S,
            container: holder.container.clone(),
        };
        holder.say(&ToHolder::Hello(hello)).await?;
        holder.heartbeat = Some(tokio::spawn(heartbeat(holder.input.clone())).abort_handle());
        match holder.answer(Some).await? {
            FromHolder::Ready { version: VERSION } => Ok(holder),
            other => Err(RunError::Holder(format!("expected to hear that it is ready, heard {other:?}"))),
        }
    }

    /// The number of the next run.
    pub(crate) fn next_run(&mut self) -> u64 {
        self.runs += 1;
        self.occupied = false;
        self.runs
    }

    /// True when the next run may have it: it has not failed, and no candidate may be in its namespace.
    #[must_use]
    pub(crate) fn is_reusable(&self) -> bool {
        !self.failed && !self.occupied
    }

    /// A candidate is about to join: until it has left, nobody else can have this holder.
    pub(crate) fn let_in(&mut self) {
        self.occupied = true;
    }

    /// Sends a line.
    ///
    /// # Errors
    /// When the holder is gone.
    pub(crate) async fn say(&mut self, message: &ToHolder) -> Result<(), RunError> {
        let gone = |e: &dyn std::fmt::Display| RunError::Holder(format!("it cannot be written to: {e}"));
        let bytes = line(message).map_err(|e| gone(&e))?;
        let written = timeout(ANSWER_WITHIN, write(&self.input, &bytes)).await;
        let written = written.map_err(|e| gone(&e)).and_then(|written| written.map_err(|e| gone(&e)));
        self.failed |= written.is_err();
        written
    }

    /// The next line, whenever it comes. An error other than [`RunError::CannotImpose`] is the holder's own failure.
    ///
    /// # Errors
    /// When the holder is gone, says that it failed, or cannot impose a condition.
    pub(crate) async fn hear(&mut self) -> Result<FromHolder, RunError> {
        let heard = self.next_line().await;
        self.failed |= matches!(&heard, Err(error) if !matches!(error, RunError::CannotImpose { .. }));
        heard
    }

    async fn next_line(&mut self) -> Result<FromHolder, RunError> {
        loop {
            return match self.inbox.recv().await {
                // Late words about a run that is over.
                Some(Ok(FromHolder::Failed { run: Some(run), message })) if run < self.runs => {
                    tracing::debug!(run, message, "a run that is over");
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

    /// Waits for the message that `wanted` makes an answer of. The time limit is that of the whole wait: other messages
    /// do not prolong it.
    async fn answer<T>(&mut self, mut wanted: impl FnMut(FromHolder) -> Option<T>) -> Result<T, RunError> {
        let wait = async {
            loop {
                if let Some(answer) = wanted(self.hear().await?) {
                    return Ok(answer);
                }
            }
        };
        let late = || RunError::Holder(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        let answer = timeout(ANSWER_WITHIN, wait).await;
        self.failed |= answer.is_err();
        answer.map_err(|_| late())?
    }

    /// Makes the namespace of a run; when this returns, every condition is in force.
    /// Returns that moment by the holder's clock and by ours.
    ///
    /// # Errors
    /// When the holder is gone, or cannot impose a condition.
    pub(crate) async fn prepare(&mut self, prepare: Prepare) -> Result<Zero, RunError> {
        let wanted = prepare.run;
        self.say(&ToHolder::Prepare(Box::new(prepare))).await?;
        let prepared = |message| match message {
            FromHolder::Prepared { run, epoch_us, setup_us } if run == wanted => {
                tracing::debug!(run, setup_us, "namespace prepared");
                Some(Zero { epoch_us, heard: Instant::now() })
            }
            // Late messages about an earlier run.
            _ => None,
        };
        self.answer(prepared).await
    }

    /// Makes a namespace for a service container; the container must be started before anything else is asked for.
    ///
    /// # Errors
    /// When the holder is gone, or cannot make the namespace.
    pub(crate) async fn place(&mut self, run: u64, number: u32) -> Result<(), RunError> {
        self.occupied = true;
        self.say(&ToHolder::Place { run, number }).await?;
        self.answer(|message| (message == FromHolder::Placed { run, number }).then_some(())).await
    }

    /// Waits until a service serves.
    ///
    /// # Errors
    /// When the holder is gone, or the service does not serve in time.
    pub(crate) async fn awake(&mut self, order: Await, within: Duration) -> Result<(), RunError> {
        let expected = FromHolder::Awake { run: order.run, number: order.number };
        self.say(&ToHolder::Await(order)).await?;
        let wait = async {
            while self.hear().await? != expected {}
            Ok(())
        };
        let late = || RunError::Holder(format!("the service does not serve within {} s", within.as_secs_f64()));
        timeout(within, wait).await.map_err(|_| late())?
    }

    /// Takes a run down and hands over what is still to be told of it.
    ///
    /// # Errors
    /// When the holder is gone.
    pub(crate) async fn finish(&mut self, run: u64, mut told: impl FnMut(FromHolder)) -> Result<(), RunError> {
        self.say(&ToHolder::Finish { run }).await?;
        let finished = |message| match message {
            FromHolder::Finished { run: finished } if finished == run => Some(()),
            other => {
                told(other);
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

/// Lets a holder know that the controller is there, until it can no longer be written to.
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

/// Splits the holder's output into lines and reads them.
async fn read(
    mut output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    sender: mpsc::UnboundedSender<Result<FromHolder, RunError>>,
) {
    let mut pending = Vec::new();
    let mut complaint = String::new();
    while let Some(item) = output.next().await {
        match item {
            Ok(Output::Stdout(bytes)) => {
                pending.extend_from_slice(&bytes);
                while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                    let text: Vec<u8> = pending.drain(..=end).collect();
                    let message = serde_json::from_slice(&text)
                        .map_err(|e| RunError::Holder(format!("it said what cannot be understood: {e}")));
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            }
            Ok(Output::Stderr(bytes)) => {
                complaint.push_str(&String::from_utf8_lossy(&bytes));
                complaint.truncate(complaint.floor_char_boundary(2000));
            }
            Err(e) => {
                let _ = sender.send(Err(e.into()));
                return;
            }
        }
    }
    let _ = sender.send(Err(RunError::Holder(format!("it ended: {}", complaint.trim()))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn other_messages_do_not_prolong_the_wait_for_an_answer() {
        for pause in [Duration::from_secs(5), Duration::from_millis(1)] {
            let (sender, inbox) = mpsc::unbounded_channel();
            let input: Input = Box::pin(tokio::io::sink());
            let mut holder = Holder {
                container: String::new(),
                input: Arc::new(Mutex::new(input)),
                inbox,
                runs: 2,
                heartbeat: None,
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
            assert_eq!(
                finished.map_err(|e| e.to_string()),
                Err("the holder of the namespace: no answer within 20 s".to_owned())
            );
            assert!(begun.elapsed() < ANSWER_WITHIN + Duration::from_secs(1), "{:?}", begun.elapsed());
            chatter.abort();
        }
    }
}
