//! Results of a run: outcome, failure class, verdict, and the whole result of a case.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::{Condition, ConditionSet};
use super::id::CaseId;
use super::observation::{Evidence, ProbeResult};
use super::redact::Redactor;

/// The phase of a candidate's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The namespace is set up and the container created.
    Prepare,
    /// The engine starts the process.
    Start,
    /// The process runs; its port is not open yet.
    Listen,
    /// The port is open; the probe has not passed yet.
    Healthy,
    /// Healthy, and watched a little longer.
    Soak,
    /// Being stopped.
    Stop,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The probe passed and the process lived through the soak.
    Healthy,
    /// The process ended by itself.
    Exited,
    /// The process was ended by a signal.
    Signalled,
    /// The kernel killed it for exceeding its memory.
    OomKilled,
    /// The process stayed alive and never opened the probed port.
    NeverListened,
    /// The port was open; the probe never passed.
    Unhealthy,
    /// The engine could not start the process.
    NotStarted,
}

/// The three ways in which a deployment fails (apprunner facts, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum FailureClass {
    /// Never started.
    A,
    /// Exited.
    B,
    /// Never healthy.
    C,
}

/// The exit code of a process killed by SIGKILL.
pub(crate) const SIGKILLED: i64 = 128 + 9;

impl Outcome {
    /// The class of a failure; `None` for a healthy run.
    #[must_use]
    pub(crate) fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Healthy => None,
            Self::NotStarted => Some(FailureClass::A),
            Self::Exited | Self::Signalled | Self::OomKilled => Some(FailureClass::B),
            Self::NeverListened | Self::Unhealthy => Some(FailureClass::C),
        }
    }

    /// Interprets an exit code: 128 + n is signal n (as engines report it), anything else the process's own.
    #[must_use]
    pub(crate) fn of_exit(code: i64, oom: bool) -> Self {
        match code {
            SIGKILLED if oom => Self::OomKilled,
            // A shell's range 128 … 128+64; 255 is a plain exit code.
            129..=192 => Self::Signalled,
            _ => Self::Exited,
        }
    }
}

/// The verdict of a run about its case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Healthy, and every check passed.
    Pass,
    /// It failed as it would on the platform.
    Fail,
    /// The run proves nothing: the sandbox or the engine spoiled it.
    Unresolved,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unresolved => "unresolved",
        })
    }
}

/// The platform's status of the deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationStatus {
    /// The new version serves.
    Succeeded,
    /// The old version serves again.
    RollbackSucceeded,
    /// A first creation failed: there is nothing to roll back to.
    Failed,
}

/// The platform's status of the service after the deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceStatus {
    /// It serves: the new image, or after a rollback the old one.
    Running,
    /// A first creation failed.
    CreateFailed,
}

/// A cause and its fix, based on observations.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// Its id in the catalogue.
    pub id: String,
    /// What happened.
    pub text: String,
    /// What to do.
    pub fix: String,
    /// The observations it is based on.
    pub evidence: Vec<String>,
    /// Ids of further causes that the same evidence fits: kinds of failure that this one is of, or its consequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Cause {
    /// Whether it is this cause, or of this kind.
    #[must_use]
    pub(crate) fn is(&self, id: &str) -> bool {
        self.id == id || self.also.iter().any(|kind| kind == id)
    }
}

/// A condition that was imposed but had no effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NotExercised {
    /// The condition.
    pub condition: Condition,
    /// Why it had no effect.
    pub because: String,
}

/// A finding about an image before it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The finding, its effect on the platform, and the fix.
    #[serde(flatten)]
    pub(crate) cause: Cause,
    /// Whether the platform fails because of it in any case; otherwise it is a warning.
    pub(crate) fatal: bool,
    /// The resulting exit code, if there is one.
    pub exit_code: Option<i64>,
}

/// Something that is missing for a verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    /// `secret`, `upstream`.
    pub(crate) kind: String,
    /// What is missing.
    pub(crate) text: String,
    /// Lines to add to the service file or the env file.
    pub(crate) add: String,
}

