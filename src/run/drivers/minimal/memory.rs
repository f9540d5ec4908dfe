//! Every run of an inquiry, and the answers for each set of conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnose::run::Failed;
use crate::diagnose::signature::{Signature, signature};
use crate::diagnose::suspects::suspects;
use crate::event::Attempts;
use crate::model::{CaseResult, Condition, ConditionSet, Verdict};
use crate::search::minimal::NAMED;
use crate::search::noise::{Answer, Tally};
use crate::search::set::Set;
use crate::search::table::minimal;

/// A condition that is suspected of causing a failure, and by which factor that is more likely.
type Suspicion = (Condition, f64);

/// The runs of an inquiry so far.
#[derive(Default)]
pub(super) struct Memory {
    results: Vec<Arc<CaseResult>>,
    answers: Vec<(ConditionSet, Answer)>,
    suspicions: Vec<Suspicion>,
    /// Failures whose evidence names a single condition, with that condition.
    naming: Vec<(Condition, Arc<CaseResult>)>,
}

/// Conditions that are imposed together or not at all. Most bundles have one condition.
pub(super) type Bundle = Vec<Condition>;

/// The space of a search: bundles, and conditions that every run imposes.
pub(super) struct Universe {
    pub(super) base: Bundle,
    pub(super) bundles: Vec<Bundle>,
    /// Whether to search for variables that hide each other's failures.
    pub(super) may_hide: bool,
}

impl Universe {
    /// A universe of single conditions.
    pub(super) fn each(conditions: impl IntoIterator<Item = Condition>) -> Self {
        let bundles = conditions.into_iter().map(|c| vec![c]).collect();
        Self { base: Vec::new(), bundles, may_hide: false }
    }

    /// Adds a bundle, unless it is empty.
    pub(super) fn and(mut self, together: Bundle) -> Self {
        self.bundles.extend((!together.is_empty()).then_some(together));
        self
    }

    /// The set of all bundles.
    pub(super) fn all(&self) -> Set {
        Set::first(self.bundles.len())
    }

    /// A set in bits; `None` when it lacks a condition that every run imposes, splits a bundle, or has conditions from
    /// outside.
    pub(super) fn bits(&self, set: &ConditionSet) -> Option<Set> {
        let found = self.within(set);
        let whole = self.base.iter().all(|c| set.has(c));
        let count = found.iter().flat_map(|n| &self.bundles[n]).filter(|c| !self.base.contains(c)).count();
        let rest = set.iter().filter(|c| !self.base.contains(c)).count();
        (whole && count == rest).then_some(found)
    }

    /// The bundles that a set includes.
    fn within(&self, set: &ConditionSet) -> Set {
        (0..self.bundles.len()).filter(|n| self.bundles[*n].iter().all(|c| set.has(c))).collect()
    }

    /// The set that passes because a set with further conditions passed; `None` when one of these may have prevented a
    /// failure.
    pub(super) fn implied(&self, set: &ConditionSet, answer: Answer) -> Option<Set> {
        let bits = self.within(set);
        let inside = self.conditions(bits);
        let harmless = set.iter().all(|c| inside.has(c) || !c.changes_program());
        let whole = self.base.iter().all(|c| set.has(c));
        (answer == Answer::Pass && harmless && whole).then_some(bits)
    }

    /// The conditions of a set in bits.
    pub(super) fn conditions(&self, bits: Set) -> ConditionSet {
        // Conditions of one universe never exclude each other.
        let with = bits.iter().flat_map(|n| self.bundles[n].iter()).chain(&self.base);
        ConditionSet::new(with.cloned()).unwrap_or_default()
    }
}

impl Memory {
    /// Records a result.
    pub(super) fn keep(&mut self, set: &ConditionSet, result: Arc<CaseResult>) {
        let answer = match result.verdict {
            Verdict::Pass => Answer::Pass,
            Verdict::Fail => Answer::Fail,
            Verdict::Unresolved => Answer::Unresolved,
        };
        if answer == Answer::Fail {
            self.read(&result);
        }
        self.answers.push((set.clone(), answer));
        self.results.push(result);
    }

    /// Records a result of the run that is resumed, once for each attempt. Returns the number of runs of the set.
    pub(super) fn restore(&mut self, result: &Arc<CaseResult>, attempts: &Attempts) -> usize {
        let fails = result.verdict == Verdict::Fail;
        let (failed, decided) = match attempts.is_single() {
            true => (u32::from(fails), 1),
            false => (attempts.failed, attempts.decided),
        };
        let (same, other, answer) = match fails {
            true => (failed, decided - failed, Answer::Pass),
            false => (decided - failed, failed, Answer::Fail),
        };
        let set = result.conditions.clone();
        (0..same).for_each(|_| self.keep(&set, result.clone()));
        // Of attempts with another outcome only the answer is known.
        self.answers.extend((0..other).map(|_| (set.clone(), answer)));
        decided as usize
    }

