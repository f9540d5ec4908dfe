//! Proves, with planted candidates, that verdicts on an engine are about the image and not about the engine.
//!
//! One runs under friendly conditions: it connects, resolves a name, allocates a known amount of memory and serves. The
//! other runs in parallel under `egress.drop`: it serves on loopback only and tries the same connection. Not every
//! engine passes: Podman ignores `Dns` if the network is `none`, so that a candidate reads the image's own resolv.conf.
//! Three more run under limits: what an engine accepts and does not set (a rootless one without delegated control groups)
//! is skipped from then on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::RunError;
use super::case::{self, Listener};
use super::context::{Context, Ineffective, Options};
use super::program::ensure_planted;
use super::proofs::{HOST, PORT, describe_end, service};
use crate::engine::EngineInfo;
use crate::model::observation::{ConnectAttempt, Fate, Usage};
use crate::model::outcome::Outcome;
use crate::model::{Candidate, Case, CaseResult, ConditionSet, Service, Verdict};

/// How long to watch a healthy planted candidate.
const SOAK: Duration = Duration::from_millis(50);
/// Time limits (seconds) of the two attempts. Emulated or busy machines need the second.
const PATIENCE: [u32; 2] = [1, 10];
/// An address of the simulated internet that no name resolves to (RFC 2544).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 9, 9);
/// The networks that names resolve to (RFC 2544, 198.18.0.0/15).
const ANSWERS: [[u8; 2]; 2] = [[198, 18], [198, 19]];
/// Bytes that the first planted candidate allocates. Its executable comes on top and is smaller.
const MEMORY: u64 = 96 << 20;
/// A control group that used more bytes is not the candidate's alone.
const MOST_MEMORY: u64 = 8 * MEMORY;

/// A claim about an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A planted candidate can run.
    Sandbox,
    /// Names are resolved by the holder's resolver.
    Resolver,
    /// Connections reach the simulated internet, except under `egress.drop`.
    Route,
    /// Probes do not reach ports on loopback, and open ports are seen.
    Probe,
    /// CPU and memory figures are the candidate's own.
    Usage,
}

impl Claim {
    /// The claim as a sentence.
    #[must_use]
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Sandbox => "a candidate runs in the holder's namespace",
            Self::Resolver => "a candidate's names are resolved by the simulated internet",
            Self::Route => "connections reach the simulated internet, except under egress.drop",
            Self::Probe => "probes reach a port on 0.0.0.0, but none on loopback",
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

/// A claim and whether the planted candidates confirmed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// The claim.
    pub claim: Claim,
    /// Whether it holds; `None` when untested, which includes usage that the engine does not measure.
    pub holds: Option<bool>,
    /// What was seen.
    pub seen: String,
}

impl Check {
    fn of(claim: Claim, holds: bool, seen: impl Into<String>) -> Self {
        Self { claim, holds: Some(holds), seen: seen.into() }
    }

    fn untested(claim: Claim, seen: impl Into<String>) -> Self {
        Self { claim, holds: None, seen: seen.into() }
    }

    /// Whether it rules out verdicts on this engine.
    #[must_use]
    pub(crate) fn refuses(&self) -> bool {
        self.claim != Claim::Usage && self.holds != Some(true)
    }
}

/// The checks of an engine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EngineProof {
    /// One check for each claim.
    pub checks: Vec<Check>,
    /// Limits that the engine accepts and does not set, each with what was seen.
    #[serde(skip)]
    pub(crate) ineffective: Ineffective,
    /// Whether every limit was decided: a busy machine may keep a planted candidate from it.
    #[serde(skip)]
    decided: bool,
}

impl EngineProof {
    /// Whether verdicts on this engine are reliable.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.checks.iter().any(Check::refuses)
    }

    /// Whether CPU and memory are measured and the figures are the candidate's own.
    #[must_use]
    pub fn measures_usage(&self) -> bool {
        self.checks.iter().any(|check| check.claim == Claim::Usage && check.holds == Some(true))
    }

    /// Whether it says something of the engine, and not only of this moment, so that it is worth remembering.
    #[must_use]
    pub(crate) fn is_lasting(&self) -> bool {
        self.passed() && self.decided && self.wrong_usage().is_none()
    }

    /// What was seen, when CPU and memory figures are not the candidate's own.
    #[must_use]
    pub fn wrong_usage(&self) -> Option<&str> {
        let wrong = self.checks.iter().find(|check| check.claim == Claim::Usage && check.holds == Some(false));
        wrong.map(|check| check.seen.as_str())
    }

    /// Fails unless the engine passed.
    ///
    /// # Errors
    /// [`RunError::Unproven`].
    pub(crate) fn require(&self) -> Result<(), RunError> {
        let mut failed: Vec<Check> = self.checks.iter().filter(|check| check.refuses()).cloned().collect();
        // An untested claim is usually a consequence of a failed one.
        if failed.iter().any(|check| check.holds == Some(false)) {
            failed.retain(|check| check.holds == Some(false));
        }
        if failed.is_empty() { Ok(()) } else { Err(RunError::Unproven { failed }) }
    }
}

