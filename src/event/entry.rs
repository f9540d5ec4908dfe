//! The result of each planned case: attempts, final result, and comparison with the expectation.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Planned;
use crate::model::search::JudgedSet;
use crate::model::{CaseResult, Expectation, Verdict};

/// The attempts at one case, of which one result counts.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attempts {
    /// Number of attempts that failed.
    pub failed: u32,
    /// Number of attempts with an unexpected result; 0 for runs of a search.
    #[serde(default)]
    pub unexpected: u32,
    /// Number of attempts that passed or failed.
    pub decided: u32,
    /// The outcome of each attempt in a few words, in order; empty if not kept.
    pub outcomes: Vec<String>,
    /// Whether the run stopped before the case was retried.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut_short: bool,
}

impl Attempts {
    /// Counts an attempt. `unexpected`: whether its result was unexpected.
    pub(crate) fn count(&mut self, result: &CaseResult, unexpected: bool) {
        let decided = result.verdict != Verdict::Unresolved;
        self.failed += u32::from(result.verdict == Verdict::Fail);
        self.unexpected += u32::from(decided && unexpected);
        self.decided += u32::from(decided);
        self.outcomes.push(result.cell());
    }

    /// Whether the case was run once, as planned.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.decided <= 1 && self.outcomes.len() <= 1 && !self.cut_short
    }

    /// Describes disagreeing attempts; `None` if they agree.
    #[must_use]
    pub fn flaky(&self) -> Option<String> {
        let mixed = |count: u32| count > 0 && count < self.decided;
        match (mixed(self.failed), mixed(self.unexpected)) {
            (true, _) => Some(format!("failed {} of {} attempts", self.failed, self.decided)),
            (_, true) => Some(format!("not as expected in {} of {} attempts", self.unexpected, self.decided)),
            _ => None,
        }
    }

    /// Lists the outcomes of several attempts; `None` for a single one.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let stopped = if self.cut_short { "; the run stopped before the next attempt" } else { "" };
        (self.outcomes.len() > 1 || self.cut_short)
            .then(|| format!("{} attempts: {}{stopped}", self.outcomes.len(), self.outcomes.join(", then ")))
    }
}

/// How a case compares with its expectation, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Its result was unexpected.
    Unexpected,
    /// The run proves nothing.
    Unresolved,
    /// The host cannot impose a condition.
    Skipped,
    /// It did not start, or did not finish.
    NotRun,
    /// It had the expected result.
    Expected,
    /// It is a step of a search and has no expectation.
    Step,
}

/// A planned case and its result. Nothing here is stored: [`judge`] derives it from the events.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The case.
    pub planned: &'a Planned,
    /// The attempts at it.
    pub attempts: &'a Attempts,
    /// The result that counts; `None` if there is none.
    pub result: Option<&'a Arc<CaseResult>>,
    /// Why there is no result.
    pub missing: Option<&'a str>,
    /// The expectation in the scenario's words; `None` if it must pass, or for a step of a search.
    pub expected: Option<&'a str>,
    /// Its standing.
    pub standing: Standing,
}

static NO_ATTEMPTS: Attempts =
    Attempts { failed: 0, unexpected: 0, decided: 0, outcomes: Vec::new(), cut_short: false };

/// Judges a case. `judged`: its search's judgement, once that has finished.
#[must_use]
pub(crate) fn judge<'a>(
    planned: &'a Planned,
    done: Option<(&'a Arc<CaseResult>, Option<&'a Attempts>)>,
    judged: Option<&'a JudgedSet>,
    missing: Option<&'a str>,
) -> Entry<'a> {
    let (expected, met) = match judged.map(|judged| &judged.expected) {
        Some(Some(expected)) => (Some(expected.text.as_str()), Some(expected.met)),
        Some(None) => (None, None),
        None if planned.is_step() => (None, Some(true)),
        None => {
            let expected = planned.expect.as_deref();
            let expectation = expected.and_then(|text| text.parse::<Expectation>().ok());
            (expected, expectation.zip(done).map(|(expectation, (result, _))| expectation.met(result)))
        }
    };
    let standing = match done.map(|(result, _)| result) {
        None => Standing::NotRun,
        Some(_) if judged.is_none() && planned.is_step() => Standing::Step,
        Some(result) if result.verdict == Verdict::Unresolved && result.skipped.is_some() => Standing::Skipped,
        Some(result) if result.verdict == Verdict::Unresolved => Standing::Unresolved,
        Some(result) if met.unwrap_or(result.verdict == Verdict::Pass) => Standing::Expected,
        Some(_) => Standing::Unexpected,
    };
    let attempts = done.and_then(|(_, attempts)| attempts).unwrap_or(&NO_ATTEMPTS);
    Entry { planned, attempts, result: done.map(|(result, _)| result), missing, expected, standing }
}

impl Entry<'_> {
    /// Whether it neither had an unexpected result nor is unknown.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.standing, Standing::Expected | Standing::Step)
    }

    /// Its duration in seconds.
    #[must_use]
    pub(crate) fn seconds(&self) -> f64 {
        self.result.map_or(0.0, |result| result.total_ms / 1000.0)
    }
}
