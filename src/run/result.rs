//! From what an attempt brought to the result of its case: pure.

use crate::diagnose::causes::{Facts, causes};
use crate::diagnose::platform;
use crate::diagnose::transcript::Deployment;
use crate::model::observation::{Evidence, Fate};
use crate::model::outcome::{Cause, CheckResult, FailureClass, Phase};
use crate::model::{Candidate, Case, CaseResult, Condition, Outcome, Service, Verdict};

/// What an attempt brought.
#[derive(Debug)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// The furthest phase.
    pub phase: Phase,
    /// The exit code, where there was one.
    pub exit_code: Option<i64>,
    /// True when the kernel killed the process for its memory.
    pub oom: bool,
    /// From the beginning of the case to the start of the process.
    pub started_ms: Option<f64>,
    /// From the start of the process to its end.
    pub exited_ms: Option<f64>,
    /// From the start of the process to the health check's success.
    pub healthy_ms: Option<f64>,
    /// From the end of the process to here.
    pub verdict_ms: Option<f64>,
    /// What was seen.
    pub evidence: Evidence,
    /// Requests after healthy.
    pub checks: Vec<CheckResult>,
    /// Secrets taken out.
    pub log: String,
    /// True when the kernel's own retry times were kept.
    pub real_time: bool,
}

/// What every result has.
pub struct Frame<'a> {
    /// The case.
    pub case: &'a Case,
    /// Its candidate.
    pub candidate: &'a Candidate,
    /// What the platform is told.
    pub service: &'a Service,
    /// True for the deployment that creates the service.
    pub first: bool,
    /// The whole case in milliseconds.
    pub total_ms: f64,
}

impl Frame<'_> {
    fn result(&self, verdict: Verdict, outcome: Option<Outcome>, exit_code: Option<i64>) -> CaseResult {
        let class = (verdict == Verdict::Fail).then(|| outcome.as_ref().and_then(Outcome::class)).flatten();
        // A run that says nothing has no deployment to imitate.
        let told = verdict != Verdict::Unresolved && outcome.is_some();
        let deployment = Deployment {
            id: &deployment_id(&self.case.id.0),
            image: &self.case.image,
            check: &self.service.health_check,
            port: self.service.port,
            class,
            exit_code,
            first: self.first,
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
            notes: Vec::new(),
            apprunner_log: if told { deployment.lines() } else { Vec::new() },
            operation_status: told.then(|| deployment.operation_status()),
            service_status: told.then(|| deployment.service_status()),
            outcome,
            log: String::new(),
        }
    }

    /// The result of an attempt.
    #[must_use]
    pub fn of_attempt(&self, mut attempt: Attempt) -> CaseResult {
        // App Runner reports 1 for a program that the kernel cannot execute; some local engines say 255.
        let cannot_execute = attempt.exit_code == Some(255) && attempt.log.contains("exec format error");
        if cannot_execute {
            attempt.exit_code = Some(1);
        }
        let checks_pass = attempt.checks.iter().all(|c| c.passed);
        let verdict = if attempt.outcome == Outcome::Healthy && checks_pass { Verdict::Pass } else { Verdict::Fail };
        let memory = self.case.conditions.iter().find_map(|c| match c {
            Condition::MemoryLimit(bytes) => Some(*bytes),
            _ => None,
        });
        let facts = Facts {
            outcome: &attempt.outcome,
            exit_code: attempt.exit_code,
            evidence: &attempt.evidence,
            log: &attempt.log,
            service: self.service,
            memory,
        };
        let causes = causes(&facts);
        let mut notes = notes(&attempt, self.service);
        notes.extend(self.not_exercised());
        let mut result = self.result(verdict, Some(attempt.outcome), attempt.exit_code);
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
        result.notes = notes;
        result.log = attempt.log;
        result
    }

    /// The result of a case that is decided by the image alone: nothing is run.
    #[must_use]
    pub fn of_image(&self) -> Option<CaseResult> {
        if let Some(cause) = platform::architecture(&self.candidate.facts) {
            let mut result = self.result(Verdict::Fail, Some(Outcome::Exited), Some(1));
            result.causes = vec![cause];
            result.notes.push("judged from the image; what it does on this host proves nothing".to_owned());
            return Some(result);
        }
        if self.case.conditions.iter().all(|c| *c == Condition::ArchMismatch) && !self.case.conditions.is_empty() {
            let mut result = self.result(Verdict::Pass, None, None);
            result.notes.extend(self.not_exercised());
            return Some(result);
        }
        None
    }

    /// What the case's conditions cannot touch.
    fn not_exercised(&self) -> Option<String> {
        let platform = self.candidate.facts.platform();
        let has = self.case.conditions.has(&Condition::ArchMismatch);
        has.then(|| format!("arch.mismatch is not exercised: the image is {platform}"))
    }

    /// The result of a case that says nothing.
    #[must_use]
    pub fn unresolved(&self, why: &str, hint: &str) -> CaseResult {
        let mut result = self.result(Verdict::Unresolved, None, None);
        result.notes.push(why.to_owned());
        result.causes.push(Cause {
            id: "unresolved".to_owned(),
            text: format!("The run says nothing about the image: {why}"),
            fix: hint.to_owned(),
            evidence: vec![why.to_owned()],
        });
        result
    }

    /// The result of a candidate that the engine could not start, by the image's own fault.
    #[must_use]
    pub fn not_started(&self, exit_code: Option<i64>, message: &str, hint: &str) -> CaseResult {
        // A program that the kernel cannot execute: App Runner starts it and reports an exit with code 1.
        let outcome = if exit_code == Some(1) { Outcome::Exited } else { Outcome::NotStarted };
        let mut result = self.result(Verdict::Fail, Some(outcome), exit_code);
        result.phase = Phase::Start;
        result.causes.push(Cause {
            id: "cannot-start".to_owned(),
            text: format!("The container cannot be started: {message}"),
            fix: hint.to_owned(),
            evidence: vec![format!("engine: {message}")],
        });
        result
    }
}

/// What a reader must know of how the result was had.
fn notes(attempt: &Attempt, service: &Service) -> Vec<String> {
    let mut notes = Vec::new();
    if attempt.outcome.class() == Some(FailureClass::C) {
        let check = &service.health_check;
        let (limit, interval, times) = (check.limit().as_secs(), check.interval, check.unhealthy_threshold);
        notes.push(format!("given up after {limit} s: {times} failed probes, one every {interval} s, no grace period"));
    }
    // Requests after healthy run in real time.
    let compressed = |at_ms: f64| attempt.healthy_ms.is_none_or(|healthy| at_ms < healthy);
    let connects = &attempt.evidence.connects;
    let silent = connects.iter().any(|c| c.fate == Fate::Silent && c.protocol == "tcp" && compressed(c.at_ms));
    if silent && !attempt.real_time {
        notes.push(
            "time compression: the kernel gave up connecting after 7 s instead of 127 s (--real-time switches it off)"
                .to_owned(),
        );
    }
    if attempt.evidence.probes.last().is_some_and(|p| p.early && p.result.good()) {
        notes
            .push("time compression: probed as soon as the port was open, ahead of the platform's schedule".to_owned());
    }
    notes
}

/// To a tenth of a millisecond.
fn round(ms: f64) -> f64 {
    (ms.max(0.0) * 10.0).round() / 10.0
}

/// 32 hexadecimal digits that are the same for the same case.
fn deployment_id(case: &str) -> String {
    use sha2::Digest;
    crate::engine::context::hex(&sha2::Sha256::digest(case.as_bytes()))[..32].to_owned()
}