/// Runs the planted candidates. `defaults`: the platform's default service; `program`: the exitone executable if this
/// process is another program.
///
/// # Errors
/// When their images cannot be built or loaded. Faults of the engine are in the proof.
#[tracing::instrument(skip_all)]
pub async fn prove(
    context: &Context,
    info: &EngineInfo,
    defaults: &Service,
    program: Option<&Path>,
) -> Result<EngineProof, RunError> {
    let engine = context.engine.as_ref();
    let [image, _] = ensure_planted(engine, info, program).await?;
    let candidate = Candidate { facts: engine.inspect_image(&image).await? };
    let options = Options { soak: SOAK, whole_images: false, ..Options::default() };
    let context = Context { options, measures_usage: true, ..context.clone() };
    let run = async |command: &str, failures: u32, conditions: ConditionSet| {
        let mut service = service(defaults, command, info.architecture());
        service.health_check.unhealthy_threshold = failures;
        let case = Case::new(&candidate.facts.reference, conditions);
        case::run(&context, &service, &candidate, &case, Listener::NOBODY).await
    };
    let drop = ConditionSet::new("egress.drop".parse()).unwrap_or_default();
    let both = async {
        let mut checks = Vec::new();
        for patience in PATIENCE {
            // The second candidate ends with its health check, whose first probe comes after a second.
            let (open, closed) = (open(patience + 1), closed(30));
            let (friendly, dropped) =
                tokio::join!(run(&open, 20, ConditionSet::baseline()), run(&closed, patience, drop.clone()));
            checks = judge(&friendly, &dropped, info.cpus);
            if checks.iter().all(|check| !check.refuses() && check.holds != Some(false)) {
                break;
            }
            tracing::info!(?checks, "some checks of this engine failed");
        }
        checks
    };
    let limited = |(set, command): (&'static str, &str)| {
        let conditions = ConditionSet::new(set.parse()).unwrap_or_default();
        let (command, run) = (format!("{command} then serve {PORT}"), &run);
        async move { (set, run(&command, 20, conditions).await) }
    };
    let (checks, limited) = tokio::join!(both, join_all(LIMITS.map(limited)));
    Ok(EngineProof { checks, ineffective: ineffective(&limited), decided: are_decided(&limited) })
}

/// Limits, and what a planted candidate cannot do under them. A second of CPU time per second is a whole CPU; a full disk
/// still has the files of the image.
const LIMITS: [(&str, &str); 4] = [
    ("memory.limit:48m", "memory 100000000"),
    ("nofile.limit:64", "files 100"),
    ("cpu.limit:0.05", "spin 0.1 1"),
    ("disk.full", "full /tmp/of-image"),
];

/// Whether each planted candidate under a limit had a verdict, or was skipped. Pure.
fn are_decided(limited: &[(&str, CaseResult)]) -> bool {
    limited.iter().all(|(_, result)| result.skipped.is_some() || result.verdict != Verdict::Unresolved)
}

/// The limits under which planted candidates did what they cannot do, or could not be started, each with what was seen.
/// Pure.
fn ineffective(limited: &[(&str, CaseResult)]) -> Ineffective {
    let seen = |(set, result): &(&str, CaseResult)| {
        let what = if result.outcome == Some(Outcome::Healthy) {
            "this engine does not impose it"
        } else if result.skipped.is_none() && result.verdict == Verdict::Unresolved {
            "it could not be proved on this engine"
        } else {
            return None;
        };
        let kind = set.split(':').next().unwrap_or_default().to_owned();
        Some((kind, format!("{what}: {set}: {}", describe_end(result))))
    };
    limited.iter().filter_map(seen).collect()
}

/// What the planted candidate under friendly conditions does; `seconds` limits each step.
fn open(seconds: u32) -> String {
    format!("connect {ADDRESS} 443 {seconds} then ask {HOST} {seconds} then memory {MEMORY} then serve {PORT}")
}

/// What the planted candidate under `egress.drop` does.
fn closed(seconds: u32) -> String {
    format!("serve-beside 127.0.0.1 {PORT} then connect {ADDRESS} 443 {seconds}")
}

