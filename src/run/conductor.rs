//! The one loop of a run. Drivers decide what to run; the conductor runs it, stamps events, and alone handles
//! interrupts, deadlines and the loss of the engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::context::Context;
use super::executor::{Executor, Job, JobId, Message};
use super::recorder::Recorder;
use super::schedule::Room;
use crate::event::Event;
use crate::model::outcome::Phase;
use crate::model::{CaseId, CaseResult};

/// How often the user has asked to stop: once to let running jobs finish, twice to abort them.
pub type Interrupts = tokio::sync::watch::Receiver<u32>;

const ENGINE_LOST: &str = "the container engine stopped answering";
const INTERRUPTED: &str = "the run was interrupted";
pub(super) const OUT_OF_TIME: &str = "the budget ran out";

/// What a driver learns about its jobs.
pub(super) enum RunnerEvent {
    /// A job reached a phase.
    Phase(JobId, Phase),
    /// A job is healthy, or does nothing any more; this is its result unless something else happens.
    Provisional(JobId, Box<CaseResult>),
    /// A job has its result.
    Finished(JobId, Box<CaseResult>),
    /// A job's task panicked.
    Broken(JobId),
    /// No further jobs start. These were waiting and never will; [`Conductor::stopped`] says why.
    Stopped(Vec<JobId>),
}

/// What happens to running jobs at the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AtDeadline {
    /// They run to completion.
    Drain,
    /// They end without a result.
    Abort,
}

/// Runs the jobs of one driver at a time.
pub(super) struct Conductor<'a> {
    pub(super) context: Arc<Context>,
    pub(super) recorder: Recorder<'a>,
    executor: Executor,
    /// The cases of the jobs.
    cases: BTreeMap<JobId, CaseId>,
    ready: VecDeque<RunnerEvent>,
    deadline: Option<Instant>,
    at_deadline: AtDeadline,
    interrupts: Interrupts,
    stopped: Option<String>,
    /// Every execution of a search, in chronological order.
    pub(super) executions: Vec<Arc<CaseResult>>,
    /// Number of jobs whose task panicked.
    pub(super) broken: usize,
    /// Whether a job was aborted before it had a result.
    pub(super) cut: bool,
    /// Why the engine was lost. Nothing runs after that.
    pub(super) engine_lost: Option<String>,
}

impl<'a> Conductor<'a> {
    /// A conductor without jobs. `uses_network` as in [`Executor::new`].
    pub(super) fn new(
        context: Arc<Context>,
        recorder: Recorder<'a>,
        room: Room,
        uses_network: bool,
        interrupts: Interrupts,
    ) -> Self {
        Self {
            executor: Executor::new(context.clone(), room, uses_network),
            context,
            recorder,
            cases: BTreeMap::new(),
            ready: VecDeque::new(),
            deadline: None,
            at_deadline: AtDeadline::Drain,
            interrupts,
            stopped: None,
            executions: Vec::new(),
            broken: 0,
            cut: false,
            engine_lost: None,
        }
    }

    /// Sets or changes the deadline.
    pub(super) fn until(&mut self, deadline: Option<Instant>, at_deadline: AtDeadline) {
        (self.deadline, self.at_deadline) = (deadline, at_deadline);
    }

    /// Records an event.
    pub(super) fn stamp(&mut self, event: Event) {
        self.recorder.stamp(event);
    }

    /// Queues a job; it starts when there is room.
    pub(super) fn start(&mut self, job: Job) -> JobId {
        let case = job.case.id.clone();
        let id = self.executor.start(job);
        self.cases.insert(id, case);
        id
    }

    /// Ends a job without a result.
    pub(super) fn cancel(&mut self, id: JobId) {
        self.cases.remove(&id);
        self.executor.cancel(id);
    }

    /// Number of further jobs that could start now.
    pub(super) fn free(&self) -> usize {
        if self.is_stopping() { 0 } else { self.executor.free() }
    }

