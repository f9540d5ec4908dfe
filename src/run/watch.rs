//! Watches a running candidate: its messages and output, its health check, its end.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::RunError;
use super::context::Options;
use super::deaths::Death;
use super::health::{Decision, HealthMachine};
use super::holder::{Holder, Zero, millis_between};
use super::idle::{Done, IDLE_FROM, LOOK_EVERY, STEADY, answers, is_settled, to_ask};
use super::lease::Lease;
use super::logs::Log;
use super::result::Attempt;
use crate::engine::{ContainerState, Engine, EngineResult, Output};
use crate::holder::protocol::{FromHolder, OWN, Probe, Request, ToHolder};
use crate::model::observation::{Asked, Observation, ProbeAttempt, ProbeResult};
use crate::model::outcome::{CheckResult, Phase, SIGKILLED};
use crate::model::service::{HttpCheck, Protocol};
use crate::model::{Evidence, Outcome, Redactor, Service};

/// Time limit for the rest of the output after the process ended.
const LOG_WITHIN: Duration = Duration::from_secs(2);
/// How late the holder's answer to a probe may be.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// Pause before the next early probe: after a failure, and after a success when more are needed.
const EARLY_AGAIN: Duration = Duration::from_millis(250);
const EARLY_MORE: Duration = Duration::from_millis(50);

/// After the soak, how often and for how long to check whether the candidate still waits for the network: the kernel
/// (compressed) gives up after 3 s, a DNS client after 10 s.
const WAITING_AGAIN: Duration = Duration::from_millis(100);
const WAITING_WITHIN: Duration = Duration::from_secs(15);

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// How the watch of a candidate ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The process ended.
    Died,
    /// It stayed healthy through the soak.
    Healthy,
    /// The health check gave up.
    Unhealthy,
}

/// A probe or request without an answer.
struct Waiting {
    sent: Instant,
    /// Whether it is a probe ahead of the schedule.
    early: bool,
    /// When the holder's answer is due.
    due: Instant,
}

/// What a watch needs.
pub(crate) struct WatchInput<'a> {
    /// The service configuration.
    pub(crate) service: &'a Service,
    /// Options that apply to every case.
    pub(crate) options: &'a Options,
    /// The holder of the namespace.
    pub(crate) holder: &'a mut Holder,
    /// The run's number.
    pub(crate) run: u64,
    /// The output of the process.
    pub(crate) output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    /// Resolves when it ends.
    pub(crate) death: oneshot::Receiver<Death>,
    /// Called with each phase.
    pub(crate) on_phase: &'a (dyn Fn(Phase) + Sync),
    /// Called when the candidate becomes healthy, or does nothing any more, with its attempt unless something else
    /// happens.
    pub(crate) on_provisional: Option<&'a (dyn Fn(Attempt) + Sync)>,
    /// Redacts secret values.
    pub(crate) redactor: &'a Redactor,
    /// What keeps it running once it is healthy.
    pub(crate) lease: Option<&'a Lease>,
}

/// The watch of a candidate.
pub(crate) struct Watch<'a> {
    service: &'a Service,
    options: &'a Options,
    holder: &'a mut Holder,
    run: u64,
    /// When the engine reported the start.
    pub(crate) started: Instant,
    phase: Phase,
    machine: HealthMachine,
    /// When the health check began.
    checked_from: Instant,
    evidence: Evidence,
    output: Option<Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>>,
    log: Log,
    /// Resolves when it ends.
    pub(crate) death: oneshot::Receiver<Death>,
    /// Its state at its end, if the engine told it.
    ended: Option<ContainerState>,
    /// Probes and requests without an answer.
    waiting: HashMap<u64, Waiting>,
    seq: u64,
    /// When the next early probe is due.
    early: Option<Instant>,
    healthy_at: Option<Instant>,
    /// When the soak ends, or the next check for open connections is due.
    soaked: Option<Instant>,
    checks: Vec<CheckResult>,
    /// When to look next whether it still does anything.
    idle: Option<Instant>,
    /// What it had done at the last look, and when that was.
    done: Option<(Instant, Done)>,
    /// Since which look it has done nothing new.
    quiet_since: Option<Instant>,
    /// Whether the attempt so far was reported, or nobody wants it.
    is_told: bool,
    /// Requests to one that does nothing any more, one after the other: those to come, the one under way, and the answers.
    to_ask: VecDeque<(u16, String)>,
    asking: Option<(u64, (u16, String))>,
    asked: Vec<Asked>,
    on_phase: &'a (dyn Fn(Phase) + Sync),
    on_provisional: Option<&'a (dyn Fn(Attempt) + Sync)>,
    redactor: &'a Redactor,
    lease: Option<&'a Lease>,
    /// When it first became healthy, if it is kept running since.
    held_from: Option<Instant>,
    /// The last line of output, without its end.
    line: Vec<u8>,
}

