//! Repairs: what heals an image that fails under friendly conditions, and what heals a minimal set.

use super::Inquiry;
use crate::diagnose::repairs::{RUNS, is_contradicted, repairs, stood_in_for, tried, undone};
use crate::diagnose::signature::{Signature, signature};
use crate::model::answer::{Repair, RepairKind};
use crate::model::outcome::Cause;
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};

/// Most sets of repairs that are run.
const MOST_SETS: usize = 8;

impl Inquiry<'_, '_> {
    /// Runs the repairs that the evidence suggests, side by side, until one is verified. The evidence is a failed baseline,
    /// or one that does nothing any more.
    pub(super) async fn try_repairs(&mut self) {
        if !self.question.search.repairs {
            return;
        }
        let failed = self.memory.failure(&ConditionSet::baseline());
        let stuck = self.stuck.as_deref().filter(|stuck| stuck.verdict == Verdict::Fail);
        let Some(failed) = failed.or(stuck) else { return };
        let super::Question { service, candidate, .. } = self.question;
        let mut sets = repairs(failed, service, &candidate.facts);
        sets.truncate(MOST_SETS);
        sets.retain(|set| !self.repairs.contains(set));
        if sets.is_empty() && self.repairs.is_empty() {
            return;
        }
        self.report_activity("trying repairs");
        let mut left = sets.into_iter();
        loop {
            while self.conductor.free() > 0 && !self.is_over() && !self.is_verified() {
                let Some(set) = left.next() else { break };
                self.start(set.clone());
                self.repairs.push(set);
            }
            // A healthy one runs a second time.
            let again = |set: &&ConditionSet| {
                let tally = self.memory.tally(set);
                tally.fails == 0 && (1..RUNS).contains(&(tally.passes as usize)) && !self.is_running(set)
            };
            let again: Vec<ConditionSet> = self.repairs.iter().filter(again).cloned().collect();
            for set in again {
                if self.conductor.free() > 0 && !self.is_over() {
                    self.start(set);
                }
            }
            if !self.repairs.iter().any(|set| self.is_running(set)) || self.is_over() {
                return;
            }
            self.next_result().await;
        }
    }

    /// Whether one of the repairs is verified.
    pub(super) fn is_verified(&self) -> bool {
        self.repairs.iter().any(|set| {
            let tally = self.memory.tally(set);
            tally.passes as usize >= RUNS && tally.fails == 0
        })
    }

    /// The repairs that were run for an image that fails always, those that work first, and fixes before proofs.
    pub(super) fn tried_repairs(&self) -> Vec<Repair> {
        let runs = |set: &ConditionSet| -> Vec<&CaseResult> {
            self.memory
                .results()
                .iter()
                .map(AsRef::as_ref)
                .filter(|result: &&CaseResult| result.conditions == *set)
                .collect()
        };
        let mut all: Vec<Repair> = self.repairs.iter().map(|set| tried(set, &runs(set))).collect();
        all.sort_by_key(|repair| (repair.verified != Some(true), repair.kind == RepairKind::Proof));
        all
    }

    /// How the image failed with each set of repairs; `None` where it did not.
    fn ends(&self) -> Vec<(&ConditionSet, Option<Signature>)> {
        let decided = |set: &ConditionSet| {
            self.memory.results().iter().rfind(|r| r.conditions == *set && r.verdict != Verdict::Unresolved)
        };
        self.repairs.iter().filter_map(|set| Some((set, signature(decided(set)?)))).collect()
    }

    /// The causes that no repair contradicts.
    pub(super) fn not_contradicted(&self, failed: &CaseResult, mut causes: Vec<Cause>) -> Vec<Cause> {
        if let Some(before) = signature(failed) {
            let ends = self.ends();
            causes.retain(|cause| !is_contradicted(cause, &before, &ends));
        }
        causes
    }

    /// The variables that the image misses, if the service file does not set them.
    pub(super) fn not_in_the_file(&self) -> Vec<String> {
        let missing = self.repairs.iter().flat_map(ConditionSet::iter).filter_map(stood_in_for);
        let note =
            |name: &str| format!("the service file does not set {name}: add it there if the deployed service has it");
        missing.map(note).collect()
    }

    /// The failures that come after what a repair heals.
    pub(super) fn behind_repairs(&self) -> Vec<String> {
        let Some(before) = self.memory.failure(&ConditionSet::baseline()).and_then(signature) else {
            return Vec::new();
        };
        let other = |(set, end): &(&ConditionSet, Option<Signature>)| {
            let end = end.as_ref().filter(|end| **end != before)?;
            let when: Vec<String> = set.iter().map(Condition::words).collect();
            Some(format!("when {}, it fails in another way: {end}", when.join(" and ")))
        };
        self.ends().iter().filter_map(other).collect()
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
