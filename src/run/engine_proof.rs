//! What must be true of an engine before anything is judged on it, shown by two planted candidates.
//!
//! One runs under friendly conditions: it connects, asks for a name, takes a known amount of memory and serves. The other
//! runs beside it under `egress.drop`: it serves on loopback alone and tries the same connection. On an engine where a
//! claim does not hold (Podman ignores `Dns` where the network is `none`, so that a candidate reads the image's own
//! resolv.conf), a verdict would be about the engine and not about the image.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::RunError;
use super::case::{self, Listener};
use super::context::{Context, Options};
use super::program::ensure_planted;
use super::proofs::{HOST, PORT, said, service};
use crate::engine::EngineInfo;
use crate::model::observation::{ConnectAttempt, Fate, Usage};
use crate::model::outcome::Outcome;
use crate::model::{Candidate, Case, CaseResult, ConditionSet, Service, Verdict};

/// How long a healthy planted candidate is watched.
const SOAK: Duration = Duration::from_millis(50);
/// How patient each attempt is, in seconds: machines that are emulated, or busy, need the second. Everything that fails
/// is tried again.
const PATIENCE: [u32; 2] = [1, 10];
/// An address of the simulated internet that no name leads to (RFC 2544).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 9, 9);
/// The networks of answers (RFC 2544, 198.18.0.0/15).
const ANSWERS: [[u8; 2]; 2] = [[198, 18], [198, 19]];
/// What the first planted candidate allocates, in bytes. Its executable comes on top, and is less than this.
const MEMORY: u64 = 96 << 20;
/// A group that has used more bytes than this is not the candidate's alone.
const MOST_MEMORY: u64 = 8 * MEMORY;

/// What is claimed of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A planted candidate can be run.
    Sandbox,
    /// Names are resolved by our resolver.
    Resolver,
    /// Connections go to the simulated internet, and nowhere under `egress.drop`.
    Route,
    /// Probes come from outside of the candidate's loopback, and ports are seen.
    Probe,
    /// Use of CPU and memory is the candidate's own.
    Usage,
}

impl Claim {
    /// What is expected, in a sentence.
    #[must_use]
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Sandbox => "a candidate runs in a namespace of ours",
            Self::Resolver => "names that a candidate asks for are resolved by the simulated internet",
            Self::Route => "a connection reaches the simulated internet, and nothing under egress.drop",
            Self::Probe => "a probe reaches a port that is open to others, and no port on loopback",
            Self::Usage => "memory and CPU figures are the candidate's own",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sandbox => "sandbox",
            Self::Resolver => "resolver",
            Self::Route => "route",
            Self::Probe => "probe",
            Self::Usage => "usage",
        })
    }
}

/// A claim, and what the planted candidates have shown of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// The claim.
    pub claim: Claim,
    /// Whether it holds; `None` when it was not shown. Usage that is not measured is not shown either.
    pub holds: Option<bool>,
    /// What was seen.
    pub seen: String,
}

impl Check {
    fn of(claim: Claim, holds: bool, seen: impl Into<String>) -> Self {
        Self { claim, holds: Some(holds), seen: seen.into() }
    }

    fn not_shown(claim: Claim, seen: impl Into<String>) -> Self {
        Self { claim, holds: None, seen: seen.into() }
    }

    /// True when nothing may be judged on this engine.
    #[must_use]
    pub(crate) fn refuses(&self) -> bool {
        self.claim != Claim::Usage && self.holds != Some(true)
    }
}

/// What was shown of an engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EngineProof {
    /// Each claim once.
    pub checks: Vec<Check>,
}

