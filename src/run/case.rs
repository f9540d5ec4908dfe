//! One case as a state machine: prepare, start, listen, healthy, soak, stop.
//!
//! Every condition is in force before the candidate's first instruction: the holder acknowledges the namespace
//! before the container is started. The verdict stands before the candidate is stopped; stopping and removing go on
//! beside the next case.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::RunError;
use super::deaths::Deaths;
use super::health::{Decision, HealthMachine};
use super::holder::{Holder, Zero, millis_between};
use super::logs::{Log, last_lines};
use super::pool::Pool;
use super::result::{Attempt, Frame};
use super::session::Session;
use super::spec;
use crate::engine::{Engine, EngineError, EngineResult, Output};
use crate::holder::protocol::{FromHolder, OWN, Prepare, Probe, Request, ToHolder};
use crate::model::observation::{Observation, ProbeAttempt, ProbeResult};
use crate::model::outcome::{CheckResult, Phase};
use crate::model::service::{HttpCheck, Protocol};
use crate::model::{Candidate, Case, CaseResult, Evidence, Outcome, Redactor, Service};

const CANNOT_EXECUTE: &str = "host cannot: the engine's machine does not execute linux/amd64";
const CANNOT_EXECUTE_HINT: &str = "Install emulation there (`docker run --privileged --rm tonistiigi/binfmt --install amd64`), or use an amd64 engine.";
/// A start that the engine does not report within this time.
const START_WITHIN: Duration = Duration::from_secs(60);
/// After SIGTERM a candidate has this long before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// What a process wrote arrives within this time after its end.
const LOG_WITHIN: Duration = Duration::from_secs(2);
/// An answer of the holder that is later than its time limit by this much will not come.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// The pause before the next early probe: after a failure, and after a success when more are needed.
const EARLY_AGAIN: Duration = Duration::from_millis(250);
const EARLY_MORE: Duration = Duration::from_millis(50);

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a healthy candidate is watched.
    pub soak: Duration,
    /// True: the kernel's and the platform's own times.
    pub real_time: bool,
    /// True: the deployment that creates the service.
    pub first: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { soak: Duration::from_secs(1), real_time: false, first: false }
    }
}

/// What all cases of a session share.
pub struct Context {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The session.
    pub session: Arc<Session>,
    /// The holders.
    pub pool: Pool,
    /// Who has ended.
    pub deaths: Deaths,
    /// How cases are run.
    pub options: Options,
    /// The architecture of the engine's machine: `amd64`, `arm64`.
    pub architecture: String,
    /// True when the engine can take a variable of an image away.
    pub unsets_variables: bool,
    /// Candidates that are being stopped and removed.
    pub leaving: Mutex<JoinSet<()>>,
}

/// Runs one case. `on_phase` hears of every phase that is reached.
pub async fn run(
    context: &Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
    on_phase: &(dyn Fn(Phase) + Sync),
) -> CaseResult {
    let begun = Instant::now();
    let frame = |total_ms: f64| Frame { case, candidate, service, first: context.options.first, total_ms };
    if let Some(result) = frame(0.0).of_image() {
        return result;
    }
    let tried = match context.pool.take().await {
        Ok(mut holder) => {
            let tried = attempt(context, service, candidate, case, &mut holder, begun, on_phase).await;
            if matches!(tried, Err(Failure::Run(_))) {
                context.pool.discard(holder).await;
            } else {
                context.pool.give_back(holder).await;
            }
            tried
        }
        Err(e) => Err(Failure::Run(e)),
    };
    let frame = frame(millis(begun.elapsed()));
    // An engine of another architecture that cannot execute a good image says nothing about the image.
    let foreign = candidate.facts.architecture != context.architecture;
    let cannot = |text: &str| foreign && text.contains("exec format error");
    let result = match tried {
        Ok(attempt) if cannot(&attempt.log) => frame.unresolved(CANNOT_EXECUTE, CANNOT_EXECUTE_HINT),
        Err(Failure::Image { message, .. }) if cannot(&message) => {
            frame.unresolved(CANNOT_EXECUTE, CANNOT_EXECUTE_HINT)
        }
        Ok(attempt) => frame.of_attempt(attempt),
        Err(Failure::Image { exit_code, message, hint }) => frame.not_started(exit_code, &message, hint),
        Err(Failure::Run(e)) => frame.unresolved(&e.to_string(), e.hint()),
    };
    result.cleaned(&redactor(candidate, service, case))
}

