//! Turns an attempt into the result of its case. Pure.

use std::collections::BTreeMap;

use super::{RunError, spec};
use crate::catalogue::catalogue;
use crate::diagnose::causes::causes;
use crate::diagnose::exercise::not_met;
use crate::diagnose::facts::{Facts, Witness};
use crate::diagnose::run::Seen;
use crate::diagnose::stand_ins::{Ended, missing_servers, rests_on};
use crate::diagnose::statics::{decides, findings};
use crate::diagnose::transcript::{Deployment, Trigger};
use crate::diagnose::waiting::{is_computing, waiting_for};
use crate::diagnose::{platform, prune};
use crate::model::files::ImageFiles;
use crate::model::observation::{ConnectAttempt, Evidence, Fate};
use crate::model::outcome::{Cause, CheckResult, FailureClass, Finding, Need, NotExercised, Phase};
use crate::model::{Candidate, Case, CaseResult, Condition, ConditionSet, Outcome, Platform, Service, Verdict};

/// The outcome and evidence of one attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The last phase it reached.
    pub(crate) phase: Phase,
    /// The exit code, if the process ended.
    pub(crate) exit_code: Option<i64>,
    /// Whether the kernel killed one of its processes for running out of memory.
    pub(crate) oom: bool,
    /// Milliseconds from the beginning of the case to the start of the process.
    pub(crate) started_ms: Option<f64>,
    /// Milliseconds from the start of the process to its end.
    pub(crate) exited_ms: Option<f64>,
    /// Milliseconds from the start of the process to healthy.
    pub(crate) healthy_ms: Option<f64>,
    /// Milliseconds from the end of the process to the verdict.
    pub(crate) verdict_ms: Option<f64>,
    /// What was observed.
    pub(crate) evidence: Evidence,
    /// Results of the requests after healthy.
    pub(crate) checks: Vec<CheckResult>,
    /// The log, with secrets redacted.
    pub(crate) log: String,
    /// Whether the kernel kept its own retry times.
    pub(crate) real_time: bool,
}

/// Builds the result of a case.
pub(crate) struct ResultBuilder<'a> {
    /// The case.
    pub(crate) case: &'a Case,
    /// Its candidate.
    pub(crate) candidate: &'a Candidate,
    /// The service configuration.
    pub(crate) service: &'a Service,
    /// The image's files, if they were read.
    pub(crate) files: Option<&'a ImageFiles>,
    /// Whether this is the deployment that creates the service.
    pub(crate) first: bool,
    /// Duration of the whole case in milliseconds.
    pub(crate) total_ms: f64,
}

