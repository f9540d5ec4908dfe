//! What became of each planned case: its result, its attempts, and how it stands against what was expected.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Planned;
use crate::model::search::JudgedSet;
use crate::model::{CaseResult, Expectation, Verdict};

/// The attempts at one case. One result stands for all of them.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attempts {
    /// Number of attempts that failed.
    pub failed: u32,
    /// Number of attempts that did not come out as expected; 0 for runs of a search.
    #[serde(default)]
    pub unexpected: u32,
    /// Number of attempts that passed or failed.
    pub decided: u32,
    /// The outcome of each attempt in a few words, in order; empty where they were not kept.
    pub outcomes: Vec<String>,
    /// True when the run stopped before the case was tried again.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut_short: bool,
}

impl Attempts {
    /// Counts one more attempt. `unexpected`: something else was expected.
    pub(crate) fn count(&mut self, result: &CaseResult, unexpected: bool) {
        let decided = result.verdict != Verdict::Unresolved;
        self.failed += u32::from(result.verdict == Verdict::Fail);
        self.unexpected += u32::from(decided && unexpected);
        self.decided += u32::from(decided);
        self.outcomes.push(result.cell());
    }

    /// True when there is nothing to say: the case was run once, as planned.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.decided <= 1 && self.outcomes.len() <= 1 && !self.cut_short
    }

    /// Says that attempts disagree; `None` where they do not.
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

/// How a case stands against what was expected of it, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It came out otherwise than expected.
    Unexpected,
    /// The run says nothing about it.
    Unresolved,
    /// The host cannot impose a condition.
    Skipped,
    /// It did not begin, or did not end.
    NotRun,
    /// It came out as expected.
    Expected,
    /// It is a step of a search: nothing is expected of it.
    Step,
}

/// One planned case and what became of it. Nothing here is stored: `judge` makes it from what the events say.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The case.
    pub planned: &'a Planned,
    /// The attempts at it.
    pub attempts: &'a Attempts,
    /// The result that stands; `None`: there is none.
    pub result: Option<&'a Arc<CaseResult>>,
    /// Why there is no result.
    pub missing: Option<&'a str>,
    /// What was expected, in the scenario's words; `None`: that it passes, or nothing of a step.
    pub expected: Option<&'a str>,
    /// How it stands.
    pub standing: Standing,
}

static NO_ATTEMPTS: Attempts =
    Attempts { failed: 0, unexpected: 0, decided: 0, outcomes: Vec::new(), cut_short: false };

/// Judges a case. `judged`: what its search says of it, once that has finished.
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
    /// True unless it came out otherwise than expected, or is not known.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.standing, Standing::Expected | Standing::Step)
    }

    /// Seconds that it took.
    #[must_use]
    pub(crate) fn seconds(&self) -> f64 {
        self.result.map_or(0.0, |result| result.total_ms / 1000.0)
    }
}
