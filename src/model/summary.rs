//! What a whole run came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::{CaseResult, Verdict};

/// Counts and duration of a run.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Cases in all.
    pub cases: usize,
    /// Cases that passed, without steps of searches.
    pub passed: usize,
    /// Cases that failed, without steps of searches.
    pub failed: usize,
    /// Cases that say nothing.
    pub unresolved: usize,
    /// Cases that came out otherwise than expected: by failing, or by not failing as the scenario says.
    #[serde(default)]
    pub unexpected: usize,
    /// Cases whose attempts did not all come out alike, whatever stands.
    #[serde(default)]
    pub flaky: usize,
    /// Cases that were not begun.
    #[serde(default)]
    pub not_run: usize,
    /// Cases that are steps of a search: nothing is expected of them.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub steps: usize,
    /// Searches in all.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub searches: usize,
    /// Searches that do not know whether there are other sets.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open: usize,
    /// Wall time of the run in seconds.
    pub seconds: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Summary {
    /// Counts results.
    #[must_use]
    pub fn of<'a>(results: impl IntoIterator<Item = &'a CaseResult>, seconds: f64) -> Self {
        let mut summary = Self { seconds: (seconds * 10.0).round() / 10.0, ..Self::default() };
        for result in results {
            summary.cases += 1;
            if result.step {
                summary.steps += 1;
                continue;
            }
            match result.verdict {
                Verdict::Pass => summary.passed += 1,
                Verdict::Fail => summary.failed += 1,
                Verdict::Unresolved => summary.unresolved += 1,
            }
            summary.flaky += usize::from(result.flaky().is_some());
            summary.unexpected += usize::from(result.verdict != Verdict::Unresolved && !result.as_expected());
        }
        summary
    }

    /// The exit code of a command whose cases came to this (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.unexpected, self.unresolved + self.not_run + self.open) {
            (0, 0) => 0,
            (0, _) => 5,
            _ => 1,
        }
    }
}