impl ResultBuilder<'_> {
    fn result(&self, verdict: Verdict, outcome: Option<Outcome>, exit_code: Option<i64>) -> CaseResult {
        let class = (verdict == Verdict::Fail).then(|| outcome.as_ref().and_then(Outcome::class)).flatten();
        // An unresolved case has no deployment to imitate, and only App Runner's log is documented.
        let imitated = self.service.platform.service_log && verdict != Verdict::Unresolved && outcome.is_some();
        let deployment = Deployment {
            id: &deployment_id(&self.case.id.0),
            image: &self.case.image,
            check: &self.service.health_check,
            port: self.service.port,
            class,
            exit_code,
            trigger: if self.first { Trigger::Create } else { Trigger::Update },
        };
        CaseResult {
            id: self.case.id.clone(),
            image: self.case.image.clone(),
            image_id: self.candidate.facts.id.to_string(),
            conditions: self.case.conditions.clone(),
            verdict,
            class,
            exit_code,
            oom: false,
            phase: Phase::Prepare,
            started_ms: None,
            exited_ms: None,
            first_listen_ms: None,
            healthy_ms: None,
            verdict_ms: None,
            total_ms: round(self.total_ms),
            evidence: Evidence::default(),
            checks: Vec::new(),
            causes: Vec::new(),
            not_exercised: Vec::new(),
            skipped: None,
            cannot_impose: None,
            needs: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            apprunner_log: if imitated { deployment.lines() } else { Vec::new() },
            operation_status: imitated.then(|| deployment.operation_status()),
            service_status: imitated.then(|| deployment.service_status()),
            outcome,
            log: String::new(),
        }
    }

    /// The result of an attempt.
    #[must_use]
    pub(crate) fn of_attempt(&self, mut attempt: Attempt) -> CaseResult {
        // App Runner reports exit code 1 for a program that the kernel cannot execute; some local engines report 255.
        let cannot_execute = attempt.exit_code == Some(255) && attempt.log.contains("exec format error");
        if cannot_execute {
            attempt.exit_code = Some(1);
        }
        let findings = findings(&self.candidate.facts, self.files, self.service);
        let checks_pass = attempt.checks.iter().all(|c| c.passed);
        let verdict = if attempt.outcome == Outcome::Healthy && checks_pass { Verdict::Pass } else { Verdict::Fail };
        let memory = self.case.conditions.changes().container.memory;
        let set = spec::environment(self.candidate, self.service, &self.case.conditions);
        let env = self.variables(&set);
        let facts = Facts {
            witness: Witness::Engine,
            outcome: &attempt.outcome,
            exit_code: attempt.exit_code,
            evidence: &attempt.evidence,
            log: &attempt.log,
            service: self.service,
            own: crate::holder::protocol::OWN,
            memory,
            env: Some(&env),
        };
        let mut causes = causes(&facts, catalogue());
        let mut notes = notes(&attempt, self.service);
        notes.extend(self.size_warning());
        let not_exercised = self.not_exercised(&attempt);
        if attempt.outcome == Outcome::NeverListened {
            attempt.evidence.waiting_for = waiting_for(&attempt.evidence);
        }
        let needs = if verdict == Verdict::Fail { self.needs(&attempt, &causes, &set) } else { Vec::new() };
        let verdict = if needs.is_empty() { verdict } else { Verdict::Unresolved };
        if verdict == Verdict::Pass {
            notes.extend(rests_on(&attempt.evidence, &self.service.platform));
        }
        if let Some(cause) = undecided(&needs) {
            notes.insert(0, cause.text.clone());
            causes = vec![cause];
        }
        let mut result = self.result(verdict, Some(attempt.outcome), attempt.exit_code);
        result.needs = needs;
        result.oom = attempt.oom;
        result.phase = attempt.phase;
        result.started_ms = attempt.started_ms.map(round);
        result.exited_ms = attempt.exited_ms.map(round);
        result.first_listen_ms = attempt.evidence.listens.first().map(|l| round(l.at_ms));
        result.healthy_ms = attempt.healthy_ms.map(round);
        result.verdict_ms = attempt.verdict_ms.map(round);
        result.evidence = attempt.evidence;
        result.checks = attempt.checks;
        result.causes = causes;
        result.not_exercised = not_exercised;
        result.findings = findings;
        explain_by_image(&mut result);
        self.judge_by_image(&mut result);
        result.notes = notes;
        result.log = attempt.log;
        result
    }

    /// The variables that the process has: those of the image, and what is `set` or unset on top of them.
    fn variables(&self, set: &BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
        let image = self.candidate.facts.env.iter().filter(|(name, _)| !set.contains_key(*name));
        let set = set.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        image.chain(set).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The servers without which a failed attempt says nothing about the image.
    fn needs(&self, attempt: &Attempt, causes: &[Cause], set: &BTreeMap<String, Option<String>>) -> Vec<Need> {
        let (outcome, at_ms, evidence) = (&attempt.outcome, attempt.exited_ms, &attempt.evidence);
        missing_servers(&Ended { outcome, at_ms, evidence, causes, env: set })
    }

    /// The result of a case that the image alone decides, so that nothing has to run.
    #[must_use]
    pub(crate) fn of_image(&self) -> Option<CaseResult> {
        if let Some(cause) = platform::architecture(&self.candidate.facts, &self.service.platform) {
            let mut result = self.result(Verdict::Fail, Some(Outcome::Exited), Some(1));
            result.causes = vec![cause];
            result.notes.push("judged from the image; its behaviour on this host proves nothing".to_owned());
            return Some(result);
        }
        let conditions = &self.case.conditions;
        let condition = conditions.iter().next().filter(|_| conditions.iter().all(Condition::is_of_image))?;
        let mut result = self.result(Verdict::Pass, None, None);
        let because = format!("the image is {}", self.candidate.facts.platform());
        result.not_exercised.push(NotExercised { condition: condition.clone(), because });
        Some(result)
    }

    /// A warning when the case's limits are not an instance size of the platform.
    fn size_warning(&self) -> Option<String> {
        let container = self.case.conditions.changes().container;
        self.service.platform.no_size(container.cpu_milli, container.memory)
    }

    /// Fails an image for another architecture even if emulation runs it on this host.
    fn judge_by_image(&self, result: &mut CaseResult) {
        let Some(finding) = result.findings.iter().find(|f| decides(f)).cloned() else { return };
        if result.outcome == Some(Outcome::Exited) && result.exit_code == Some(1) {
            return;
        }
        let before = result.cell();
        let judged = self.result(Verdict::Fail, Some(Outcome::Exited), finding.exit_code.or(Some(1)));
        let (evidence, log) = (std::mem::take(&mut result.evidence), std::mem::take(&mut result.log));
        let findings = std::mem::take(&mut result.findings);
        *result = CaseResult { evidence, log, findings, causes: vec![finding.cause], ..judged };
        result.notes.push(format!("judged from the image; its outcome on this host ({before}) proves nothing"));
    }

    /// The conditions that the attempt did not exercise.
    fn not_exercised(&self, attempt: &Attempt) -> Vec<NotExercised> {
        let command = self.service.start_command.as_deref();
        let before = spec::environment(self.candidate, self.service, &ConditionSet::baseline());
        let after = spec::environment(self.candidate, self.service, &self.case.conditions);
        let seen = Seen {
            evidence: &attempt.evidence,
            facts: &self.candidate.facts,
            service: self.service,
            log: &attempt.log,
            healthy: attempt.outcome == Outcome::Healthy,
            files: self.files,
            values: [&before, &after],
            words: command.map(|c| (spec::shell_words(c), spec::platform_words(c))),
        };
        let unmet = |condition: &Condition| {
            let because = not_met(condition, &seen)?;
            Some(NotExercised { condition: condition.clone(), because })
        };
        self.case.conditions.iter().filter_map(unmet).collect()
    }

    /// The unresolved result of a case that could not run.
    #[must_use]
    pub(crate) fn not_run(&self, error: &RunError) -> CaseResult {
        let why = error.to_string();
        let mut result = self.result(Verdict::Unresolved, None, None);
        match error {
            RunError::CannotImpose { condition, .. } => {
                result.cannot_impose = Some(condition.clone());
                result.skipped = Some(why.clone());
            }
            RunError::Unsupported { .. } => result.skipped = Some(why.clone()),
            RunError::Engine(_)
            | RunError::Holder(_)
            | RunError::Service { .. }
            | RunError::Cancelled
            | RunError::Unproven { .. }
            | RunError::Host { .. } => {}
        }
        result.notes.push(why.clone());
        result.causes.push(Cause {
            id: "unresolved".to_owned(),
            text: format!("The run is inconclusive: {why}"),
            fix: error.hint().to_owned(),
            evidence: vec![why],
            ..Cause::default()
        });
        result
    }

    /// The result of a candidate that the engine could not start through the image's own fault.
    #[must_use]
    pub(crate) fn not_started(&self, exit_code: Option<i64>, message: &str, hint: &str) -> CaseResult {
        // App Runner reports exit code 1 for a program that the kernel cannot execute.
        let outcome = if exit_code == Some(1) { Outcome::Exited } else { Outcome::NotStarted };
        let mut result = self.result(Verdict::Fail, Some(outcome), exit_code);
        result.phase = Phase::Start;
        result.causes.push(Cause {
            id: "cannot-start".to_owned(),
            text: format!("The container cannot be started: {message}"),
            fix: hint.to_owned(),
            evidence: vec![format!("engine: {message}")],
            ..Cause::default()
        });
        result
    }
}