impl EngineProof {
    /// True when verdicts on this engine are about images.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.checks.iter().any(Check::refuses)
    }

    /// True when the use of CPU and memory is measured, and the candidate's own.
    #[must_use]
    pub fn measures_usage(&self) -> bool {
        self.checks.iter().any(|check| check.claim == Claim::Usage && check.holds == Some(true))
    }

    /// What was seen of the use of CPU and memory, when it is another's.
    #[must_use]
    pub fn wrong_usage(&self) -> Option<&str> {
        let wrong = self.checks.iter().find(|check| check.claim == Claim::Usage && check.holds == Some(false));
        wrong.map(|check| check.seen.as_str())
    }

    /// The error of a session on this engine, unless it passed.
    ///
    /// # Errors
    /// [`RunError::Unproven`].
    pub(crate) fn require(&self) -> Result<(), RunError> {
        let mut failed: Vec<Check> = self.checks.iter().filter(|check| check.refuses()).cloned().collect();
        // What was not shown mostly follows from what was shown not to hold.
        if failed.iter().any(|check| check.holds == Some(false)) {
            failed.retain(|check| check.holds == Some(false));
        }
        if failed.is_empty() { Ok(()) } else { Err(RunError::Unproven { failed }) }
    }
}

/// Runs the planted candidates. `defaults`: the service of a platform; `program`: our own executable where this process
/// is another one.
///
/// # Errors
/// When their image cannot be made or loaded. What the engine does wrong is in the proof.
pub async fn prove(
    context: &Context,
    info: &EngineInfo,
    defaults: &Service,
    program: Option<&Path>,
) -> Result<EngineProof, RunError> {
    let engine = context.engine.as_ref();
    let [image, _] = ensure_planted(engine, info, program).await?;
    let candidate = Candidate { facts: engine.inspect_image(&image).await? };
    let options = Options { soak: SOAK, real_time: false, first: false, evidence: true, whole_images: false };
    let context = Context { options, measures_usage: true, ..context.clone() };
    let run = async |command: &str, failures: u32, conditions: ConditionSet| {
        let mut service = service(defaults, command);
        service.health_check.unhealthy_threshold = failures;
        let case = Case::new(&candidate.facts.reference, conditions);
        case::run(&context, &service, &candidate, &case, Listener::NOBODY).await
    };
    let drop = ConditionSet::new("egress.drop".parse()).unwrap_or_default();
    let mut checks = Vec::new();
    for patience in PATIENCE {
        // The second gives up on its health check, whose first probe comes after a second.
        let (open, closed) = (open(patience + 1), closed(30));
        let (friendly, dropped) =
            tokio::join!(run(&open, 20, ConditionSet::baseline()), run(&closed, patience, drop.clone()));
        checks = judge(&friendly, &dropped, info.cpus);
        if checks.iter().all(|check| !check.refuses() && check.holds != Some(false)) {
            break;
        }
        tracing::info!(?checks, "not every claim about this engine was shown");
    }
    Ok(EngineProof { checks })
}

/// What the planted candidate under friendly conditions does; `seconds`: a time limit for each step.
fn open(seconds: u32) -> String {
    format!("connect {ADDRESS} 443 {seconds} then ask {HOST} {seconds} then memory {MEMORY} then serve {PORT}")
}

/// What the planted candidate under `egress.drop` does.
fn closed(seconds: u32) -> String {
    format!("serve-beside 127.0.0.1 {PORT} then connect {ADDRESS} 443 {seconds}")
}

/// From two results to what they show: pure.
fn judge(friendly: &CaseResult, dropped: &CaseResult, cpus: usize) -> Vec<Check> {
    for result in [friendly, dropped] {
        if result.verdict == Verdict::Unresolved || result.outcome == Some(Outcome::NotStarted) {
            return vec![Check::of(Claim::Sandbox, false, said(result))];
        }
    }
    vec![resolver(friendly), route(friendly, dropped), probe(friendly, dropped), usage(friendly, dropped, cpus)]
}

fn resolver(friendly: &CaseResult) -> Check {
    let ours = |answer: &str| {
        let address = answer.parse::<Ipv4Addr>().map(|address| address.octets());
        address.is_ok_and(|[a, b, ..]| ANSWERS.contains(&[a, b]))
    };
    match friendly.evidence.questions().find(|question| question.name == HOST) {
        Some(question) if ours(&question.answer) => {
            Check::of(Claim::Resolver, true, format!("{HOST} was asked for, the answer is {}", question.answer))
        }
        Some(question) => Check::of(Claim::Resolver, false, format!("the answer for {HOST} is {}", question.answer)),
        None => {
            let seen =
                format!("no question for {HOST} reached the simulated internet; the candidate: {}", said(friendly));
            Check::of(Claim::Resolver, false, seen)
        }
    }
}

