//! Runs the cases of a plan, the longest first, each as often as asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finished;
use crate::event::{Attempts, Event};
use crate::model::{CaseResult, Plan, Verdict};
use crate::run::conductor::{Conductor, RunnerEvent};
use crate::run::executor::{Job, JobId};
use crate::run::schedule::{How, estimate};

/// The attempts at a case so far, and the result that counts.
#[derive(Default)]
struct CaseAttempts {
    best: Option<Box<CaseResult>>,
    attempts: Attempts,
}

impl CaseAttempts {
    fn add(&mut self, result: Box<CaseResult>, unexpected: bool, better: impl Fn(&CaseResult) -> bool) {
        self.attempts.count(&result, unexpected);
        if self.best.as_ref().is_none_or(|best| better(best)) {
            self.best = Some(result);
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.attempts.outcomes.len()).unwrap_or(u32::MAX)
    }
}

/// The running cases of a plan.
struct Matrix<'a, 'c> {
    conductor: &'a mut Conductor<'c>,
    plan: &'a Plan,
    how: &'a How,
    /// The cases of the jobs, as indexes into the plan.
    jobs: BTreeMap<JobId, usize>,
    attempts: BTreeMap<usize, CaseAttempts>,
}

/// Runs the cases of a plan, except those with a result and those that a search runs.
pub(in crate::run) async fn run(conductor: &mut Conductor<'_>, plan: &Plan, how: &How) {
    let done: Vec<_> = conductor.recorder.run.results.keys().cloned().collect();
    let mut order: Vec<usize> =
        (0..plan.cases.len()).filter(|n| !plan.cases[*n].is_searched() && !done.contains(&plan.cases[*n].id)).collect();
    let length = |n: &usize| estimate(&plan.cases[*n].conditions).0;
    order.sort_by(|a, b| length(b).total_cmp(&length(a)));
    let mut matrix = Matrix { conductor, plan, how, jobs: BTreeMap::new(), attempts: BTreeMap::new() };
    order.into_iter().for_each(|index| matrix.start(index));
    while let Some(event) = matrix.conductor.next().await {
        match event {
            RunnerEvent::Finished(id, result) => {
                if let Some(index) = matrix.jobs.remove(&id) {
                    matrix.finish_attempt(index, result);
                }
            }
            RunnerEvent::Broken(id) => {
                if let Some(index) = matrix.jobs.remove(&id) {
                    matrix.give_up(index);
                }
            }
            RunnerEvent::Stopped(left) => matrix.stop(&left),
            RunnerEvent::Phase(..) | RunnerEvent::Provisional(..) => {}
        }
    }
    // Cases whose last attempt was aborted.
    for index in matrix.attempts.keys().copied().collect::<Vec<_>>() {
        matrix.give_up(index);
    }
}

impl Matrix<'_, '_> {
    fn start(&mut self, index: usize) {
        let case = &self.plan.cases[index];
        let Some(candidate) = self.plan.candidate(case) else {
            // A plan is made from its candidates.
            unreachable!("{} has no candidate", case.id)
        };
        let service = Arc::new(self.plan.part(case).service.clone());
        let again = self.attempts.contains_key(&index);
        let job =
            Job { candidate: candidate.clone(), service, case: case.clone(), provisional: false, again, lease: None };
        self.jobs.insert(self.conductor.start(job), index);
    }

    /// Records an attempt. Starts the next one, or reports the case's result.
    fn finish_attempt(&mut self, index: usize, result: Box<CaseResult>) {
        let case = &self.plan.cases[index];
        let repeat = self.how.repeat.max(case.repeat);
        let fails = result.verdict == Verdict::Fail;
        let expected = case.expect.as_ref().map_or(result.verdict == Verdict::Pass, |expect| expect.met(&result));
        let decided = result.verdict != Verdict::Unresolved;
        let may_help = !expected && result.skipped.is_none();
        let case_attempts = self.attempts.entry(index).or_default();
        let wanted;
        if repeat > 1 {
            // One failure fails the case.
            let better =
                |best: &CaseResult| (fails && best.verdict != Verdict::Fail) || best.verdict == Verdict::Unresolved;
            case_attempts.add(result, !expected, better);
            wanted = case_attempts.count() < repeat;
            if wanted && self.conductor.stopped().is_none() {
                return self.start(index);
            }
        } else {
            // An expected result counts, else the first one that is not unresolved.
            let better = |best: &CaseResult| expected || (decided && best.verdict == Verdict::Unresolved);
            case_attempts.add(result, !expected, better);
            wanted = may_help && case_attempts.count() <= self.how.retries;
            if wanted && self.conductor.stopped().is_none() {
                let because = case_attempts.attempts.outcomes.last().cloned().unwrap_or_default();
                let (id, attempt) = (case.id.clone(), case_attempts.count() + 1);
                self.conductor.stamp(Event::CaseRetrying { id, attempt, because });
                return self.start(index);
            }
        }
        self.finish_case(index, wanted);
    }

    /// Reports a case's result; false when it has none.
    fn finish_case(&mut self, index: usize, cut_short: bool) -> bool {
        let Some(CaseAttempts { best: Some(result), attempts }) = self.attempts.remove(&index) else { return false };
        finished(self.conductor, self.how, Arc::from(result), Attempts { cut_short, ..attempts });
        true
    }

    /// Ends the attempts at a case, so that its result so far counts; false when it has none.
    fn give_up(&mut self, index: usize) -> bool {
        self.finish_case(index, true)
    }

    fn stop(&mut self, left: &[JobId]) {
        let because = self.conductor.stopped().unwrap_or_default().to_owned();
        let mut left: Vec<usize> = left.iter().filter_map(|id| self.jobs.remove(id)).collect();
        left.sort_unstable();
        for index in left {
            if !self.give_up(index) {
                let id = self.plan.cases[index].id.clone();
                self.conductor.stamp(Event::CaseNotRun { id, because: because.clone() });
            }
        }
    }
}
