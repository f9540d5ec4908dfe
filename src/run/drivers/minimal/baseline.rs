//! The run without a condition: what everything else is measured by.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inquiry;
use crate::diagnose::suspects::needed_to_start;
use crate::model::{CaseResult, ConditionSet, Verdict};

/// The baseline is tried so often at the most before the search.
const TRIES: u32 = 3;

impl Inquiry<'_, '_> {
    /// The baseline, and beside it everything at once, which is needed whatever the baseline does. A failure of the
    /// baseline is tried once more; where it is late, beside the first try. One that is healthy is taken to stay so: what
    /// comes next begins while it is watched.
    pub(super) async fn baseline(&mut self) -> Verdict {
        while !self.is_over() && self.provisional.is_none() && !self.is_baseline_settled() {
            let first = self.memory.results().is_empty();
            self.start(ConditionSet::baseline());
            if first {
                let all = ConditionSet::new(self.active.iter().cloned()).unwrap_or_default();
                if self.conductor.free() > 0 && !all.is_empty() {
                    self.start(all);
                }
                let _ = tokio::time::timeout_at(Instant::now() + self.usual(), self.hear_baseline()).await;
                if self.is_baseline_open() && self.conductor.free() > 0 {
                    self.start(ConditionSet::baseline());
                }
            }
            // Everything at once may take longer: what the baseline says is gone on with.
            self.hear_baseline().await;
        }
        if self.provisional.is_some() { Verdict::Pass } else { self.baseline_verdict() }
    }

    /// True when the baseline has been tried often enough before the search.
    fn is_baseline_settled(&self) -> bool {
        let tally = self.memory.tally(&ConditionSet::baseline());
        let is_plain = tally.passes > 0 && tally.fails == 0;
        is_plain || tally.fails >= 2 || tally.unresolved >= 2 || tally.decisive() + tally.unresolved >= TRIES
    }

    /// What the baseline's runs have come to.
    pub(super) fn baseline_verdict(&self) -> Verdict {
        let tally = self.memory.tally(&ConditionSet::baseline());
        match (tally.passes, tally.fails) {
            (0, 0) => Verdict::Unresolved,
            (passes, fails) if fails > passes => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }

    /// A clean start: one that passed, or is healthy so far.
    pub(super) fn clean_start(&self) -> Option<&CaseResult> {
        let passed = |result: &&Arc<CaseResult>| result.conditions.is_empty() && result.verdict == Verdict::Pass;
        self.memory.results().iter().find(passed).or(self.provisional.as_ref()).map(Arc::as_ref)
    }

    /// What a clean start had need of is suspected before any failure names it.
    pub(super) fn suspect_what_is_needed(&mut self) {
        let needed = self.clean_start().map(|start| needed_to_start(&start.evidence, self.active.iter()));
        self.memory.suspect(needed.unwrap_or_default());
    }

    /// Who is not healthy when the platform probes for the second time mostly never will be.
    fn usual(&self) -> Duration {
        Duration::from_secs(u64::from(self.question.service.health_check.interval)) * 2
    }

    /// True while the baseline runs and is not healthy.
    fn is_baseline_open(&self) -> bool {
        self.is_running(&ConditionSet::baseline()) && self.provisional.is_none()
    }

    /// Waits until the baseline is healthy or does not run any more.
    async fn hear_baseline(&mut self) {
        while self.is_baseline_open() && !self.is_over() {
            self.hear().await;
        }
    }
}
