//! The baseline: the run without conditions that all others are compared with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inquiry;
use crate::diagnose::suspects::needed_to_start;
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};

/// Maximum number of runs of the baseline before the search.
const MOST_RUNS: u32 = 3;

impl Inquiry<'_, '_> {
    /// Runs the baseline and, in parallel, all conditions together, which are needed whatever the baseline does. A
    /// failed baseline runs again; one that is slow to become healthy runs again in parallel. A healthy baseline is
    /// assumed to pass, so that the search begins while it is still watched.
    pub(super) async fn baseline(&mut self) -> Verdict {
        while !self.is_over() && self.provisional.is_none() && !self.is_baseline_settled() {
            let first = self.memory.results().is_empty();
            self.start(ConditionSet::baseline());
            if first {
                let all = ConditionSet::new(self.active.iter().cloned()).unwrap_or_default();
                if self.conductor.free() > 0 && !all.is_empty() {
                    self.start(all);
                }
                let _ =
                    tokio::time::timeout_at(Instant::now() + self.usual_time_to_healthy(), self.wait_for_baseline())
                        .await;
                if self.is_baseline_open() && self.conductor.free() > 0 {
                    self.start(ConditionSet::baseline());
                    self.start_deployed();
                }
            }
            // All conditions together may take longer; the baseline is enough to go on.
            self.wait_for_baseline().await;
            if self.stuck(&ConditionSet::baseline()).is_some() && self.is_baseline_open() {
                self.go_ahead_of_failure().await;
            }
        }
        if self.provisional.is_some() { Verdict::Pass } else { self.baseline_verdict() }
    }

    /// Whether the baseline has run often enough to begin the search.
    fn is_baseline_settled(&self) -> bool {
        let tally = self.memory.tally(&ConditionSet::baseline());
        let is_plain = tally.passes > 0 && tally.fails == 0;
        is_plain || tally.fails >= 2 || tally.unresolved >= 2 || tally.decisive() + tally.unresolved >= MOST_RUNS
    }

    /// The verdict of the baseline's runs so far.
    pub(super) fn baseline_verdict(&self) -> Verdict {
        let tally = self.memory.tally(&ConditionSet::baseline());
        match (tally.passes, tally.fails) {
            (0, 0) => Verdict::Unresolved,
            (passes, fails) if fails > passes => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }

    /// A baseline that passed, or one that is healthy so far.
    pub(super) fn clean_start(&self) -> Option<&CaseResult> {
        let passed = |result: &&Arc<CaseResult>| result.conditions.is_empty() && result.verdict == Verdict::Pass;
        self.memory.results().iter().find(passed).or(self.provisional.as_ref()).map(Arc::as_ref)
    }

    /// Suspects conditions on what a clean start needed or used, before any failure names them.
    pub(super) fn suspect_needed(&mut self) {
        let needed = self.needed_by_clean_start(self.active.iter());
        self.memory.suspect(needed);
    }

    /// Those of the conditions that take away what a clean start needed or used.
    pub(super) fn needed_by_clean_start<'c>(
        &self,
        conditions: impl Iterator<Item = &'c Condition>,
    ) -> Vec<(Condition, f64)> {
        let within = self.question.service.health_check.limit();
        self.clean_start().map(|start| needed_to_start(&start.evidence, within, conditions)).unwrap_or_default()
    }

    /// A candidate that is not healthy at the platform's second probe probably never will be.
    fn usual_time_to_healthy(&self) -> Duration {
        Duration::from_secs(u64::from(self.question.service.health_check.interval)) * 2
    }

    /// Whether the baseline runs and is not healthy yet.
    fn is_baseline_open(&self) -> bool {
        self.is_running(&ConditionSet::baseline()) && self.provisional.is_none()
    }

    /// While the health check goes on with a baseline that does nothing any more: runs it again, and tries what may heal
    /// it. Whether it fails is decided by the whole window.
    async fn go_ahead_of_failure(&mut self) {
        let baseline = ConditionSet::baseline();
        self.start_deployed();
        if self.conductor.free() > 0 && self.running.values().filter(|run| run.conditions == baseline).count() == 1 {
            self.start(baseline);
        }
        self.try_repairs().await;
        while self.is_baseline_open() && !self.is_over() {
            self.next_result().await;
        }
    }

    /// Waits until the baseline is healthy, has ended, or does nothing any more.
    async fn wait_for_baseline(&mut self) {
        while self.is_baseline_open() && self.stuck(&ConditionSet::baseline()).is_none() && !self.is_over() {
            self.next_result().await;
        }
    }
}