impl<'a> Watch<'a> {
    /// Begins when the engine has reported the start.
    #[must_use]
    pub(crate) fn begin(begin: WatchInput<'a>) -> Self {
        let now = Instant::now();
        Self {
            service: begin.service,
            options: begin.options,
            holder: begin.holder,
            run: begin.run,
            started: now,
            checked_from: now,
            phase: Phase::Listen,
            machine: HealthMachine::new(begin.service.health_check.clone()),
            evidence: Evidence::default(),
            output: Some(begin.output),
            log: Log::default(),
            death: begin.death,
            ended: None,
            waiting: HashMap::new(),
            seq: 0,
            early: None,
            healthy_at: None,
            soaked: None,
            checks: Vec::new(),
            // In real time, what nobody wants to hear of changes nothing.
            idle: (begin.on_provisional.is_some() || !begin.options.real_time).then(|| now + LOOK_EVERY),
            done: None,
            quiet_since: None,
            is_told: begin.on_provisional.is_none(),
            to_ask: VecDeque::new(),
            asking: None,
            asked: Vec::new(),
            on_phase: begin.on_phase,
            on_provisional: begin.on_provisional,
            redactor: begin.redactor,
            lease: begin.lease,
            held_from: None,
            line: Vec::new(),
        }
    }

    /// Watches until the process ends, stays healthy through the soak, or the health check gives up.
    ///
    /// # Errors
    /// The holder's and the engine's.
    pub(crate) async fn until_decided(&mut self) -> Result<End, RunError> {
        let far = self.started + Duration::from_secs(86_400);
        loop {
            let waiting = self.healthy_at.is_none();
            let tick = if waiting { self.checked_from + self.machine.next_tick() } else { far };
            let lease = self.lease.filter(|_| self.held_from.is_some());
            let early = self.early.filter(|_| waiting).unwrap_or(far);
            let checked = self.checks.len() == self.service.checks.len();
            let overdue = self.waiting.values().map(|w| w.due).min().unwrap_or(far);
            let soaked = self.soaked.filter(|_| checked).unwrap_or(far);
            // Of a look and a scheduled probe of the same moment, the probe comes first.
            let idle = self.idle.filter(|at| waiting && *at != tick).unwrap_or(far);
            tokio::select! {
                died = &mut self.death => {
                    self.ended = died.map_err(|_| RunError::Holder("the event stream ended".to_owned()))??;
                    return Ok(End::Died);
                }
                () = released(lease) => return Ok(End::Healthy),
                message = self.holder.receive() => {
                    if let Some(end) = self.on_message(message?).await? {
                        return Ok(end);
                    }
                }
                written = next(&mut self.output) => self.on_output(written),
                () = sleep_until(tick) => {
                    self.machine.tick();
                    self.probe(false).await?;
                }
                () = sleep_until(early) => {
                    self.early = None;
                    self.probe(true).await?;
                }
                () = sleep_until(soaked) => {
                    // A candidate that still waits for the network may yet fail on it.
                    self.soaked = None;
                    self.holder.send(&ToHolder::Pending { run: self.run }).await?;
                }
                () = sleep_until(idle) => {
                    self.idle = None;
                    self.holder.send(&ToHolder::SoFar { run: self.run }).await?;
                }
                () = sleep_until(overdue) => {
                    return Err(RunError::Holder("a probe got no answer long after its time limit".to_owned()));
                }
            }
        }
    }

