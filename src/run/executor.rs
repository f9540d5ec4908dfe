//! Starts jobs as slots and memory allow, and reports what happens to each.
//!
//! One policy for every driver. A job waits until there is room for it. A class C result of a job that ran in parallel
//! is not final: the case runs again, alone, as soon as no other job waits or runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::case::{self, Listener};
use super::confirm;
use super::context::Context;
use super::lease::Lease;
use super::schedule::{MemoryNeeds, Room, load};
use super::spec;
use crate::model::outcome::Phase;
use crate::model::{Candidate, Case, CaseResult, Evidence, Service, Verdict};

/// A job's number, in the order of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct JobId(u64);

/// One execution of a case.
#[derive(Clone)]
pub(crate) struct Job {
    /// The image.
    pub(crate) candidate: Candidate,
    /// The service configuration.
    pub(crate) service: Arc<Service>,
    /// The case.
    pub(crate) case: Case,
    /// Whether to report a provisional result as soon as the candidate is healthy, or does nothing any more.
    pub(crate) provisional: bool,
    /// Whether this is another attempt at a case that has already started.
    pub(crate) again: bool,
    /// What keeps a healthy candidate running.
    pub(crate) lease: Option<Lease>,
}

impl Job {
    /// The port that is probed.
    fn port(&self) -> u16 {
        spec::checked(&self.service, &self.case.conditions).port
    }
}

/// What happens to a job.
pub(crate) enum Message {
    /// It started.
    Started(Arc<Job>),
    /// It runs again, alone.
    Confirming,
    /// It reached a phase.
    Phase(Phase),
    /// It is healthy, or does nothing any more; this is its result unless something else happens.
    Provisional(Box<CaseResult>),
    /// It has its result.
    Finished(Box<CaseResult>),
    /// Its task panicked: a bug in exitone.
    Broken,
}

struct Running {
    job: Arc<Job>,
    /// The result in parallel with other jobs, when this is the second run, alone.
    first: Option<Box<CaseResult>>,
    /// Whether another job ran at the same time.
    beside: bool,
    /// The furthest phase so far.
    phase: Phase,
    /// Whether it does nothing any more: then it takes no slot.
    is_stuck: bool,
    cancel: watch::Sender<bool>,
}

impl Running {
    /// Whether it has its verdict, and is kept running by a lease: it takes memory and no slot.
    fn is_held(&self) -> bool {
        self.job.lease.is_some() && self.phase == Phase::Soak
    }
}

/// A class C result that needs a second run.
struct Unconfirmed {
    id: JobId,
    job: Arc<Job>,
    first: Box<CaseResult>,
}

/// Runs jobs in parallel.
pub(crate) struct Executor {
    context: Arc<Context>,
    room: Room,
    waiting: VecDeque<(JobId, Arc<Job>)>,
    unconfirmed: VecDeque<Unconfirmed>,
    running: BTreeMap<JobId, Running>,
    tasks: JoinSet<Box<CaseResult>>,
    /// The jobs of the tasks.
    jobs: BTreeMap<Id, JobId>,
    sender: mpsc::UnboundedSender<(JobId, Message)>,
    receiver: mpsc::UnboundedReceiver<(JobId, Message)>,
    /// Messages to return from [`Self::next`].
    ready: VecDeque<(JobId, Message)>,
    needs: MemoryNeeds,
    /// Whether candidates are known or assumed to use the network. Only those wait for it.
    uses_network: bool,
    draining: bool,
    last: u64,
    runs: usize,
}