/// Derives the checks from the two results. Pure.
fn judge(friendly: &CaseResult, dropped: &CaseResult, cpus: usize) -> Vec<Check> {
    for result in [friendly, dropped] {
        if result.verdict == Verdict::Unresolved || result.outcome == Some(Outcome::NotStarted) {
            return vec![Check::of(Claim::Sandbox, false, describe_end(result))];
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
            Check::of(Claim::Resolver, true, format!("{HOST} resolves to {}", question.answer))
        }
        Some(question) => Check::of(Claim::Resolver, false, format!("{HOST} resolves to {}", question.answer)),
        None => {
            let seen = format!(
                "no DNS query for {HOST} reached the simulated internet; the candidate: {}",
                describe_end(friendly)
            );
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
        (Some(Fate::Answered), None) => check(
            false,
            format!("no connection attempt was seen under egress.drop; the candidate: {}", describe_end(dropped)),
        ),
        (Some(Fate::Answered), Some(_)) => check(
            false,
            format!("{ADDRESS}:443 answered even under egress.drop; the candidate: {}", describe_end(dropped)),
        ),
        (Some(_), _) => {
            check(false, format!("{ADDRESS}:443 did not answer; the candidate: {}", describe_end(friendly)))
        }
        (None, _) => {
            let seen = "no connection attempt reached the simulated internet; the candidate:";
            check(false, format!("{seen} {}", describe_end(friendly)))
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
    // The candidate exited in an earlier step and never served.
    if friendly.outcome == Some(Outcome::Exited) {
        return Check::untested(
            Claim::Probe,
            format!("the candidate exited before it served: {}", describe_end(friendly)),
        );
    }
    for (result, address) in [(friendly, Ipv4Addr::UNSPECIFIED), (dropped, Ipv4Addr::LOCALHOST)] {
        if !listens(result, address) {
            return check(
                false,
                format!("port {PORT} on {address} was not seen open; the candidate: {}", describe_end(result)),
            );
        }
    }
    if !passed(friendly) {
        return check(false, format!("no probe reached port {PORT}: {}", describe_end(friendly)));
    }
    if dropped.evidence.probes.is_empty() {
        return Check::untested(Claim::Probe, format!("no probe was sent to port {PORT} on 127.0.0.1"));
    }
    check(true, format!("port {PORT} answered on 0.0.0.0 and not on 127.0.0.1"))
}

fn usage(friendly: &CaseResult, dropped: &CaseResult, cpus: usize) -> Check {
    let (Some(one), Some(other)) = (friendly.evidence.usage, dropped.evidence.usage) else {
        return Check::untested(Claim::Usage, "CPU and memory are not measured on this engine");
    };
    if friendly.outcome == Some(Outcome::Exited) {
        return Check::untested(
            Claim::Usage,
            format!("the candidate exited before it was measured: {}", describe_end(friendly)),
        );
    }
    let mib = |usage: Usage| usage.memory_peak >> 20;
    let seen = format!(
        "measured {} MiB and {:.0} ms of CPU time for a candidate that allocated {} MiB, {} MiB for the other",
        mib(one),
        one.cpu_ms,
        MEMORY >> 20,
        mib(other)
    );
    let own_memory =
        (MEMORY..MOST_MEMORY).contains(&one.memory_peak) && other.memory_peak + MEMORY / 2 < one.memory_peak;
    // No candidate can use more than all CPUs for the whole time.
    let most_cpu = |result: &CaseResult| result.total_ms * cpus.max(1) as f64;
    let own_cpu = [(one, friendly), (other, dropped)].iter().all(|(u, r)| u.cpu_ms > 0.0 && u.cpu_ms <= most_cpu(r));
    Check::of(Claim::Usage, own_memory && own_cpu, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(limited: &[(&'static str, CaseResult)]) -> EngineProof {
        let checks = vec![Check::of(Claim::Sandbox, true, String::new())];
        EngineProof { checks, ineffective: ineffective(limited), decided: are_decided(limited) }
    }

    #[test]
    fn limit_without_a_verdict_is_no_lasting_proof() {
        let of = |verdict, outcome, skipped: Option<&str>| {
            let result = CaseResult::some("a", "app:1", ConditionSet::baseline());
            CaseResult { verdict, outcome, skipped: skipped.map(str::to_owned), ..result }
        };
        let imposed = || of(Verdict::Fail, Some(Outcome::Exited), None);
        for (result, lasts, denied) in [
            (imposed(), true, false),
            (of(Verdict::Pass, Some(Outcome::Healthy), None), true, true),
            (of(Verdict::Unresolved, None, Some("host cannot: disk.full")), true, false),
            // Its heartbeat stopped: this session cannot rely on the limit, the next one asks again.
            (of(Verdict::Unresolved, None, None), false, true),
        ] {
            let proof = proof(&[("memory.limit:48m", imposed()), ("cpu.limit:0.05", result)]);
            assert_eq!((proof.is_lasting(), proof.ineffective.contains_key("cpu.limit")), (lasts, denied), "{proof:?}");
            assert!(proof.passed());
        }
    }
}