impl Need {
    /// Where to add it.
    #[must_use]
    pub(crate) fn how(&self) -> String {
        let file = if self.kind == "secret" { "the env file" } else { "the service file" };
        format!("add to {file}: {}", self.add.replace('\n', ", "))
    }
}

/// The result of a request after healthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// The check's name.
    pub(crate) name: String,
    /// Whether the answer was as expected, and in time.
    pub(crate) passed: bool,
    /// The answer.
    pub text: String,
}

/// The result of one attempt at a case. It never changes after creation: the expectation and other attempts are stored
/// next to it (`event::Entry`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CaseResult {
    /// The stable id.
    pub id: CaseId,
    /// The image's name.
    pub image: String,
    /// Its content address.
    pub image_id: String,
    /// The departures from the baseline.
    pub conditions: ConditionSet,
    /// Pass, fail or unresolved.
    pub verdict: Verdict,
    /// The failure's class.
    pub class: Option<FailureClass>,
    /// The exit code, if there was one.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed one of its processes for lack of memory.
    pub oom: bool,
    /// How it ended; null if nothing ran.
    pub outcome: Option<Outcome>,
    /// The furthest phase reached.
    pub phase: Phase,
    /// From the start of the case to the start of the process.
    pub started_ms: Option<f64>,
    /// From the start of the process to its end.
    pub exited_ms: Option<f64>,
    /// From the start of the process to its first open port.
    pub first_listen_ms: Option<f64>,
    /// From the start of the process to the health check's success.
    pub healthy_ms: Option<f64>,
    /// From the engine's report of its end to the verdict.
    pub verdict_ms: Option<f64>,
    /// The whole case, including setup and verdict.
    pub total_ms: f64,
    /// The observations.
    pub evidence: Evidence,
    /// Requests after healthy.
    pub checks: Vec<CheckResult>,
    /// Causes and fixes.
    pub causes: Vec<Cause>,
    /// Conditions without effect: the verdict says nothing about them.
    pub not_exercised: Vec<NotExercised>,
    /// Why the case was not run: `host cannot: …`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skipped: Option<String>,
    /// With `skipped`: the condition that this host cannot impose, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cannot_impose: Option<Condition>,
    /// What must be there before there is a verdict.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) needs: Vec<Need>,
    /// Findings about the image before it runs.
    #[serde(rename = "static")]
    pub findings: Vec<Finding>,
    /// What readers should know about how the result was obtained (shortened times, a static answer …).
    pub notes: Vec<String>,
    /// The service log as the platform would write it.
    pub apprunner_log: Vec<String>,
    /// The status of the deployment; null if nothing ran.
    pub operation_status: Option<OperationStatus>,
    /// The status of the service after it.
    pub service_status: Option<ServiceStatus>,
    /// The log of the process up to a limit, without secrets. It is not part of an event: the run's folder keeps it in
    /// a separate file.
    #[serde(skip)]
    pub log: String,
}