/// Knows every secret value of a case.
fn redactor(candidate: &Candidate, service: &Service, case: &Case) -> Redactor {
    let env = spec::environment(candidate, service, &case.conditions);
    let image = candidate.facts.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let set = env.iter().filter_map(|(n, v)| v.as_deref().map(|v| (n.as_str(), v)));
    Redactor::new(image.chain(set), &service.secrets)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Why there is no attempt.
enum Failure {
    /// The image cannot be started anywhere.
    Image { exit_code: Option<i64>, message: String, hint: &'static str },
    /// The sandbox or the engine spoiled it.
    Run(RunError),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Engine(e) => e.into(),
            other => Self::Run(other),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let hint = error.hint();
        match error {
            EngineError::CannotStart { exit_code, message } => Self::Image { exit_code, message, hint },
            other => Self::Run(other.into()),
        }
    }
}

async fn attempt(
    context: &Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
    holder: &mut Holder,
    begun: Instant,
    on_phase: &(dyn Fn(Phase) + Sync),
) -> Result<Attempt, Failure> {
    on_phase(Phase::Prepare);
    let engine = &context.engine;
    let env = spec::environment(candidate, service, &case.conditions);
    let container = spec::container(candidate, service, &case.conditions, &context.session, &holder.container);
    if let Some((name, _)) = env.iter().find(|(_, value)| value.is_none() && !context.unsets_variables) {
        let why = format!("host cannot: this engine does not take the image's variable {name} away");
        return Err(Failure::Run(RunError::Holder(why)));
    }
    let run = holder.next_run();
    let prepare = Prepare {
        run,
        fresh: context.pool.fresh(),
        conditions: case.conditions.iter().filter(|c| c.is_of_network()).cloned().collect(),
        real_time: context.options.real_time,
        ports: spec::named_ports(service, &env),
    };
    let (prepared, created) = tokio::join!(holder.prepare(prepare), engine.create(&container));
    // From here on the container is removed whatever happens.
    let mut leaving = Leaving { context, id: created.clone().unwrap_or_default(), death: None };
    // A holder that failed is not fit for another run, whatever else went wrong.
    let zero = prepared?;
    let id = created?;
    let attached = engine.attach(&id, false).await?;
    let death = context.deaths.of(&id);
    on_phase(Phase::Start);
    match timeout(START_WITHIN, engine.start(&id)).await {
        Ok(started) => started?,
        Err(_) => {
            let late = format!("the engine did not report the start within {} s", START_WITHIN.as_secs());
            leaving.go().await;
            return Err(Failure::Run(RunError::Holder(late)));
        }
    }
    let mut watch = Watch {
        service,
        options: &context.options,
        holder,
        run,
        started: Instant::now(),
        phase: Phase::Listen,
        machine: HealthMachine::new(service.health_check.clone()),
        evidence: Evidence::default(),
        output: Some(attached.output),
        log: Log::default(),
        death,
        waiting: HashMap::new(),
        seq: 0,
        early: None,
        healthy_at: None,
        checks: Vec::new(),
        on_phase,
    };
    on_phase(Phase::Listen);
    let end = watch.until_decided().await;
    let end = match end {
        Ok(end) => end,
        Err(e) => {
            leaving.go().await;
            return Err(e.into());
        }
    };
    let redactor = redactor(candidate, service, case);
    let started_ms = millis(watch.started - begun);
    let settled = watch.settle(end, engine.as_ref(), &id, zero, &redactor).await;
    if end != End::Died {
        // It still lives: it gets SIGTERM, and later SIGKILL.
        leaving.death = Some(watch.death);
    }
    leaving.go().await;
    let mut attempt = settled?;
    attempt.started_ms = attempt.started_ms.map(|lag| started_ms + lag);
    on_phase(Phase::Stop);
    Ok(attempt)
}

/// A container on its way out. Stopping and removing go on beside the next case.
struct Leaving<'a> {
    context: &'a Context,
    id: String,
    /// Resolves when it ends; only for one that still lives and is to be asked first.
    death: Option<oneshot::Receiver<Result<(), RunError>>>,
}

