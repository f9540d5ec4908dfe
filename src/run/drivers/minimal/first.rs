//! What is said ahead of the answer: a set as soon as its runs confirm it, and a failure that is under way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Inquiry;
use crate::diagnose::signature::signature;
use crate::event::Event;
use crate::model::answer::Told;
use crate::model::deployment::Applies;
use crate::model::{CaseResult, Condition, ConditionSet, FailureClass};
use crate::run::executor::JobId;

impl Inquiry<'_, '_> {
    /// The failure of a running set that does nothing any more.
    pub(super) fn stuck(&self, set: &ConditionSet) -> Option<Arc<CaseResult>> {
        self.running.values().filter(|run| run.conditions == *set).find_map(|run| run.stuck.clone())
    }

    /// Ends the runs that do nothing any more in the same way as one that its health check gave up, under the same conditions
    /// or some of them: they fail as that one did.
    pub(super) fn end_stuck(&mut self) {
        // One that has not opened its port yet may only be slower than the one that was given up.
        let state = |result: &CaseResult| {
            let ports: BTreeSet<u16> = result.evidence.listens.iter().map(|listening| listening.port).collect();
            (signature(result), ports)
        };
        let given_up = |stuck: &CaseResult| {
            let mut failed = self.memory.results().iter().filter(|result| result.class == Some(FailureClass::C));
            failed.any(|result| result.conditions.is_subset(&stuck.conditions) && state(result) == state(stuck))
        };
        let stuck = |(id, run): (&JobId, &super::Running)| {
            let stuck = run.stuck.as_ref().filter(|stuck| given_up(stuck))?;
            Some((*id, stuck.clone(), run.begun.elapsed()))
        };
        let ended: Vec<(JobId, Arc<CaseResult>, Duration)> = self.running.iter().filter_map(stuck).collect();
        for (id, stuck, took) in ended {
            self.running.remove(&id);
            self.conductor.cancel(id);
            let set = stuck.conditions.clone();
            let mut result = CaseResult::clone(&stuck);
            result.total_ms = (took.as_secs_f64() * 10_000.0).round() / 10.0;
            result.notes = vec!["ended early: it did nothing any more, like another run that was given up".to_owned()];
            self.keep(&set, Arc::new(result));
            self.ended.push(set);
        }
    }

    /// Says each set that its runs have confirmed since. A milder form of a limit is no set of its own.
    pub(super) fn tell_confirmed(&mut self) {
        let search = self.question.search;
        let is_searched =
            |condition: &Condition| search.conditions.contains(condition) || search.forms.contains(condition);
        for set in self.memory.smallest_failing().into_iter().filter(|set| set.iter().all(is_searched)) {
            let is_new = self.told.iter().all(|told| told.conditions != set || told.tentative);
            if is_new && self.is_confirmed(&set) && self.is_about_deployment(&set) {
                let failed = self.memory.failure(&set).cloned();
                failed.into_iter().for_each(|failed| self.tell(set.clone(), &failed, false));
            }
        }
    }

    /// Says which condition the evidence of a failure names, if it names no other and a clean start is healthy. A run of
    /// that condition alone decides.
    pub(super) fn tell_named(&mut self) {
        if !self.told.is_empty() || self.clean_start().is_none() {
            return;
        }
        // Of other forms of a condition, evidence tells less.
        let is_searched = |(named, _): &&(Condition, _)| self.question.search.conditions.contains(named);
        let Some((named, failed)) = self.memory.only_named().find(is_searched).cloned() else { return };
        let set = ConditionSet::new([named]).unwrap_or_default();
        if self.is_about_deployment(&set) {
            self.tell(set, &failed, true);
        }
    }

    /// Says how a baseline that does nothing any more will fail.
    pub(super) fn tell_stuck(&mut self, set: &ConditionSet) {
        let Some(stuck) = self.stuck(set).filter(|_| set.is_empty() && self.told.is_empty()) else { return };
        if self.is_about_deployment(set) {
            self.tell(set.clone(), &stuck, true);
        }
    }

    fn tell(&mut self, conditions: ConditionSet, failed: &CaseResult, tentative: bool) {
        let causes = self.not_contradicted(failed, failed.causes.clone());
        let told = Told {
            conditions,
            outcome: failed.outcome.clone(),
            exit_code: failed.exit_code,
            cause: causes.first().map(|cause| cause.text.clone()),
            tentative,
            runs: self.restored + self.conductor.runs() - self.runs_before,
            seconds: (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        };
        self.told.push(told.clone());
        self.conductor.stamp(Event::SearchTold { id: self.question.search.id.clone(), told });
    }

    /// Whether a set fails whenever it was run, and passes without each of its conditions. An image that fails always is
    /// confirmed by its second failure, unless that rests on answers that are made up.
    fn is_confirmed(&self, set: &ConditionSet) -> bool {
        let tally = self.memory.tally(set);
        if set.is_empty() {
            let is_settled = tally.fails >= 2 && self.made_up_servers().is_empty();
            return is_settled && tally.passes == 0;
        }
        let is_healthy_alone = set.iter().count() == 1 && self.provisional.is_some();
        let passes_without = |condition: &Condition| {
            // What else was imposed must not have prevented the failure.
            let is_plain = |result: &CaseResult| result.conditions.iter().all(|c| set.has(c) || !c.changes_program());
            is_healthy_alone || self.memory.passed_without(set, condition).any(is_plain)
        };
        tally.fails > 0 && tally.passes == 0 && set.iter().all(passes_without)
    }

    /// Whether a set may be what the deployment shows: files speak for all of it, and the log does not speak against it.
    /// True if the search is about no deployment.
    fn is_about_deployment(&self, set: &ConditionSet) -> bool {
        let Some(deployment) = self.deployment().filter(|deployment| deployment.is_told) else { return true };
        let standing = self.standing(deployment);
        let may_have_applied = |condition: &Condition| {
            let ground = standing.iter().find(|of| of.condition == *condition).map(|of| &of.ground);
            ground.is_some_and(|ground| ground.is == Applies::InForce || ground.is_hinted())
        };
        let differs = deployment.seen.as_ref().is_some_and(|seen| self.fails_otherwise(seen, set));
        set.iter().all(may_have_applied) && !differs
    }

    /// Whether the first answer is enough, and there is one.
    pub(super) fn is_answered(&self) -> bool {
        self.question.search.quick && self.told.iter().any(|told| !told.tentative)
    }
}