    /// Whether no job runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.executor.is_idle() && self.ready.is_empty()
    }

    /// Number of executions so far.
    pub(super) fn runs(&self) -> usize {
        self.executor.runs()
    }

    /// Whether no further job should start.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopped.is_some() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Why no further job starts.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// How often the user asked to stop.
    pub(super) fn interrupted(&self) -> u32 {
        *self.interrupts.borrow()
    }

    /// Starts no further job; running jobs finish. The first reason given is kept.
    pub(super) fn drain(&mut self, because: &str) {
        self.stop(because, false);
    }

    fn stop(&mut self, because: &str, aborts: bool) {
        let left = self.executor.drain();
        if self.stopped.is_none() {
            self.stopped = Some(because.to_owned());
            self.stamp(Event::Draining { because: because.to_owned(), aborts });
            self.ready.push_back(RunnerEvent::Stopped(left));
        }
    }

    /// Ends running jobs without a result.
    async fn abort(&mut self, because: &str) {
        self.stop(because, true);
        self.cut |= !self.executor.is_idle();
        self.executor.abort().await;
        self.cases.clear();
    }

    /// Waits for the next event; `None` when no job runs or waits.
    pub(super) async fn next(&mut self) -> Option<RunnerEvent> {
        let context = self.context.clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let deadline = self.deadline.filter(|_| self.at_deadline == AtDeadline::Abort || self.stopped.is_none());
            tokio::select! {
                biased;
                Ok(()) = self.interrupts.changed() => self.interrupt().await,
                // Before the failures of cases, which the loss of the engine explains.
                why = context.lifeline.lost(), if self.engine_lost.is_none() => {
                    self.abort(ENGINE_LOST).await;
                    self.engine_lost = Some(why);
                }
                message = self.executor.next() => {
                    let (id, message) = message?;
                    if let Some(event) = self.event_of(id, message) {
                        return Some(event);
                    }
                }
                () = due(deadline) => self.time_is_up().await,
            }
        }
    }

    async fn interrupt(&mut self) {
        if *self.interrupts.borrow_and_update() > 1 {
            self.abort(INTERRUPTED).await;
        } else {
            self.drain(INTERRUPTED);
        }
    }

    async fn time_is_up(&mut self) {
        match self.at_deadline {
            AtDeadline::Drain => self.drain(OUT_OF_TIME),
            AtDeadline::Abort => {
                self.abort(OUT_OF_TIME).await;
                self.deadline = None;
            }
        }
    }

    /// Waits until cancelled jobs have released their containers.
    pub(super) async fn settle(&mut self) {
        while self.next().await.is_some() {}
    }

    fn event_of(&mut self, id: JobId, message: Message) -> Option<RunnerEvent> {
        let case = self.cases.get(&id)?.clone();
        match message {
            Message::Started(job) => {
                let (image, conditions) = (job.case.image.clone(), job.case.conditions.clone());
                if !job.again {
                    self.stamp(Event::CaseStarted { id: case, image, conditions });
                }
                None
            }
            Message::Confirming => {
                self.stamp(Event::CaseConfirming { id: case });
                None
            }
            Message::Phase(phase) => {
                self.stamp(Event::CasePhase { id: case, phase });
                Some(RunnerEvent::Phase(id, phase))
            }
            Message::Provisional(result) => Some(RunnerEvent::Provisional(id, result)),
            Message::Finished(result) => {
                self.cases.remove(&id);
                Some(RunnerEvent::Finished(id, result))
            }
            Message::Broken => {
                self.cases.remove(&id);
                self.broken += 1;
                Some(RunnerEvent::Broken(id))
            }
        }
    }

    /// Awaits other work of the run; `None` when the run stops before it is done.
    pub(super) async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.stopped.is_some() {
            return None;
        }
        tokio::select! {
            biased;
            done = work => return Some(done),
            Ok(()) = self.interrupts.changed() => self.interrupt().await,
            () = due(self.deadline) => self.time_is_up().await,
        }
        // What the work created on the engine is still there.
        self.cut = true;
        None
    }
}

/// Returns at the deadline; without one, never.
async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
