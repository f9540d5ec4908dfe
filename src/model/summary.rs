//! What a whole run came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::{CaseResult, Verdict};

/// Counts and duration of a run.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Cases in all.
    pub cases: usize,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
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
    /// Wall time of the run in seconds.
    pub seconds: f64,
}

impl Summary {
    /// Counts results.
    #[must_use]
    pub fn of<'a>(results: impl IntoIterator<Item = &'a CaseResult>, seconds: f64) -> Self {
        let mut summary = Self { seconds: (seconds * 10.0).round() / 10.0, ..Self::default() };
        for result in results {
            summary.cases += 1;
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
        match (self.unexpected, self.unresolved + self.not_run) {
            (0, 0) => 0,
            (0, _) => 5,
            _ => 1,
        }
    }
}
