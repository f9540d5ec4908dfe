//! The searches of a plan for minimal failing sets, one after the other. What they run becomes cases of the run.

use std::collections::VecDeque;
use std::sync::Arc;

use super::minimal::{self, Question};
use super::{BROKEN, add_step, fail_fast, is_unexpected, ran};
use crate::event::Event;
use crate::model::answer::Answer;
use crate::model::search::{Search, SearchReport};
use crate::model::{Case, CaseId, ConditionSet, Plan};
use crate::run::conductor::{AtDeadline, Conductor, Heard, OUT_OF_TIME};
use crate::run::schedule::How;

/// Makes the searches that an earlier run has not made.
pub(super) async fn run(conductor: &mut Conductor<'_>, plan: &Plan, how: &How) {
    let deadline = how.budget.map(|budget| conductor.recorder.begun() + budget);
    conductor.until(deadline, AtDeadline::Abort);
    let mut left: VecDeque<&Search> = plan.searches.iter().collect();
    left.retain(|search| !conductor.recorder.run.searches.contains_key(&search.id));
    // A run that is nothing but a search answers whatever time it has.
    let mut must_answer = plan.cases.is_empty();
    while let Some(search) = left.pop_front() {
        if conductor.is_stopping() && !std::mem::take(&mut must_answer) {
            left.push_front(search);
            break;
        }
        one(conductor, plan, how, search).await;
    }
    if left.is_empty() {
        return;
    }
    conductor.drain(OUT_OF_TIME);
    let because = conductor.stopped().unwrap_or_default().to_owned();
    for search in left {
        conductor.stamp(Event::SearchNotRun { id: search.id.clone(), because: because.clone() });
        not_run(conductor, plan, search, &because);
    }
}

async fn one(conductor: &mut Conductor<'_>, plan: &Plan, how: &How, search: &Search) {
    let Some(candidate) = plan.candidate_of(&search.image) else {
        // A plan is made from its candidates.
        unreachable!("{} has no candidate", search.id)
    };
    let mut service = plan.parts[search.part].service.clone();
    // Requests after healthy are not part of the question.
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
        not_run(conductor, plan, search, because);
    }
    conductor.stamp(Event::SearchFinished { report: report.clone() });
    if how.fail_fast
        && cut.is_none()
        && let Some(judged) = report.judged.iter().find(|judged| is_unexpected(conductor, &judged.case))
    {
        fail_fast(conductor, &judged.case);
    }
}

/// Runs the sets that the search did not need to run, and that have to have a result of their own: those that the answer
/// names, and those that the scenario expects something of.
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
    while let Some(heard) = conductor.next().await {
        match heard {
            Heard::Finished(_, result) => ran(conductor, question.plan, &Arc::from(result)),
            Heard::Broken(_) => conductor.drain(BROKEN),
            Heard::Phase(..) | Heard::Provisional(_) | Heard::Stopped(_) => {}
        }
    }
}

/// Tells which cases of a search have no result: those that were planned, and those that it ended in.
fn not_run(conductor: &mut Conductor<'_>, plan: &Plan, search: &Search, because: &str) {
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