    /// Suspects what the evidence of a failure points to.
    pub(super) fn read(&mut self, failed: &Arc<CaseResult>) {
        let CaseResult { outcome, evidence, causes, log, conditions, .. } = failed.as_ref();
        let suspected = suspects(&Failed { outcome: outcome.as_ref(), evidence, causes, log }, conditions);
        let mut named = suspected.iter().filter(|(_, factor)| *factor >= NAMED);
        if let (Some((condition, _)), None) = (named.next(), named.next()) {
            self.naming.push((condition.clone(), failed.clone()));
        }
        self.suspect(suspected);
    }

    /// The failures whose evidence names a single condition that no run passed with, and that condition; oldest first.
    pub(super) fn only_named(&self) -> impl Iterator<Item = &(Condition, Arc<CaseResult>)> {
        let passed = || self.results.iter().filter(|result| result.verdict == Verdict::Pass);
        self.naming.iter().filter(move |(condition, _)| !passed().any(|result| result.conditions.has(condition)))
    }

    /// Suspects conditions, each by a factor.
    pub(super) fn suspect(&mut self, suspected: Vec<Suspicion>) {
        for (condition, factor) in suspected {
            match self.suspicions.iter_mut().find(|(known, _)| *known == condition) {
                Some((_, known)) => *known = known.max(factor),
                None => self.suspicions.push((condition, factor)),
            }
        }
    }

    /// Every result, in chronological order.
    pub(super) fn results(&self) -> &[Arc<CaseResult>] {
        &self.results
    }

    /// Every answer, in chronological order.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&ConditionSet, Answer)> {
        self.answers.iter().map(|(set, answer)| (set, *answer))
    }

    /// The newest answer of a set.
    pub(super) fn last_answer(&self, set: &ConditionSet) -> Option<Answer> {
        self.answers.iter().rev().find(|(known, _)| known == set).map(|(_, answer)| *answer)
    }

    /// How often a set passed, failed, or was unresolved.
    pub(super) fn tally(&self, set: &ConditionSet) -> Tally {
        let mut tally = Tally::default();
        self.answers.iter().filter(|(known, _)| known == set).for_each(|(_, answer)| tally.add(*answer));
        tally
    }

    /// The suspected conditions.
    pub(super) fn suspicions(&self) -> &[Suspicion] {
        &self.suspicions
    }

    /// Mean seconds of failing and of passing runs.
    pub(super) fn costs(&self) -> (f64, f64) {
        let mean = |verdict: Verdict| {
            let times: Vec<f64> = self.results.iter().filter(|r| r.verdict == verdict).map(|r| r.total_ms).collect();
            if times.is_empty() {
                None
            } else {
                Some((times.iter().sum::<f64>() / times.len() as f64 / 1000.0).max(0.05))
            }
        };
        let (fails, passes) = (mean(Verdict::Fail), mean(Verdict::Pass));
        let other = fails.or(passes).unwrap_or(1.0);
        (fails.unwrap_or(other), passes.unwrap_or(other))
    }

    /// The runs that passed with all other conditions of a set, without this one. One with further conditions counts: that
    /// these prevent the failure is for the caller to exclude.
    pub(super) fn passed_without<'a>(
        &'a self,
        set: &ConditionSet,
        condition: &'a Condition,
    ) -> impl Iterator<Item = &'a CaseResult> + use<'a> {
        let part = ConditionSet::new(set.iter().filter(|other| *other != condition).cloned()).unwrap_or_default();
        self.results.iter().map(Arc::as_ref).filter(move |result| {
            result.verdict == Verdict::Pass && part.is_subset(&result.conditions) && !result.conditions.has(condition)
        })
    }

    /// The failed runs of a set, in chronological order.
    pub(super) fn failures(&self, set: &ConditionSet) -> impl DoubleEndedIterator<Item = &CaseResult> {
        self.results.iter().map(Arc::as_ref).filter(move |r| r.conditions == *set && r.verdict == Verdict::Fail)
    }

    /// The last failed run of a set.
    pub(super) fn failure(&self, set: &ConditionSet) -> Option<&CaseResult> {
        self.failures(set).next_back()
    }

    /// The smallest sets that failed so far.
    pub(super) fn smallest_failing(&self) -> Vec<ConditionSet> {
        let failing: Vec<&ConditionSet> =
            self.results.iter().filter(|r| r.verdict == Verdict::Fail).map(|r| &r.conditions).collect();
        let mut sets: Vec<ConditionSet> = minimal(&failing, ConditionSet::is_subset).into_iter().cloned().collect();
        sets.sort();
        sets.dedup();
        sets
    }

    /// The signatures of all failures, with the sets under which each was seen.
    pub(super) fn signatures(&self) -> BTreeMap<Signature, Vec<&ConditionSet>> {
        let mut all: BTreeMap<Signature, Vec<&ConditionSet>> = BTreeMap::new();
        for result in &self.results {
            if let Some(signature) = signature(result) {
                all.entry(signature).or_default().push(&result.conditions);
            }
        }
        all
    }
}