/// What the image shows of a program that cannot be executed is its cause: the engine and the shell only say that it was not
/// found.
pub(super) fn explain_by_image(result: &mut CaseResult) {
    let evidence = &result.evidence;
    let did_nothing = evidence.listens.is_empty() && evidence.connects.is_empty() && evidence.dns.is_empty();
    let explains = |finding: &&Finding| finding.fatal && finding.exit_code.is_some();
    let same = |finding: &&Finding| did_nothing && finding.exit_code == result.exit_code;
    if let Some(mut cause) = result.findings.iter().filter(explains).find(same).map(|finding| finding.cause.clone()) {
        cause.also.extend(result.causes.drain(..).map(|other| other.id));
        result.causes.push(cause);
    }
}

/// Why a failure says nothing about the image without these servers.
fn undecided(needs: &[Need]) -> Option<Cause> {
    let texts = needs.iter().map(|need| need.text.clone());
    let adds: Vec<&str> = needs.iter().map(|need| need.add.as_str()).collect();
    (!needs.is_empty()).then(|| Cause {
        id: "needs-upstream".to_owned(),
        text: format!("The run is inconclusive: {}", texts.clone().collect::<Vec<_>>().join("; ")),
        fix: format!("Add what plays it to the service file: {}", adds.join(" and ")),
        evidence: texts.collect(),
        ..Cause::default()
    })
}

/// Whether a run exercised a condition, imposed or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Exercise {
    /// The process did what the condition affects.
    Exercised,
    /// It did not, and would not under the condition, for this reason.
    NotExercised(String),
    /// Unknown.
    Unknown,
}