fn connect(result: &CaseResult) -> Option<&ConnectAttempt> {
    result.evidence.outbound().find(|attempt| attempt.address == ADDRESS && attempt.port == 443)
}

fn route(friendly: &CaseResult, dropped: &CaseResult) -> Check {
    let check = |holds, seen: String| Check::of(Claim::Route, holds, seen);
    match (connect(friendly).map(|one| one.fate), connect(dropped).map(|one| one.fate)) {
        (Some(Fate::Answered), Some(Fate::Silent)) => {
            check(true, format!("{ADDRESS}:443 answered, and was silent under egress.drop"))
        }
        (Some(Fate::Answered), None) => {
            check(false, format!("under egress.drop no connection was seen; the candidate: {}", said(dropped)))
        }
        (Some(Fate::Answered), Some(_)) => {
            check(false, format!("{ADDRESS}:443 answered under egress.drop, too; the candidate: {}", said(dropped)))
        }
        (Some(_), _) => check(false, format!("{ADDRESS}:443 did not answer; the candidate: {}", said(friendly))),
        (None, _) => {
            let seen = "no connection reached the simulated internet; the candidate:";
            check(false, format!("{seen} {}", said(friendly)))
        }
    }
}

fn probe(friendly: &CaseResult, dropped: &CaseResult) -> Check {
    let listens = |result: &CaseResult, address: Ipv4Addr| {
        let mut ports = result.evidence.listens.iter();
        ports.any(|one| one.port == PORT && one.address == IpAddr::V4(address))
    };
    let passed = |result: &CaseResult| result.evidence.probes.iter().any(|probe| probe.passed);
    let check = |holds, seen: String| Check::of(Claim::Probe, holds, seen);
    if passed(dropped) {
        return check(false, format!("a probe reached port {PORT} on 127.0.0.1"));
    }
    // A program that a claim before this one has ended never served.
    if friendly.outcome == Some(Outcome::Exited) {
        return Check::not_shown(Claim::Probe, format!("the candidate ended before it served: {}", said(friendly)));
    }
    for (result, address) in [(friendly, Ipv4Addr::UNSPECIFIED), (dropped, Ipv4Addr::LOCALHOST)] {
        if !listens(result, address) {
            return check(
                false,
                format!("port {PORT} on {address} was not seen to open; the candidate: {}", said(result)),
            );
        }
    }
    if !passed(friendly) {
        return check(false, format!("no probe reached port {PORT}: {}", said(friendly)));
    }
    if dropped.evidence.probes.is_empty() {
        return Check::not_shown(Claim::Probe, format!("no probe was sent to port {PORT} on 127.0.0.1"));
    }
    check(true, format!("port {PORT} answered on 0.0.0.0, and not on 127.0.0.1"))
}

fn usage(friendly: &CaseResult, dropped: &CaseResult, cpus: usize) -> Check {
    let (Some(one), Some(other)) = (friendly.evidence.usage, dropped.evidence.usage) else {
        return Check::not_shown(Claim::Usage, "use of CPU and memory is not measured on this engine");
    };
    if friendly.outcome == Some(Outcome::Exited) {
        return Check::not_shown(
            Claim::Usage,
            format!("the candidate ended before it was measured: {}", said(friendly)),
        );
    }
    let mib = |usage: Usage| usage.memory_peak >> 20;
    let seen = format!(
        "{} MiB and {:.0} ms of CPU time of a candidate that took {} MiB, {} MiB of the one beside it",
        mib(one),
        one.cpu_ms,
        MEMORY >> 20,
        mib(other)
    );
    let own_memory =
        (MEMORY..MOST_MEMORY).contains(&one.memory_peak) && other.memory_peak + MEMORY / 2 < one.memory_peak;
    // Nobody uses more than every CPU of the machine for the whole time.
    let most_cpu = |result: &CaseResult| result.total_ms * cpus.max(1) as f64;
    let own_cpu = [(one, friendly), (other, dropped)].iter().all(|(u, r)| u.cpu_ms > 0.0 && u.cpu_ms <= most_cpu(r));
    Check::of(Claim::Usage, own_memory && own_cpu, seen)
}
