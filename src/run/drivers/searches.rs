//! Runs a plan's searches for minimal failing sets, one after the other. Their runs become cases of the run.

use std::collections::VecDeque;
use std::sync::Arc;

use super::minimal::{self, Question};
use super::{BROKEN, add_step, fail_fast, is_unexpected, ran};
use crate::event::Event;
use crate::model::answer::Answer;
use crate::model::search::{Search, SearchReport};
use crate::model::{Case, CaseId, ConditionSet, Plan};
use crate::run::conductor::{AtDeadline, Conductor, OUT_OF_TIME, RunnerEvent};
use crate::run::schedule::How;

/// Runs the searches that an earlier run has not finished.
pub(super) async fn run(conductor: &mut Conductor<'_>, plan: &Plan, how: &How) {
    let deadline = how.budget.map(|budget| conductor.recorder.begun() + budget);
    conductor.until(deadline, AtDeadline::Abort);
    let mut left: VecDeque<&Search> = plan.searches.iter().collect();
    left.retain(|search| !conductor.recorder.run.searches.contains_key(&search.id));
    // A run that consists of searches only always answers, even without time left.
    let mut must_answer = plan.cases.is_empty();
    while let Some(search) = left.pop_front() {
        if conductor.is_stopping() && !std::mem::take(&mut must_answer) {
            left.push_front(search);
            break;
        }
        run_search(conductor, plan, how, search).await;
    }
    if left.is_empty() {
        return;
    }
    conductor.drain(OUT_OF_TIME);
    let because = conductor.stopped().unwrap_or_default().to_owned();
    for search in left {
        conductor.stamp(Event::SearchNotRun { id: search.id.clone(), because: because.clone() });
        report_not_run(conductor, plan, search, &because);
    }
}

async fn run_search(conductor: &mut Conductor<'_>, plan: &Plan, how: &How, search: &Search) {
    let Some(candidate) = plan.candidate_of(&search.image) else {
        // A plan is made from its candidates.
        unreachable!("{} has no candidate", search.id)
    };
    let mut service = plan.parts[search.part].service.clone();
    // The search is about becoming healthy, not about requests afterwards.
    service.checks.clear();
    let question = Question { plan, search, candidate: candidate.clone(), service: Arc::new(service) };
    conductor.stamp(Event::SearchStarted { id: search.id.clone() });
    let answer = minimal::search(conductor, &question).await;
    if conductor.stopped().is_none() {
        run_missing(conductor, &question, &answer).await;
    }
    let cut = conductor.stopped().map(ToOwned::to_owned);
    let named: Vec<&Case> = plan.named(search).collect();
    let scenario = plan.parts[search.part].scenario.as_deref();
    let results = &conductor.recorder.run.results;
    let report = Arc::new(SearchReport::of(search, scenario, &named, (answer, cut.is_some()), results));
    if let Some(because) = &cut {
        report_not_run(conductor, plan, search, because);
    }
    conductor.stamp(Event::SearchFinished { report: report.clone() });
    if how.fail_fast
        && cut.is_none()
        && let Some(judged) = report.judged.iter().find(|judged| is_unexpected(conductor, &judged.case))
    {
        fail_fast(conductor, &judged.case);
    }
}

/// Runs the sets that need a result but that the search did not have to run: those in the answer, and those that the
/// scenario has expectations for.
async fn run_missing(conductor: &mut Conductor<'_>, question: &Question<'_>, answer: &Answer) {
    let smallest = answer.minimal_sets.iter().map(|set| set.conditions.clone());
    let named = question.plan.named(question.search).map(|case| case.conditions.clone());
    let mut missing: Vec<ConditionSet> = smallest.chain(named).filter(|set| !set.is_empty()).collect();
    missing.retain(|set| !conductor.recorder.run.results.contains_key(&question.id_of(set)));
    for set in missing {
        let job = question.job(&set, false);
        add_step(conductor, question.plan, question.search, &job.case);
        conductor.start(job);
    }
    while let Some(event) = conductor.next().await {
        match event {
            RunnerEvent::Finished(_, result) => ran(conductor, question.plan, &Arc::from(result)),
            RunnerEvent::Broken(_) => conductor.drain(BROKEN),
            RunnerEvent::Phase(..) | RunnerEvent::Provisional(..) | RunnerEvent::Stopped(_) => {}
        }
    }
}

/// Reports the cases of a search that have no result, whether planned or added by the search.
fn report_not_run(conductor: &mut Conductor<'_>, plan: &Plan, search: &Search, because: &str) {
    let run = &conductor.recorder.run;
    let added = run.header.cases.iter().filter(|case| case.search.as_ref() == Some(&search.id)).map(|case| &case.id);
    let planned = plan.named(search).map(|case| &case.id);
    let mut left: Vec<CaseId> = planned.chain(added).filter(|id| !run.results.contains_key(*id)).cloned().collect();
    let mut known = std::collections::BTreeSet::new();
    left.retain(|id| known.insert(id.clone()));
    for id in left {
        conductor.stamp(Event::CaseNotRun { id, because: because.to_owned() });
    }
}