impl Leaving<'_> {
    async fn go(mut self) {
        let task = leave(self.context.engine.clone(), std::mem::take(&mut self.id), self.death.take());
        let mut leaving = self.context.leaving.lock().await;
        leaving.spawn(task);
        while leaving.try_join_next().is_some() {}
    }
}

impl Drop for Leaving<'_> {
    /// An attempt that breaks off early: its container goes without being asked.
    fn drop(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let task = leave(self.context.engine.clone(), std::mem::take(&mut self.id), None);
        match self.context.leaving.try_lock() {
            Ok(mut leaving) => drop(leaving.spawn(task)),
            // The session's end removes what is left.
            Err(_) => drop(tokio::spawn(task)),
        }
    }
}

async fn leave(engine: Arc<dyn Engine>, id: String, death: Option<oneshot::Receiver<Result<(), RunError>>>) {
    if let Some(death) = death {
        if let Err(error) = engine.kill(&id, "SIGTERM").await {
            tracing::debug!(%error, "SIGTERM");
        }
        // Dead or not, what follows removes it by force.
        let _ = timeout(STOP_WITHIN, death).await;
    }
    if let Err(error) = engine.remove(&id).await {
        tracing::warn!(%error, "a candidate could not be removed; the end of the session removes it");
    }
}

/// How the watch of a candidate ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The process ended.
    Died,
    /// Healthy through the soak.
    Healthy,
    /// The health check gave up.
    Unhealthy,
}

/// A probe or a request that is not answered yet.
struct Waiting {
    sent: Instant,
    /// A probe that was sent ahead of the schedule.
    early: bool,
    /// When the holder must have answered.
    due: Instant,
}

/// A candidate that is watched.
struct Watch<'a> {
    service: &'a Service,
    options: &'a Options,
    holder: &'a mut Holder,
    run: u64,
    started: Instant,
    phase: Phase,
    machine: HealthMachine,
    evidence: Evidence,
    output: Option<Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>>,
    log: Log,
    death: oneshot::Receiver<Result<(), RunError>>,
    /// Probes and requests that are not answered yet.
    waiting: HashMap<u64, Waiting>,
    seq: u64,
    /// When the next early probe is due.
    early: Option<Instant>,
    healthy_at: Option<Instant>,
    checks: Vec<CheckResult>,
    on_phase: &'a (dyn Fn(Phase) + Sync),
}