impl Executor {
    /// An executor without jobs. `uses_network`: whether to assume that candidates use the network before one was seen
    /// to.
    #[must_use]
    pub(crate) fn new(context: Arc<Context>, room: Room, uses_network: bool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            context,
            room,
            waiting: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            jobs: BTreeMap::new(),
            sender,
            receiver,
            ready: VecDeque::new(),
            needs: MemoryNeeds::default(),
            uses_network,
            draining: false,
            last: 0,
            runs: 0,
        }
    }

    /// Queues a job. It starts when there is room, after all jobs queued before it.
    pub(crate) fn start(&mut self, job: Job) -> JobId {
        self.last += 1;
        let id = JobId(self.last);
        self.waiting.push_back((id, Arc::new(job)));
        id
    }

    /// Number of further jobs that could start now; 0 while a result waits for its second run.
    #[must_use]
    pub(crate) fn free(&self) -> usize {
        if self.draining || !self.unconfirmed.is_empty() || self.is_confirming() {
            return 0;
        }
        let slots = (self.room.jobs as f64 - self.slots_taken() + 1e-9).max(0.0) as usize;
        let free = slots.min(self.room.most.saturating_sub(self.undecided())).min(self.fitting());
        free.saturating_sub(self.waiting.len())
    }

    /// Number of further jobs, of any image, that fit into memory. One job always runs, whatever it needs.
    fn fitting(&self) -> usize {
        let Some(all) = self.room.memory else { return usize::MAX };
        let left = all.saturating_sub(self.memory_taken());
        let each = self.needs.largest().max(1);
        usize::try_from(left / each).unwrap_or(usize::MAX).max(usize::from(self.undecided() == 0))
    }

    /// Whether no job runs or waits.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.waiting.is_empty() && self.unconfirmed.is_empty() && self.ready.is_empty()
    }

    /// Number of executions so far. A second run, alone, counts, too.
    #[must_use]
    pub(crate) fn runs(&self) -> usize {
        self.runs
    }

    /// Number of running jobs without a verdict.
    fn undecided(&self) -> usize {
        self.running.values().filter(|running| !running.is_held()).count()
    }

    /// Number of slots in use.
    fn slots_taken(&self) -> f64 {
        let busy = self.running.values().filter(|running| !running.is_held() && !running.is_stuck);
        busy.map(|running| self.load(&running.job, running.phase)).sum()
    }

    fn load(&self, job: &Job, phase: Phase) -> f64 {
        load(&job.case.conditions, phase, self.uses_network)
    }

    fn memory(&self, job: &Job) -> u64 {
        self.needs.of(&job.case.image, &job.case.conditions)
    }

    fn memory_taken(&self) -> u64 {
        self.running.values().map(|running| self.memory(&running.job)).sum()
    }

    fn is_confirming(&self) -> bool {
        self.running.values().any(|running| running.first.is_some())
    }

    fn fits(&self, job: &Job) -> bool {
        if self.undecided() == 0 {
            return true;
        }
        !self.is_confirming()
            && self.undecided() < self.room.most
            && self.slots_taken() + self.load(job, Phase::Prepare) <= self.room.jobs as f64 + 1e-9
            && self.room.memory.is_none_or(|all| self.memory_taken() + self.memory(job) <= all)
    }

    /// Starts as many waiting jobs as there is room for.
    fn fill(&mut self) {
        while self.waiting.front().is_some_and(|(_, job)| self.fits(job)) {
            let Some((id, job)) = self.waiting.pop_front() else { return };
            self.ready.push_back((id, Message::Started(job.clone())));
            self.spawn(id, job, None);
        }
        if self.waiting.is_empty()
            && self.undecided() == 0
            && let Some(Unconfirmed { id, job, first }) = self.unconfirmed.pop_front()
        {
            tracing::debug!(conditions = %job.case.conditions, before = first.cell(), "running again, alone");
            self.ready.push_back((id, Message::Confirming));
            self.spawn(id, job, Some(first));
        }
    }

    fn spawn(&mut self, id: JobId, job: Arc<Job>, first: Option<Box<CaseResult>>) {
        self.runs += 1;
        let (cancel, cancelled) = watch::channel(false);
        // Its provisional result in parallel was reported; the result alone may differ.
        let provisional = job.provisional && first.is_none();
        let running =
            Running { job: job.clone(), first, beside: false, phase: Phase::Prepare, is_stuck: false, cancel };
        self.running.insert(id, running);
        if self.undecided() > 1 {
            self.running.values_mut().for_each(|running| running.beside = true);
        }
        let (context, sender) = (self.context.clone(), self.sender.clone());
        let handle = self.tasks.spawn(async move {
            // The executor outlives its tasks.
            let send = |message| drop(sender.send((id, message)));
            let phase = |phase| send(Message::Phase(phase));
            let tell = |result| send(Message::Provisional(Box::new(result)));
            let listener = Listener {
                phase: &phase,
                provisional: provisional.then_some(&tell),
                cancelled: Some(&cancelled),
                lease: job.lease.as_ref(),
            };
            Box::new(case::run(&context, &job.service, &job.candidate, &job.case, listener).await)
        });
        self.jobs.insert(handle.id(), id);
    }

    /// Waits for the next message; `None` when no job runs or waits. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<(JobId, Message)> {
        loop {
            self.fill();
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.tasks.is_empty() {
                return None;
            }
            tokio::select! {
                // A job's messages come before its end.
                biased;
                Some((id, message)) = self.receiver.recv() => {
                    if let Some(message) = self.accept(id, message) {
                        return Some((id, message));
                    }
                }
                Some(joined) = self.tasks.join_next_with_id() => {
                    if let Some(message) = self.joined(joined) {
                        return Some(message);
                    }
                }
            }
        }
    }

    /// Takes note of a job's message; `None` when the job was cancelled.
    fn accept(&mut self, id: JobId, message: Message) -> Option<Message> {
        match &message {
            Message::Phase(phase) => self.running.get_mut(&id)?.phase = *phase,
            Message::Provisional(result) => {
                self.note_network_use(&result.evidence);
                self.running.get_mut(&id)?.is_stuck = result.verdict != Verdict::Pass;
            }
            _ => {}
        }
        self.running.get(&id).filter(|running| !*running.cancel.borrow()).map(|_| message)
    }

    fn joined(&mut self, joined: Result<(Id, Box<CaseResult>), tokio::task::JoinError>) -> Option<(JobId, Message)> {
        let (task, result) = match joined {
            Ok((task, result)) => (task, Some(result)),
            Err(e) => (e.id(), None),
        };
        let id = self.jobs.remove(&task)?;
        let running = self.running.remove(&id)?;
        let Some(result) = result else { return Some((id, Message::Broken)) };
        if *running.cancel.borrow() {
            return None;
        }
        self.needs.record(&result);
        self.note_network_use(&result.evidence);
        let port = running.job.port();
        let result = match running.first {
            Some(first) => confirm::confirmed_result(first, result, port),
            // Whoever leases a candidate sees it start; it does not start twice.
            None if running.job.lease.is_none() && confirm::needs_rerun(running.beside, &result, port) => {
                self.unconfirmed.push_back(Unconfirmed { id, job: running.job, first: result });
                if self.draining {
                    self.finish_unconfirmed();
                }
                return None;
            }
            None => confirm::unless_starved(result, port),
        };
        Some((id, Message::Finished(result)))
    }

    fn note_network_use(&mut self, evidence: &Evidence) {
        self.uses_network |= evidence.outbound().next().is_some() || evidence.questions().next().is_some();
    }

    /// Ends a job without a result. Its container is removed in the background.
    pub(crate) fn cancel(&mut self, id: JobId) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.unconfirmed.retain(|unconfirmed| unconfirmed.id != id);
        self.ready.retain(|(ready, _)| *ready != id);
        if let Some(running) = self.running.get(&id) {
            running.cancel.send_replace(true);
        }
    }

    /// Starts no further job; running jobs finish, and results that wait for their second run become final.
    /// Returns the jobs that will not start.
    pub(crate) fn drain(&mut self) -> Vec<JobId> {
        self.draining = true;
        self.finish_unconfirmed();
        let mut left: Vec<JobId> = self.waiting.drain(..).map(|(id, _)| id).collect();
        left.sort_unstable();
        left
    }

    fn finish_unconfirmed(&mut self) {
        for Unconfirmed { id, job, first } in self.unconfirmed.drain(..) {
            let first = confirm::unconfirmed(first, "the run was interrupted");
            self.ready.push_back((id, Message::Finished(confirm::unless_starved(first, job.port()))));
        }
    }

    /// Ends all jobs without a result.
    pub(crate) async fn abort(&mut self) {
        self.drain();
        self.tasks.shutdown().await;
        self.jobs.clear();
        self.running.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Engine;
    use crate::engine::fake::{Act, FakeEngine, exits, healthy};
    use crate::model::ConditionSet;
    use crate::model::observation::{ConnectAttempt, Fate, Observation};
    use crate::run::context::Options;
    use crate::run::rig::{Rig, Setup};

    struct World {
        engine: FakeEngine,
        rig: Rig,
        _state: tempfile::TempDir,
    }

    impl World {
        async fn new(act: impl Fn(&crate::engine::fake::Situation) -> Act + Send + Sync + 'static) -> Self {
            let engine = FakeEngine::new(true);
            engine.image("app:1", &[], Arc::new(act));
            let shared: Arc<dyn Engine> = Arc::new(engine.clone());
            let info = shared.info().await.expect("an engine");
            let state = tempfile::tempdir().expect("a temporary folder");
            let setup = Setup {
                state: state.path().to_owned(),
                jobs: 8,
                options: Options::default(),
                watchdog: false,
                program: None,
                mode: None,
            };
            let rig = Rig::open(shared, &info, setup).await.expect("a session");
            Self { engine, rig, _state: state }
        }

        fn executor(&self, room: Room, uses_network: bool) -> Executor {
            Executor::new(self.rig.context.clone(), room, uses_network)
        }

        async fn job(&self, conditions: &str) -> Job {
            let facts = self.engine.inspect_image("app:1").await.expect("an image");
            let conditions = conditions.split_whitespace().map(|c| c.parse().expect("a condition"));
            let case = Case::new("app:1", ConditionSet::new(conditions).expect("a set"));
            Job {
                candidate: Candidate { facts },
                service: Arc::new(Service::some()),
                case,
                provisional: false,
                again: false,
                lease: None,
            }
        }

        async fn close(self) {
            self.rig.close(true).await.expect("closed");
            assert_eq!(self.engine.left(), Vec::<String>::new());
        }
    }

    fn connected() -> Observation {
        Observation::Connect(ConnectAttempt {
            at_ms: 1.0,
            protocol: "tcp".to_owned(),
            address: std::net::Ipv4Addr::new(198, 18, 0, 1),
            port: 443,
            name: None,
            fate: Fate::Answered,
            sent: 1,
        })
    }

    /// Starts all jobs that there is room for and returns them.
    fn started(executor: &mut Executor) -> Vec<JobId> {
        executor.fill();
        executor.ready.drain(..).map(|(id, _)| id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_job_takes_half_a_slot_and_watched_job_a_quarter() {
        let world = World::new(|_| healthy(8000)).await;
        let mut executor = world.executor(Room { most: 8, ..2.into() }, true);
        let mut ids = Vec::new();
        for conditions in ["dns.drop", "egress.drop", "", "env.unset:A"] {
            ids.push(executor.start(world.job(conditions).await));
        }
        assert_eq!(started(&mut executor), ids[..3], "two waiting jobs share a slot");
        executor.running.get_mut(&ids[2]).expect("running").phase = Phase::Soak;
        assert_eq!(started(&mut executor), [], "three quarters of a slot are too little");
        executor.running.get_mut(&ids[1]).expect("running").phase = Phase::Soak;
        assert_eq!(started(&mut executor), ids[3..]);
        executor.abort().await;
        let mut executor = world.executor(2.into(), true);
        for conditions in ["dns.drop", "egress.drop", ""] {
            executor.start(world.job(conditions).await);
        }
        assert_eq!(started(&mut executor).len(), 2, "--jobs is a hard limit");
        executor.abort().await;
        world.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_fit_into_memory() {
        let world = World::new(|_| healthy(8000)).await;
        // 512 + 512 + 64 MB fit into 1200 MB; one job always runs.
        for (memory, count) in [(1200 << 20, 3), (1, 1)] {
            let mut executor = world.executor(Room { memory: Some(memory), ..8.into() }, true);
            for conditions in ["", "env.unset:A", "memory.limit:64m", "env.unset:B"] {
                executor.start(world.job(conditions).await);
            }
            assert_eq!(started(&mut executor).len(), count);
            executor.abort().await;
        }
        world.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn network_fault_slows_only_candidates_that_use_the_network() {
        for (seen, free) in [(vec![connected()], 1), (Vec::new(), 0)] {
            let world = World::new(move |_| Act { seen: seen.clone(), ..healthy(8000) }).await;
            let mut executor = world.executor(Room { jobs: 2, most: 8, memory: None }, false);
            executor.start(world.job("").await);
            while !matches!(executor.next().await, Some((_, Message::Finished(_)))) {}
            executor.start(world.job("egress.drop").await);
            executor.start(world.job("egress.drop").await);
            executor.fill();
            assert_eq!(executor.free(), free);
            executor.abort().await;
            world.close().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_job_ends_at_once_without_a_result() {
        // It never listens, so its health check would take 25 s.
        let world = World::new(|s| if s.env.is_empty() { Act::default() } else { healthy(8000) }).await;
        let mut executor = world.executor(2.into(), true);
        let silent = executor.start(world.job("").await);
        while !matches!(executor.next().await, Some((_, Message::Phase(Phase::Listen)))) {}
        let begun = tokio::time::Instant::now();
        executor.cancel(silent);
        assert!(executor.next().await.is_none(), "a cancelled job has no result");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(executor.is_idle());
        world.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn draining_finishes_running_jobs_and_starts_no_others() {
        let world = World::new(|_| exits(Duration::from_secs(1), 1, "no")).await;
        let mut executor = world.executor(1.into(), true);
        let first = executor.start(world.job("").await);
        let second = executor.start(world.job("env.unset:A").await);
        assert_eq!(started(&mut executor), [first]);
        assert_eq!(executor.drain(), [second]);
        let mut finished = Vec::new();
        while let Some((id, message)) = executor.next().await {
            if let Message::Finished(result) = message {
                finished.push((id, result.verdict));
            }
        }
        assert_eq!(finished, [(first, Verdict::Fail)]);
        world.close().await;
    }
}
