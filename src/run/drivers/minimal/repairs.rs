//! Repairs: what heals an image that fails under friendly conditions, and what heals a minimal set.

use std::collections::BTreeSet;

use super::Inquiry;
use crate::diagnose::repairs::{RUNS, healers, is_contradicted, kind_of, repairs, stood_in_for, tried, undone};
use crate::diagnose::signature::{Signature, signature};
use crate::model::answer::{Repair, RepairKind};
use crate::model::outcome::Cause;
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};

/// Most sets of two repairs that are run.
const MOST_PAIRS: usize = 3;
/// Most sets of repairs that are run.
const MOST_SETS: usize = 8;
/// Most runs for repairs of minimal sets; an image that fails under friendly conditions has as many for its own.
const MOST_RUNS: usize = 4;
/// If fewer runs than this were made of an image that fails under friendly conditions, repairs may make up the rest.
const MOST_RUNS_IN_ALL: usize = 12;

/// A set of repairs that was run with a minimal set.
pub(super) struct Healer {
    of: ConditionSet,
    repairs: ConditionSet,
    /// Both together.
    run: ConditionSet,
}

impl Inquiry<'_, '_> {
    /// Runs the repairs that the evidence suggests, side by side, until one is verified. The evidence is a failed baseline,
    /// or one that does nothing any more.
    pub(super) async fn try_repairs(&mut self) {
        if !self.question.search.repairs {
            return;
        }
        let failed = self.memory.failure(&ConditionSet::baseline());
        let stuck = self.stuck(&ConditionSet::baseline());
        let Some(failed) = failed.or(stuck.as_deref()) else { return };
        let super::Question { service, candidate, .. } = self.question;
        let mut sets = repairs(failed, service, &candidate.facts);
        sets.truncate(MOST_SETS);
        sets.retain(|set| !self.repairs.contains(set));
        if sets.is_empty() && self.repairs.is_empty() {
            return;
        }
        self.report_activity("trying repairs");
        self.run_repairs(sets).await;
        if self.is_verified() || self.is_over() {
            return;
        }
        // Behind what a repair heals there may be another failure, with a repair of its own.
        let Some(before) = self.without_repairs() else { return };
        let mut pairs: Vec<ConditionSet> = Vec::new();
        for (set, end) in self.ends() {
            let Some(failed) = self.memory.failure(set).filter(|_| end.is_some_and(|end| end != before)) else {
                continue;
            };
            for more in repairs(failed, service, &candidate.facts) {
                let Ok(both) = ConditionSet::new(set.iter().chain(more.iter()).cloned()) else { continue };
                if !pairs.contains(&both) && !self.repairs.contains(&both) {
                    pairs.push(both);
                }
            }
        }
        pairs.truncate(MOST_PAIRS);
        self.run_repairs(pairs).await;
    }

    /// Runs sets of repairs side by side, until one is verified.
    async fn run_repairs(&mut self, sets: Vec<ConditionSet>) {
        let mut left = sets.into_iter().peekable();
        // A baseline that becomes healthy after all needs no repair.
        while !self.is_over() && !self.is_enough() && self.provisional.is_none() {
            while self.conductor.free() > 0 {
                // First a healthy one again, and nothing beside it: one verified repair is enough.
                if let Some(first) = self.healthy_so_far() {
                    if !self.is_short_of_runs(&first) {
                        break;
                    }
                    self.start(first);
                    continue;
                }
                if self.is_verified() {
                    break;
                }
                if !self.has_runs_left() {
                    // One that fails makes room for another.
                    if self.repairs.iter().any(|set| self.is_running(set)) {
                        break;
                    }
                    left.by_ref().for_each(drop);
                }
                let Some(set) = left.next() else { break };
                self.start(set.clone());
                self.repairs.push(set);
            }
            let is_running = self.repairs.iter().any(|set| self.is_running(set));
            if !is_running && left.peek().is_none() && self.healthy_so_far().is_none() {
                return;
            }
            self.next_result().await;
        }
    }

    /// Whether there are runs left to verify one more set of repairs. One that has not failed may yet need them all.
    fn has_runs_left(&self) -> bool {
        let all = || {
            let ran = self.memory.results().iter().map(|result| &result.conditions);
            ran.chain(self.running.values().map(|run| &run.conditions))
        };
        let others = all().filter(|set| !self.repairs.contains(set)).count();
        let kept = self.repairs.iter().map(|repair| {
            let runs = all().filter(|set| *set == repair).count();
            if self.memory.tally(repair).fails > 0 { runs } else { runs.max(RUNS) }
        });
        kept.sum::<usize>() + RUNS <= MOST_RUNS_IN_ALL.saturating_sub(others).max(MOST_RUNS)
    }

    /// Runs repairs of the minimal sets, one after the other, until each set has a verified one.
    pub(super) async fn heal_sets(&mut self) {
        if !self.question.search.repairs {
            return;
        }
        let super::Question { service, candidate, .. } = self.question;
        let mut left = MOST_RUNS;
        for of in self.memory.smallest_failing().into_iter().filter(|set| !set.is_empty()) {
            let Some(failed) = self.memory.failure(&of) else { continue };
            for repairs in healers(&of, failed, service, &candidate.facts) {
                let Ok(run) = ConditionSet::new(of.iter().chain(repairs.iter()).cloned()) else { continue };
                if left == 0 || self.is_over() {
                    return;
                }
                self.report_activity("trying repairs");
                self.healers.push(Healer { of: of.clone(), repairs, run: run.clone() });
                left -= self.run_repeatedly(&run, left).await;
                if self.memory.tally(&run).fails == 0 {
                    break;
                }
            }
        }
    }