impl CaseResult {
    /// Removes secrets from every external text: the engine's, the network's, the log.
    #[must_use]
    pub(crate) fn cleaned(mut self, redactor: &Redactor) -> Self {
        let evidence = &mut self.evidence;
        let broken = evidence.probes.iter_mut().filter_map(|p| match &mut p.result {
            ProbeResult::Broken(text) => Some(text),
            _ => p.location.as_mut(),
        });
        let causes = self.causes.iter_mut().flat_map(|c| [&mut c.text, &mut c.fix].into_iter().chain(&mut c.evidence));
        let texts = (evidence.dns.iter_mut().map(|q| &mut q.name))
            .chain(evidence.connects.iter_mut().filter_map(|c| c.name.as_mut()))
            .chain(evidence.sockets.iter_mut().filter_map(|s| s.name.as_mut()))
            .chain(evidence.stand_ins.iter_mut().flat_map(|s| s.name.iter_mut().chain(&mut s.refused)))
            .chain(evidence.asked.iter_mut().filter_map(|asked| match &mut asked.result {
                ProbeResult::Broken(text) => Some(text),
                _ => None,
            }))
            .chain(self.needs.iter_mut().flat_map(|need| [&mut need.text, &mut need.add]))
            .chain(&mut self.skipped)
            .chain(&mut evidence.log_tail)
            .chain(broken)
            .chain(self.checks.iter_mut().map(|c| &mut c.text))
            .chain(causes)
            .chain(&mut evidence.waiting_for)
            .chain(
                self.findings
                    .iter_mut()
                    .flat_map(|f| [&mut f.cause.text, &mut f.cause.fix].into_iter().chain(&mut f.cause.evidence)),
            )
            .chain(self.not_exercised.iter_mut().map(|n| &mut n.because))
            .chain(&mut self.notes)
            .chain([&mut self.log]);
        texts.for_each(|text| *text = redactor.clean(text));
        self
    }

    /// Whether some condition had no effect: a pass says nothing about that one.
    #[must_use]
    pub(crate) fn missed_some(&self) -> bool {
        !self.not_exercised.is_empty()
    }

    /// A short text for a table cell.
    #[must_use]
    pub fn cell(&self) -> String {
        if self.verdict == Verdict::Unresolved {
            return if self.skipped.is_some() { "skipped" } else { "unresolved" }.to_owned();
        }
        match &self.outcome {
            None => "not exercised".to_owned(),
            Some(Outcome::Healthy) => match self.checks.iter().find(|c| !c.passed) {
                Some(check) => format!("healthy, {} fails", check.name),
                None if self.missed_some() => "healthy, not exercised".to_owned(),
                None => "healthy".to_owned(),
            },
            Some(Outcome::Exited) => format!("exit {}", self.exit_code.unwrap_or_default()),
            Some(Outcome::Signalled) => format!("signal {}", self.exit_code.unwrap_or(128) - 128),
            Some(Outcome::OomKilled) => "out of memory".to_owned(),
            Some(Outcome::NeverListened) => "never listened".to_owned(),
            Some(Outcome::Unhealthy) => "unhealthy".to_owned(),
            Some(Outcome::NotStarted) => match self.exit_code {
                Some(code) => format!("not started ({code})"),
                None => "not started".to_owned(),
            },
        }
    }
}

#[cfg(test)]
impl CaseResult {
    /// A healthy run that took 1.5 s and of which nothing was observed.
    pub(crate) fn some(id: &str, image: &str, conditions: ConditionSet) -> Self {
        Self {
            id: CaseId(id.to_owned()),
            image: image.to_owned(),
            image_id: "sha256:0123".to_owned(),
            conditions,
            verdict: Verdict::Pass,
            class: None,
            exit_code: None,
            oom: false,
            outcome: Some(Outcome::Healthy),
            phase: Phase::Stop,
            started_ms: Some(200.0),
            exited_ms: None,
            first_listen_ms: Some(400.0),
            healthy_ms: Some(410.0),
            verdict_ms: Some(5.0),
            total_ms: 1500.0,
            evidence: Evidence::default(),
            checks: Vec::new(),
            causes: Vec::new(),
            not_exercised: Vec::new(),
            skipped: None,
            cannot_impose: None,
            needs: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            apprunner_log: Vec::new(),
            operation_status: None,
            service_status: None,
            log: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interprets_exit_codes() {
        for (code, oom, outcome) in [
            (0, false, Outcome::Exited),
            (1, false, Outcome::Exited),
            // A killed child marks the container; the process itself continued and failed.
            (1, true, Outcome::Exited),
            (137, true, Outcome::OomKilled),
            (137, false, Outcome::Signalled),
            (139, false, Outcome::Signalled),
            (255, false, Outcome::Exited),
        ] {
            assert_eq!(Outcome::of_exit(code, oom), outcome, "{code} {oom}");
        }
    }
}
