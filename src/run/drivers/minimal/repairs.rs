//! Repairs: what heals an image that fails under friendly conditions, and what heals a minimal set.

use super::Inquiry;
use super::around::Around;
use crate::diagnose::repairs::{RUNS, repairs, tried, undone};
use crate::model::answer::{Repair, RepairKind};
use crate::model::{CaseResult, ConditionSet, Verdict};

/// Most sets of repairs that are run.
const MOST_SETS: usize = 8;

impl Inquiry<'_, '_> {
    /// Runs the repairs that the evidence suggests, side by side, until one is verified.
    pub(super) async fn try_repairs(&mut self, around: &mut Around) {
        if !self.question.search.repairs {
            return;
        }
        let Some(failed) = self.memory.failure(&ConditionSet::baseline()) else { return };
        let super::Question { service, candidate, .. } = self.question;
        let mut sets = repairs(failed, service, &candidate.facts);
        sets.truncate(MOST_SETS);
        if sets.is_empty() {
            return;
        }
        self.report_activity("trying repairs");
        let mut left = sets.into_iter();
        loop {
            while self.conductor.free() > 0 && !self.is_over() && !self.is_verified(&around.repairs) {
                let Some(set) = left.next() else { break };
                self.start(set.clone());
                around.repairs.push(set);
            }
            // A healthy one runs a second time.
            let again: Vec<ConditionSet> = around
                .repairs
                .iter()
                .filter(|set| {
                    let tally = self.memory.tally(set);
                    tally.fails == 0 && (1..RUNS).contains(&(tally.passes as usize)) && !self.is_running(set)
                })
                .cloned()
                .collect();
            for set in again {
                if self.conductor.free() > 0 && !self.is_over() {
                    self.start(set);
                }
            }
            if self.conductor.is_idle() || self.is_over() {
                return;
            }
            self.next_result().await;
        }
    }

    /// Whether one of these is verified.
    fn is_verified(&self, sets: &[ConditionSet]) -> bool {
        sets.iter().any(|set| {
            let tally = self.memory.tally(set);
            tally.passes as usize >= RUNS && tally.fails == 0
        })
    }

    /// The repairs that were run for an image that fails always, those that work first, and fixes before proofs.
    pub(super) fn tried_repairs(&self, around: &Around) -> Vec<Repair> {
        let runs = |set: &ConditionSet| -> Vec<&CaseResult> {
            self.memory
                .results()
                .iter()
                .map(AsRef::as_ref)
                .filter(|result: &&CaseResult| result.conditions == *set)
                .collect()
        };
        let mut all: Vec<Repair> = around.repairs.iter().map(|set| tried(set, &runs(set))).collect();
        all.sort_by_key(|repair| (repair.verified != Some(true), repair.kind == RepairKind::Proof));
        all
    }

    /// What is so without each condition of a set, where a run passed without it.
    pub(super) fn undone(&self, set: &ConditionSet) -> Vec<Repair> {
        let without = |condition| {
            let part = ConditionSet::new(set.iter().filter(|other| *other != condition).cloned()).unwrap_or_default();
            let passed = self.memory.results().iter().filter(|result| {
                result.verdict == Verdict::Pass
                    && part.is_subset(&result.conditions)
                    && !result.conditions.has(condition)
            });
            passed.min_by_key(|result| result.conditions.iter().count()).map(|passed| undone(condition, passed))
        };
        set.iter().filter_map(without).collect()
    }
}
