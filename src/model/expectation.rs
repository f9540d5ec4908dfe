//! The expectation of a scenario for a case.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::nearest;
use super::outcome::{CaseResult, OperationStatus, Outcome, ServiceStatus, Verdict};

/// The expected result of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// Healthy, and every check passes.
    Pass,
    /// It fails in any way.
    Fail,
    /// The process exits with this code.
    Exit(i64),
    /// The process is killed by this signal.
    Signal(i64),
    /// It ends in this way; `healthy` regardless of the checks.
    Outcome(Outcome),
    /// It becomes healthy, and this check fails.
    CheckFails(String),
    /// The platform's status of the deployment.
    Operation(OperationStatus),
    /// The platform's status of the service.
    Service(ServiceStatus),
}

/// Outcomes with their own name.
const OUTCOMES: [(&str, Outcome); 5] = [
    ("healthy", Outcome::Healthy),
    ("never listened", Outcome::NeverListened),
    ("unhealthy", Outcome::Unhealthy),
    ("out of memory", Outcome::OomKilled),
    ("not started", Outcome::NotStarted),
];
const OPERATIONS: [(&str, OperationStatus); 3] = [
    ("SUCCEEDED", OperationStatus::Succeeded),
    ("ROLLBACK_SUCCEEDED", OperationStatus::RollbackSucceeded),
    ("FAILED", OperationStatus::Failed),
];
const SERVICES: [(&str, ServiceStatus); 2] =
    [("RUNNING", ServiceStatus::Running), ("CREATE_FAILED", ServiceStatus::CreateFailed)];

impl Expectation {
    /// Whether a result meets the expectation.
    #[must_use]
    pub(crate) fn met(&self, result: &CaseResult) -> bool {
        match self {
            Self::Pass => result.verdict == Verdict::Pass,
            Self::Fail => result.verdict == Verdict::Fail,
            _ if result.verdict == Verdict::Unresolved => false,
            Self::Exit(code) => result.outcome == Some(Outcome::Exited) && result.exit_code == Some(*code),
            Self::Signal(signal) => {
                result.outcome == Some(Outcome::Signalled) && result.exit_code == Some(128 + signal)
            }
            Self::Outcome(outcome) => result.outcome.as_ref() == Some(outcome),
            Self::CheckFails(name) => {
                result.outcome == Some(Outcome::Healthy) && result.checks.iter().any(|c| c.name == *name && !c.passed)
            }
            Self::Operation(status) => result.operation_status == Some(*status),
            Self::Service(status) => result.service_status == Some(*status),
        }
    }
}

impl Expectation {
    /// Whether only a failure can meet it.
    #[must_use]
    pub(crate) fn is_of_failure(&self) -> bool {
        match self {
            Self::Pass | Self::Outcome(Outcome::Healthy) | Self::Service(ServiceStatus::Running) => false,
            Self::Operation(status) => *status != OperationStatus::Succeeded,
            _ => true,
        }
    }
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let number = |rest: &str| rest.trim().parse::<i64>().ok().filter(|n| (0..=255).contains(n));
        let named = |known: &&(&str, Outcome)| known.0 == text;
        if let Some((_, outcome)) = OUTCOMES.iter().find(named) {
            return Ok(Self::Outcome(outcome.clone()));
        }
        if let Some((_, status)) = OPERATIONS.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Operation(*status));
        }
        if let Some((_, status)) = SERVICES.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Service(*status));
        }
        match text {
            "pass" => return Ok(Self::Pass),
            "fail" => return Ok(Self::Fail),
            _ => {}
        }
        for (word, make) in [("exit ", Self::Exit as fn(i64) -> Self), ("signal ", Self::Signal)] {
            if let Some(rest) = text.strip_prefix(word) {
                return number(rest).map(make).ok_or_else(|| format!("`{text}`: must be a number from 0 to 255"));
            }
        }
        if let Some(name) = text.strip_suffix(" fails").map(str::trim).filter(|name| !name.is_empty()) {
            return Ok(Self::CheckFails(name.to_owned()));
        }
        let words = ["pass", "fail", "exit 1", "signal 9"].into_iter();
        let words = words.chain(OUTCOMES.iter().map(|(name, _)| *name));
        let words: Vec<&str> = words
            .chain(OPERATIONS.iter().map(|(name, _)| *name))
            .chain(SERVICES.iter().map(|(name, _)| *name))
            .collect();
        Err(match nearest(text, words.iter().copied()) {
            Some(near) => format!("unknown outcome `{text}`; did you mean `{near}`?"),
            None => format!("unknown outcome `{text}`; expected one of {} or `CHECK fails`", words.join(", ")),
        })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail => f.write_str("fail"),
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Outcome(outcome) => {
                let name = OUTCOMES.iter().find(|(_, known)| known == outcome).map(|(name, _)| *name);
                f.write_str(name.unwrap_or("fail"))
            }
            Self::CheckFails(name) => write!(f, "{name} fails"),
            Self::Operation(status) => {
                let name = OPERATIONS.iter().find(|(_, known)| known == status).map(|(name, _)| *name);
                f.write_str(name.unwrap_or_default())
            }
            Self::Service(status) => {
                let name = SERVICES.iter().find(|(_, known)| known == status).map(|(name, _)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

/// The expectation of a result, and whether it was met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// The expectation in its own words.
    pub(crate) text: String,
    /// Whether it was met.
    pub(crate) met: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_parsed_and_shown() {
        for text in [
            "pass",
            "fail",
            "exit 1",
            "signal 9",
            "healthy",
            "never listened",
            "unhealthy",
            "out of memory",
            "not started",
            "OTP fails",
            "SUCCEEDED",
            "ROLLBACK_SUCCEEDED",
            "FAILED",
            "RUNNING",
            "CREATE_FAILED",
        ] {
            assert_eq!(text.parse::<Expectation>().map(|e| e.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn suggests_the_nearest_outcome() {
        assert_eq!("pas".parse::<Expectation>(), Err("unknown outcome `pas`; did you mean `pass`?".to_owned()));
        for bad in ["exit x", "exit 999", "", " fails", "explodes"] {
            assert!(bad.parse::<Expectation>().is_err(), "{bad}");
        }
    }
}