    /// Keeps a healthy candidate running until it is released, ends, or fails its health check; until then it takes
    /// requests.
    ///
    /// # Errors
    /// The holder's and the engine's.
    pub(crate) async fn hold(&mut self) -> Result<End, RunError> {
        self.held_from = self.healthy_at;
        self.holder.send(&ToHolder::Relay { run: self.run, port: self.service.port }).await?;
        loop {
            self.machine = HealthMachine::new(self.service.health_check.clone());
            self.checked_from = Instant::now();
            (self.healthy_at, self.early) = (None, None);
            self.evidence.probes.clear();
            match self.until_decided().await? {
                End::Healthy if !self.lease.is_some_and(Lease::is_released) => {}
                end => return Ok(end),
            }
        }
    }

    fn on_output(&mut self, written: Option<EngineResult<Output>>) {
        match written {
            Some(Ok(Output::Stdout(bytes) | Output::Stderr(bytes))) => {
                if let Some(lease) = self.lease {
                    lease.write(&mut self.line, &bytes, self.redactor);
                }
                self.log.push(&bytes, millis(self.started.elapsed()));
            }
            Some(Err(error)) => tracing::debug!(%error, "reading the log"),
            None => self.output = None,
        }
    }

    async fn on_message(&mut self, message: FromHolder) -> Result<Option<End>, RunError> {
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
            FromHolder::Pending { run, open } if run == self.run => {
                let watched = self.healthy_at.map_or(Duration::ZERO, |at| at.elapsed());
                if open == 0 || watched >= WAITING_WITHIN {
                    return Ok(Some(End::Healthy));
                }
                self.soaked = Some(Instant::now() + WAITING_AGAIN);
            }
            FromHolder::Sent { run, request } if run == self.run => {
                if let Some(lease) = self.lease {
                    lease.send(request, self.redactor);
                }
            }
            FromHolder::Relaying { run } if run == self.run => {
                if let Some(lease) = self.lease {
                    lease.serve(&self.holder.container);
                }
            }
            FromHolder::SoFar { run, seen } if run == self.run => return self.on_seen(seen).await,
            FromHolder::Probed { run, seq, result, location } if run == self.run => {
                return self.probed(seq, result, location).await;
            }
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

    /// Reports the attempt so far if the candidate is healthy. If it has done nothing since the last look, it is asked what
    /// else it answers, and then reported; later, it is given up ahead of its time if nothing can change any more.
    async fn on_seen(&mut self, seen: Vec<Observation>) -> Result<Option<End>, RunError> {
        let mut evidence = self.evidence.clone();
        seen.into_iter().for_each(|observation| evidence.add(observation));
        if self.healthy_at.is_some() {
            self.report_provisional(Outcome::Healthy, evidence);
            return Ok(None);
        }
        if !self.is_told && !self.evidence.asked.is_empty() {
            self.is_told = true;
            self.report_provisional(self.unhealthy(&evidence), evidence);
            return Ok(None);
        }
        // What is asked meanwhile is no sign of life.
        if self.asking.is_some() {
            return Ok(None);
        }
        let now = Instant::now();
        self.idle = Some(now + LOOK_EVERY);
        let Some(done) = Done::of(&evidence, self.log.written()) else { return Ok(None) };
        let earlier = self.done.replace((now, done));
        let is_quiet = |earlier: &Done| done.is_idle_since(earlier) || answers(&evidence, &done, earlier);
        let Some((then, _)) = earlier.filter(|(_, earlier)| is_quiet(earlier)) else {
            self.quiet_since = None;
            return Ok(None);
        };
        let since = *self.quiet_since.get_or_insert(then);
        if now < self.started + IDLE_FROM {
            return Ok(None);
        }
        if !self.is_told {
            self.to_ask = to_ask(self.service, &evidence).into();
            if self.to_ask.is_empty() {
                self.is_told = true;
                self.report_provisional(self.unhealthy(&evidence), evidence);
            }
            self.ask_next().await?;
            return Ok(None);
        }
        let is_over = since.elapsed() >= STEADY && is_settled(&evidence, self.service.port);
        Ok((is_over && !self.options.real_time && self.held_from.is_none()).then_some(End::Unhealthy))
    }

    /// Sends the next request, one at a time, so that a server that answers slowly still answers its health check.
    async fn ask_next(&mut self) -> Result<(), RunError> {
        let Some((port, path)) = self.to_ask.pop_front() else { return Ok(()) };
        let (run, timeout_ms) = (self.run, self.timeout_ms());
        let seq = self.wait_for(false, timeout_ms);
        let probe = Probe { run, seq, port, path: Some(path.clone()), timeout_ms };
        self.asking = Some((seq, (port, path)));
        self.holder.send(&ToHolder::Probe(probe)).await
    }

    /// Records the answer to a request. After the last one, the attempt so far is reported.
    async fn on_asked(&mut self, (port, path): (u16, String), result: ProbeResult) -> Result<(), RunError> {
        self.asked.push(Asked { port, path, result });
        if !self.to_ask.is_empty() {
            return self.ask_next().await;
        }
        self.evidence.asked = std::mem::take(&mut self.asked);
        match self.healthy_at {
            None => self.holder.send(&ToHolder::SoFar { run: self.run }).await,
            Some(_) => Ok(()),
        }
    }

    /// The outcome of one that the health check gives up.
    fn unhealthy(&self, evidence: &Evidence) -> Outcome {
        let reachable = |l: &crate::model::observation::Listening| l.port == self.service.port && l.reachable_at(OWN);
        if evidence.listens.iter().any(reachable) { Outcome::Unhealthy } else { Outcome::NeverListened }
    }

    /// Reports the attempt so far. Its times are slightly off; [`Self::settle`] corrects them.
    fn report_provisional(&self, outcome: Outcome, evidence: Evidence) {
        let Some(tell) = self.on_provisional else { return };
        tell(Attempt {
            outcome,
            phase: self.phase,
            exit_code: None,
            oom: false,
            started_ms: None,
            exited_ms: None,
            verdict_ms: None,
            healthy_ms: self.healthy_at.map(|at| millis(at - self.started)),
            evidence,
            checks: self.checks.clone(),
            log: self.log.text(self.redactor),
            real_time: self.options.real_time,
        });
    }

    fn timeout_ms(&self) -> u64 {
        u64::from(self.service.health_check.timeout) * 1000
    }

    /// Registers a probe or request whose answer is due, and returns its number.
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
        self.holder.send(&ToHolder::Probe(probe)).await
    }