/// Whether the run behind `result` exercised a condition.
#[must_use]
pub(crate) fn exercise(
    candidate: &Candidate,
    service: &Service,
    files: Option<&ImageFiles>,
    result: &CaseResult,
    condition: &Condition,
) -> Exercise {
    let had = result.conditions.has(condition);
    if had && !condition.is_of_network() {
        return Exercise::Unknown;
    }
    // Of possibly hundreds of variables, only the condition's own matters, and HOSTNAME, which other conditions change,
    // too.
    let own = |name: &str| name == "HOSTNAME" || matches!(condition, Condition::Env(own) if own.name == name);
    let beside = result.conditions.iter().filter(|c| !matches!(c, Condition::Env(env) if !own(&env.name)));
    let beside: Vec<Condition> = beside.cloned().collect();
    // A condition that excludes it is imposed.
    let Ok(with) = ConditionSet::new(beside.iter().cloned().chain([condition.clone()])) else {
        return Exercise::Unknown;
    };
    let beside = ConditionSet::new(beside).unwrap_or_default();
    let before = spec::environment_with(candidate, service, &beside, own);
    let after = spec::environment_with(candidate, service, &with, own);
    let command = service.start_command.as_deref();
    let seen = Seen {
        evidence: &result.evidence,
        facts: &candidate.facts,
        service,
        log: &result.log,
        healthy: result.outcome == Some(Outcome::Healthy),
        files,
        values: [&before, &after],
        words: command.map(|c| (spec::shell_words(c), spec::platform_words(c))),
    };
    if had {
        return if prune::touches(condition, &seen) { Exercise::Exercised } else { Exercise::Unknown };
    }
    if prune::touches(condition, &seen) {
        return Exercise::Exercised;
    }
    prune::would_not_meet(condition, &seen).map_or(Exercise::Unknown, Exercise::NotExercised)
}

/// With time compression, the kernel gives up a connection after a request, one retry and this many milliseconds. A
/// process that ends earlier has its own time limit.
const COMPRESSED_PACKETS: u32 = 2;
const COMPRESSED_MS: f64 = 2900.0;
/// Seconds until the kernel gives up a connection by default (Documentation/networking/ip-sysctl.rst, tcp_syn_retries
/// 6); newer kernels wait a few seconds longer.
const KERNEL_GIVES_UP_S: u64 = 127;

/// Notes on how the result was obtained.
fn notes(attempt: &Attempt, service: &Service) -> Vec<String> {
    let mut notes = Vec::new();
    if attempt.outcome.class() == Some(FailureClass::C) {
        let check = &service.health_check;
        let (limit, interval, times) = (check.limit().as_secs(), check.interval, check.unhealthy_threshold);
        let scheduled = attempt.evidence.probes.iter().filter(|probe| !probe.early);
        notes.push(match scheduled.clone().count() < times as usize {
            true => format!(
                "time compression: given up before the limit of {limit} s, since nothing changed any more \
                 (--real-time switches it off)"
            ),
            false => format!(
                "given up after {limit} s: {times} failed probes, one every {interval} s, no grace period{}",
                late(attempt, &service.platform)
            ),
        });
    }
    // From the first request after healthy on, everything runs in real time.
    let compressed = |at_ms: f64| attempt.checks.is_empty() || attempt.healthy_ms.is_none_or(|healthy| at_ms < healthy);
    let given_up = |c: &&ConnectAttempt| {
        let lived = attempt.exited_ms.is_none_or(|exited| exited >= c.at_ms + COMPRESSED_MS);
        c.fate == Fate::Silent && c.protocol == "tcp" && c.sent >= COMPRESSED_PACKETS && lived && compressed(c.at_ms)
    };
    if attempt.evidence.connects.iter().any(|c| given_up(&c)) && !attempt.real_time {
        let limit = service.health_check.limit().as_secs();
        let class = attempt.outcome.class() == Some(FailureClass::B) && limit < KERNEL_GIVES_UP_S;
        let more = if class {
            format!(
                "; in real time the health check's limit of {limit} s would come first (class C), unless the program gives \
                 up before"
            )
        } else {
            String::new()
        };
        notes.push(format!(
            "time compression: the kernel gave up connecting after 3 s instead of two minutes{more} \
             (--real-time switches it off)"
        ));
    }
    if attempt.evidence.probes.last().is_some_and(|p| p.early && p.passed) {
        notes
            .push("time compression: probed as soon as the port was open, ahead of the platform's schedule".to_owned());
    }
    notes
}

/// What is known of the time after which the platform gives up, for one that may only be slow.
fn late(attempt: &Attempt, platform: &Platform) -> String {
    let Some([least, most]) = platform.gives_up else { return String::new() };
    if attempt.outcome != Outcome::NeverListened || is_computing(&attempt.evidence).is_none() {
        return String::new();
    }
    format!(
        "; deployments on {} were given up after {least} to {most} min, so one that only starts slowly may still pass \
         there",
        platform.name
    )
}

/// Rounds to a tenth of a millisecond.
fn round(ms: f64) -> f64 {
    (ms.max(0.0) * 10.0).round() / 10.0
}

/// A deployment id of 32 hexadecimal digits that depends only on the case.
fn deployment_id(case: &str) -> String {
    use sha2::Digest;
    crate::engine::context::hex(&sha2::Sha256::digest(case.as_bytes()))[..32].to_owned()
}
