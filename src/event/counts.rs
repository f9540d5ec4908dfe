//! The counts of a run, identical in every report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Standing};
use crate::model::Verdict;

/// Numbers of cases by standing. `expected + unexpected + unresolved + skipped + not_run + steps = cases`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All cases: planned ones and those that searches added, run or not.
    pub cases: usize,
    /// Cases that passed, except steps of searches.
    pub passed: usize,
    /// Cases that failed, except steps of searches.
    pub failed: usize,
    /// Cases with the expected result.
    #[serde(default)]
    pub expected: usize,
    /// Cases with an unexpected result.
    #[serde(default)]
    pub unexpected: usize,
    /// Unresolved cases.
    pub unresolved: usize,
    /// Cases that this host cannot impose.
    #[serde(default)]
    pub skipped: usize,
    /// Cases without a result.
    #[serde(default)]
    pub not_run: usize,
    /// Cases whose attempts disagree; they are also counted above.
    #[serde(default)]
    pub flaky: usize,
    /// Steps of searches, which have no expectation.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub steps: usize,
    /// Searches, which are not cases.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub searches: usize,
    /// Searches whose list of sets may be incomplete.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open: usize,
    /// Wall time of the run in seconds.
    pub seconds: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Counts {
    /// Counts cases.
    #[must_use]
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            counts.cases += 1;
            counts.flaky += usize::from(entry.standing != Standing::Step && entry.attempts.flaky().is_some());
            *match entry.standing {
                Standing::Expected => &mut counts.expected,
                Standing::Unexpected => &mut counts.unexpected,
                Standing::Unresolved => &mut counts.unresolved,
                Standing::Skipped => &mut counts.skipped,
                Standing::NotRun => &mut counts.not_run,
                Standing::Step => &mut counts.steps,
            } += 1;
            match entry.result.filter(|_| entry.standing != Standing::Step).map(|result| result.verdict) {
                Some(Verdict::Pass) => counts.passed += 1,
                Some(Verdict::Fail) => counts.failed += 1,
                Some(Verdict::Unresolved) | None => {}
            }
        }
        counts
    }

    /// Cases that were run and have no verdict. What this host cannot impose counts only where nothing else was judged.
    #[must_use]
    pub(crate) fn undecided(&self) -> usize {
        self.unresolved + if self.expected + self.unexpected == 0 { self.skipped } else { 0 }
    }

    /// The exit code of a command with these results (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.unexpected, self.undecided() + self.not_run + self.open) {
            (0, 0) => 0,
            (0, _) => 5,
            _ => 1,
        }
    }
}