    async fn probed(
        &mut self,
        seq: u64,
        result: ProbeResult,
        location: Option<String>,
    ) -> Result<Option<End>, RunError> {
        if let Some((_, asked)) = self.asking.take_if(|(asking, _)| *asking == seq) {
            self.waiting.remove(&seq);
            self.on_asked(asked, result).await?;
            return Ok(None);
        }
        let Some(Waiting { sent, early, .. }) = self.waiting.remove(&seq).filter(|_| self.healthy_at.is_none()) else {
            return Ok(None);
        };
        let at_ms = millis(sent - self.started);
        let good = result.good(self.service.platform.passing);
        self.evidence.probes.push(ProbeAttempt { at_ms, passed: good, result, early, location });
        match self.machine.result(good, early) {
            Decision::Unhealthy => return Ok(Some(End::Unhealthy)),
            Decision::Healthy => {
                self.healthy_at = Some(Instant::now());
                let soak = if self.held_from.is_some() { Duration::ZERO } else { self.options.soak };
                self.soaked = self.healthy_at.map(|at| at + soak);
                if self.phase != Phase::Soak {
                    self.enter(Phase::Soak);
                }
                if self.on_provisional.is_some() {
                    self.holder.send(&ToHolder::SoFar { run: self.run }).await?;
                }
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
            headers: check.headers.clone(),
            body: check.body.clone(),
            timeout_ms,
        };
        self.holder.send(&ToHolder::Request(request)).await
    }

    /// Collects the remaining observations and output, and builds the attempt.
    ///
    /// # Errors
    /// The holder's and the engine's.
    pub(crate) async fn settle(
        &mut self,
        end: End,
        engine: &dyn Engine,
        id: &str,
        zero: Zero,
    ) -> Result<Attempt, RunError> {
        let evidence = &mut self.evidence;
        let finish = self.holder.finish(self.run, |message| {
            if let FromHolder::Observed { observation, .. } = message {
                evidence.add(observation);
            }
        });
        let state = async {
            match self.ended.take() {
                Some(state) => Ok(state),
                // Asked now, the engine answers only after it has written the end to its disk.
                None => engine.state(id).await,
            }
        };
        let (state, finished) = tokio::join!(state, finish);
        let (state, ()) = (state?, finished?);
        // The process may have ended just before the last probe or the soak decided: its state is authoritative.
        let end = if state.running { end } else { End::Died };
        if end == End::Died {
            self.drain().await;
        }
        if let Some(lease) = self.lease {
            lease.write_rest(&mut self.line, self.redactor);
        }
        // All times count from the start of the process by the engine's clock. Ours count from the engine's answer, the
        // holder's from when the namespace was ready.
        let started_us = state.started_at_us.unwrap_or(zero.epoch_us);
        let lag = zero.before(self.started, started_us).max(0.0);
        let probes = std::mem::take(&mut self.evidence.probes);
        self.evidence.shift(millis_between(started_us, zero.epoch_us));
        self.evidence.probes = probes;
        self.evidence.probes.iter_mut().for_each(|p| p.at_ms = ((p.at_ms + lag) * 10.0).round() / 10.0);
        let log = self.log.text(self.redactor);
        (self.evidence.log_tail, self.evidence.log_tail_ms) = self.log.last_lines(&log, lag);
        let killed = end == End::Died && state.exit_code == SIGKILLED;
        let oom = state.oom_killed || self.evidence.usage.is_some_and(|usage| usage.out_of_memory(killed));
        let (outcome, exit_code) = match end {
            End::Died => (Outcome::of_exit(state.exit_code, oom), Some(state.exit_code)),
            End::Healthy => (Outcome::Healthy, None),
            End::Unhealthy => (self.unhealthy(&self.evidence), None),
        };
        Ok(Attempt {
            outcome,
            phase: self.phase,
            exit_code,
            oom,
            started_ms: Some(-lag),
            exited_ms: (end == End::Died)
                .then(|| state.finished_at_us.map(|at| millis_between(started_us, at)))
                .flatten(),
            verdict_ms: (end == End::Died).then(|| zero.since_end(state.finished_at_us)).flatten(),
            healthy_ms: self.held_from.or(self.healthy_at).map(|at| millis(at - self.started) + lag),
            evidence: std::mem::take(&mut self.evidence),
            checks: std::mem::take(&mut self.checks),
            log,
            real_time: self.options.real_time,
        })
    }

    /// Reads the rest of the output.
    async fn drain(&mut self) {
        let end = Instant::now() + LOG_WITHIN;
        while self.output.is_some() {
            tokio::select! {
                written = next(&mut self.output) => self.on_output(written),
                () = sleep_until(end) => return,
            }
        }
    }
}

/// Resolves when the lease is given back; without one, never.
async fn released(lease: Option<&Lease>) {
    match lease {
        Some(lease) => lease.released().await,
        None => std::future::pending().await,
    }
}

/// The next piece of output; pending forever after its end.
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