    /// Runs a set once, and as often as verifies it if that was healthy. Returns the number of runs.
    async fn run_repeatedly(&mut self, set: &ConditionSet, most: usize) -> usize {
        let mut runs = 0;
        while runs < most && !self.is_over() {
            let tally = self.memory.tally(set);
            let ended = (tally.passes + tally.unresolved) as usize;
            if tally.fails > 0 || ended >= RUNS {
                break;
            }
            let more = if ended > 0 { RUNS - ended } else { 1 }.min(most - runs);
            (0..more).for_each(|_| self.start(set.clone()));
            runs += more;
            while self.is_running(set) {
                self.next_result().await;
            }
        }
        runs
    }

    /// The first set of repairs that was healthy so far and is not verified yet; a fix before a proof, and a fix alone once
    /// a proof is verified.
    fn healthy_so_far(&self) -> Option<ConditionSet> {
        let needed = |set: &&ConditionSet| is_fix(set) || !self.is_verified();
        let healthy = self.repairs.iter().filter(|set| self.may_heal(set) && self.memory.tally(set).passes > 0);
        healthy.filter(needed).min_by_key(|set| !is_fix(set)).cloned()
    }

    /// Whether a fix is verified, or a proof and no fix is still under way.
    fn is_enough(&self) -> bool {
        let is_under_way =
            |set: &ConditionSet| self.may_heal(set) && (self.memory.tally(set).passes > 0 || self.is_running(set));
        let mut fixes = self.repairs.iter().filter(|set| is_fix(set));
        self.is_verified() && (fixes.clone().any(|set| self.verifies(set)) || !fixes.any(is_under_way))
    }

    /// Whether no run of a set failed, and more runs would verify it.
    fn may_heal(&self, set: &ConditionSet) -> bool {
        let tally = self.memory.tally(set);
        tally.fails == 0 && ((tally.passes + tally.unresolved) as usize) < RUNS
    }

    /// Whether a set must run again to be verified.
    fn is_short_of_runs(&self, set: &ConditionSet) -> bool {
        let tally = self.memory.tally(set);
        let runs = self.running.values().filter(|run| run.conditions == *set).count();
        ((tally.passes + tally.unresolved) as usize) + runs < RUNS
    }

    /// Whether one of the repairs is verified.
    pub(super) fn is_verified(&self) -> bool {
        self.repairs.iter().any(|set| self.verifies(set))
    }

    /// Whether the runs of a set verify it.
    fn verifies(&self, set: &ConditionSet) -> bool {
        let tally = self.memory.tally(set);
        tally.passes as usize >= RUNS && tally.fails == 0
    }

    /// The repairs that were run for an image that fails always, those that work first, and fixes before proofs.
    pub(super) fn tried_repairs(&self) -> Vec<Repair> {
        let before = self.without_repairs();
        let ends = self.ends();
        let uncovers = |set: &ConditionSet| {
            let mut of_set = ends.iter().filter(|(of, _)| *of == set);
            before.is_some() && of_set.any(|(_, end)| end.is_some() && *end != before)
        };
        let repair = |set| Repair { uncovers: uncovers(set), ..tried(set, &self.runs_of(set)) };
        let mut all: Vec<Repair> = self.repairs.iter().map(repair).collect();
        all.sort_by_key(|repair| (repair.verified != Some(true), repair.kind == RepairKind::Proof));
        all
    }

    fn runs_of(&self, set: &ConditionSet) -> Vec<&CaseResult> {
        self.memory.results().iter().map(AsRef::as_ref).filter(|result| result.conditions == *set).collect()
    }

    /// What is so without each condition of a set, where a run passed without it, and the repairs that were run with it.
    pub(super) fn repairs_of(&self, set: &ConditionSet) -> Vec<Repair> {
        let healers = self.healers.iter().filter(|healer| healer.of == *set);
        healers.map(|healer| tried(&healer.repairs, &self.runs_of(&healer.run))).chain(self.undone(set)).collect()
    }

    /// How the image fails without any repair.
    fn without_repairs(&self) -> Option<Signature> {
        self.memory.failure(&ConditionSet::baseline()).and_then(signature)
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
        let missing: BTreeSet<&str> =
            self.repairs.iter().flat_map(ConditionSet::iter).filter_map(stood_in_for).collect();
        let note =
            |name: &str| format!("the service file does not set {name}: add it there if the deployed service has it");
        missing.into_iter().map(note).collect()
    }

    /// The failures that come after what a repair heals, each with the first repair that leads to it.
    pub(super) fn behind_repairs(&self) -> Vec<String> {
        let Some(before) = self.without_repairs() else { return Vec::new() };
        let mut known = vec![before];
        let mut all = Vec::new();
        for (set, end) in self.ends() {
            if let Some(end) = end.filter(|end| !known.contains(end)) {
                let when: Vec<String> = set.iter().map(Condition::words).collect();
                all.push(format!("when {}, it fails in another way: {end}", when.join(" and ")));
                known.push(end);
            }
        }
        all
    }

    /// What is so without each condition of a set, where a run passed without it.
    fn undone(&self, set: &ConditionSet) -> Vec<Repair> {
        let without = |condition| {
            let passed = self.memory.passed_without(set, condition);
            passed.min_by_key(|result| result.conditions.iter().count()).map(|passed| undone(condition, passed))
        };
        set.iter().filter_map(without).collect()
    }
}

fn is_fix(set: &ConditionSet) -> bool {
    kind_of(set) == RepairKind::Fix
}