impl Watch<'_> {
    async fn until_decided(&mut self) -> Result<End, RunError> {
        let far = self.started + Duration::from_secs(86_400);
        loop {
            let waiting = self.healthy_at.is_none();
            let tick = if waiting { self.started + self.machine.next_tick() } else { far };
            let early = self.early.filter(|_| waiting).unwrap_or(far);
            let checked = self.checks.len() == self.service.checks.len();
            let overdue = self.waiting.values().map(|w| w.due).min().unwrap_or(far);
            let soaked = self.healthy_at.filter(|_| checked).map_or(far, |at| at + self.options.soak);
            tokio::select! {
                died = &mut self.death => {
                    died.map_err(|_| RunError::Holder("the event stream is gone".to_owned()))??;
                    return Ok(End::Died);
                }
                heard = self.holder.hear() => {
                    if let Some(end) = self.heard(heard?).await? {
                        return Ok(end);
                    }
                }
                written = next(&mut self.output) => self.written(written),
                () = sleep_until(tick) => {
                    self.machine.tick();
                    self.probe(false).await?;
                }
                () = sleep_until(early) => {
                    self.early = None;
                    self.probe(true).await?;
                }
                () = sleep_until(soaked) => return Ok(End::Healthy),
                () = sleep_until(overdue) => {
                    return Err(RunError::Holder("a probe was not answered long after its time limit".to_owned()));
                }
            }
        }
    }

    fn written(&mut self, written: Option<EngineResult<Output>>) {
        match written {
            Some(Ok(Output::Stdout(bytes) | Output::Stderr(bytes))) => self.log.push(&bytes),
            Some(Err(error)) => tracing::debug!(%error, "reading the log"),
            None => self.output = None,
        }
    }

    async fn heard(&mut self, message: FromHolder) -> Result<Option<End>, RunError> {
        match message {
            FromHolder::Observed { run, observation } if run == self.run => {
                if let Observation::Listen(listening) = &observation
                    && listening.port == self.service.port
                    && listening.reachable_at(OWN)
                {
                    if self.phase == Phase::Listen {
                        self.enter(Phase::Healthy);
                    }
                    if !self.options.real_time && self.early.is_none() {
                        self.early = Some(Instant::now());
                    }
                }
                self.evidence.add(observation);
            }
            FromHolder::Probed { run, seq, result } if run == self.run => return self.probed(seq, result).await,
            FromHolder::Responded { run, seq, result, body } if run == self.run => {
                self.waiting.remove(&seq);
                if let Some(check) = self.service.checks.get(self.checks.len()) {
                    self.checks.push(judge(check, &result, &body));
                    self.next_check().await?;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        (self.on_phase)(phase);
    }

    fn timeout_ms(&self) -> u64 {
        u64::from(self.service.health_check.timeout) * 1000
    }

    /// Takes a note that an answer is due.
    fn wait_for(&mut self, early: bool, timeout_ms: u64) -> u64 {
        self.seq += 1;
        let sent = Instant::now();
        let due = sent + Duration::from_millis(timeout_ms) + ANSWER_GRACE;
        self.waiting.insert(self.seq, Waiting { sent, early, due });
        self.seq
    }

    async fn probe(&mut self, early: bool) -> Result<(), RunError> {
        let seq = self.wait_for(early, self.timeout_ms());
        let check = &self.service.health_check;
        let probe = Probe {
            run: self.run,
            seq,
            port: self.service.port,
            path: (check.protocol == Protocol::Http).then(|| check.path.clone()),
            timeout_ms: self.timeout_ms(),
        };
        self.holder.say(&ToHolder::Probe(probe)).await
    }

    async fn probed(&mut self, seq: u64, result: ProbeResult) -> Result<Option<End>, RunError> {
        let Some(Waiting { sent, early, .. }) = self.waiting.remove(&seq).filter(|_| self.healthy_at.is_none()) else {
            return Ok(None);
        };
        let at_ms = millis(sent - self.started);
        let good = result.good();
        self.evidence.probes.push(ProbeAttempt { at_ms, result, early });
        match self.machine.result(good, early) {
            Decision::Unhealthy => return Ok(Some(End::Unhealthy)),
            Decision::Healthy => {
                self.healthy_at = Some(Instant::now());
                self.enter(Phase::Soak);
                self.next_check().await?;
            }
            Decision::Open if early => {
                self.early = Some(Instant::now() + if good { EARLY_MORE } else { EARLY_AGAIN });
            }
            Decision::Open => {}
        }
        Ok(None)
    }

    async fn next_check(&mut self) -> Result<(), RunError> {
        let Some(check) = self.service.checks.get(self.checks.len()) else { return Ok(()) };
        let (check, timeout_ms) = (check.clone(), u64::try_from(check.within.as_millis()).unwrap_or(u64::MAX / 2));
        let seq = self.wait_for(false, timeout_ms);
        let request = Request {
            run: self.run,
            seq,
            port: self.service.port,
            method: check.method.clone(),
            path: check.path.clone(),
            body: check.body.clone(),
            timeout_ms,
        };
        self.holder.say(&ToHolder::Request(request)).await
    }

    /// Collects what is still to be had, and makes the attempt of it.
    async fn settle(
        &mut self,
        end: End,
        engine: &dyn Engine,
        id: &str,
        zero: Zero,
        redactor: &Redactor,
    ) -> Result<Attempt, RunError> {
        let evidence = &mut self.evidence;
        let finish = self.holder.finish(self.run, |message| {
            if let FromHolder::Observed { observation, .. } = message {
                evidence.add(observation);
            }
        });
        let (state, finished) = tokio::join!(engine.state(id), finish);
        let (state, ()) = (state?, finished?);
        // The event of an end may be on its way while the last probe or the soak decides: the state is what counts.
        let end = if state.running { end } else { End::Died };
        if end == End::Died {
            self.drain().await;
        }
        // All times count from the start of the process, by the engine's clock. Ours began when the engine had
        // answered; the holder's when the namespace was ready.
        let started_us = state.started_at_us.unwrap_or(zero.epoch_us);
        let lag = zero.before(self.started, started_us).max(0.0);
        let probes = std::mem::take(&mut self.evidence.probes);
        self.evidence.shift(millis_between(started_us, zero.epoch_us));
        self.evidence.probes = probes;
        self.evidence.probes.iter_mut().for_each(|p| p.at_ms = ((p.at_ms + lag) * 10.0).round() / 10.0);
        let log = self.log.text(redactor);
        self.evidence.log_tail = last_lines(&log);
        let reachable = |l: &crate::model::observation::Listening| l.port == self.service.port && l.reachable_at(OWN);
        let (outcome, exit_code) = match end {
            End::Died => (Outcome::of_exit(state.exit_code, state.oom_killed), Some(state.exit_code)),
            End::Healthy => (Outcome::Healthy, None),
            End::Unhealthy if self.evidence.listens.iter().any(reachable) => (Outcome::Unhealthy, None),
            End::Unhealthy => (Outcome::NeverListened, None),
        };
        Ok(Attempt {
            outcome,
            phase: self.phase,
            exit_code,
            oom: state.oom_killed,
            started_ms: Some(-lag),
            exited_ms: (end == End::Died)
                .then(|| state.finished_at_us.map(|at| millis_between(started_us, at)))
                .flatten(),
            verdict_ms: (end == End::Died).then(|| zero.since_end(state.finished_at_us)).flatten(),
            healthy_ms: self.healthy_at.map(|at| millis(at - self.started) + lag),
            evidence: std::mem::take(&mut self.evidence),
            checks: std::mem::take(&mut self.checks),
            log,
            real_time: self.options.real_time,
        })
    }

    /// Reads what the process wrote to its end.
    async fn drain(&mut self) {
        let end = Instant::now() + LOG_WITHIN;
        while self.output.is_some() {
            tokio::select! {
                written = next(&mut self.output) => self.written(written),
                () = sleep_until(end) => return,
            }
        }
    }
}

/// The next piece of output; never, when there is no more.
async fn next(
    output: &mut Option<Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>>,
) -> Option<EngineResult<Output>> {
    match output {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

fn judge(check: &HttpCheck, result: &ProbeResult, body: &str) -> CheckResult {
    let (passed, text) = match result {
        ProbeResult::Status(status) if *status != check.status => (false, format!("answered {status}")),
        ProbeResult::Status(status) => match &check.json {
            Some(json) if serde_json::from_str::<serde_json::Value>(body).ok().as_ref() != Some(json) => {
                (false, format!("answered {status}, but not {json}"))
            }
            _ => (true, format!("answered {status}")),
        },
        ProbeResult::TimedOut => (false, format!("no answer within {} s", check.within.as_secs_f64())),
        ProbeResult::Refused => (false, "connection refused".to_owned()),
        ProbeResult::Broken(why) => (false, why.clone()),
        ProbeResult::Accepted => (true, "accepted".to_owned()),
    };
    CheckResult { name: check.name.clone(), passed, text }
}
