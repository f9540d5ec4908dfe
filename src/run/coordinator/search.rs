//! The searches of a run: one after the other, when its cases are done. What they run becomes cases of the run.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Conductor, Interrupts, planned, until};
use crate::event::{Event, Stamped, Standing};
use crate::model::search::{Search, SearchReport};
use crate::model::{Case, CaseId, CaseResult, ConditionSet, Verdict};
use crate::run::case::Context;
use crate::run::runner::{Heard, Order, Runner};
use crate::run::schedule::Room;
use crate::run::why::{Question, Step, why};

/// How sure the answer of a search must be, as of `why` where nothing is said.
const CONFIDENCE: f64 = 0.99;
/// Why no other search is begun.
const INTERRUPTED: &str = "the run was interrupted";
const NO_TIME: &str = "the time that --budget gives was up";

/// With what searches are made.
pub(super) struct With {
    pub context: Arc<Context>,
    pub room: Room,
    pub deadline: Option<Instant>,
    pub interrupts: Interrupts,
}

/// What is left to be said of a run whose searches were made.
#[derive(Default)]
pub(super) struct Ended {
    pub interrupted: u32,
    pub broken: usize,
    pub cut: bool,
}

impl<R: FnMut(&Stamped)> Conductor<'_, R> {
    /// Makes the searches that are left.
    pub(super) async fn search(&mut self, with: &With) -> Ended {
        let mut ended = Ended::default();
        while let Some(search) = self.searches.pop_front() {
            if with.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.searches.push_front(search);
                self.drain(NO_TIME);
                break;
            }
            self.one_search(search, with, &mut ended).await;
        }
        ended
    }

    async fn one_search(&mut self, search: &Search, with: &With, ended: &mut Ended) {
        let plan = self.plan;
        let Some(candidate) = plan.candidate_of(&search.image) else {
            // A plan is made from its candidates.
            unreachable!("{} has no candidate", search.id)
        };
        let mut service = plan.parts[search.part].service.clone();
        // Requests after healthy are no part of the question.
        service.checks.clear();
        let question = Question {
            candidate: candidate.clone(),
            service,
            battery: search.conditions.clone(),
            variants: Vec::new(),
            rates: None,
            confidence: CONFIDENCE,
            budget: with.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
            room: with.room,
            by_hand: Vec::new(),
        };
        self.stamp(Event::SearchStarted { id: search.id.clone() });
        let mut tell = |step: Step<'_>| self.step(search, &step);
        let explained = why(with.context.clone(), &question, with.interrupts.clone(), &mut tell).await;
        let (mut answer, mut cut) = (explained.answer, explained.cut);
        ended.broken += explained.broken;
        ended.interrupted = ended.interrupted.max(explained.interrupted);
        for set in &mut answer.minimal_sets {
            set.case = self.id_of(search, &set.conditions);
            set.repro = format!("exitone repro {}", set.case);
        }
        // What something is said of, and what was judged without a run, must have a result of its own.
        let smallest = answer.minimal_sets.iter().map(|set| set.conditions.clone());
        let named = plan.named(search).map(|case| case.conditions.clone());
        let mut missing: VecDeque<ConditionSet> = smallest.chain(named).filter(|set| !set.is_empty()).collect();
        missing.retain(|set| !self.run.results.contains_key(&self.id_of(search, set)));
        if !cut {
            cut = self.missing(search, &question, missing, with, ended).await;
        }
        ended.cut |= cut;
        let named: Vec<&Case> = plan.named(search).collect();
        let scenario = plan.parts[search.part].scenario.as_deref();
        let report = SearchReport::of(search, scenario, &named, (answer, cut), &self.run.results);
        let report = Arc::new(report);
        if cut {
            let because = match (ended.broken, ended.interrupted) {
                (1.., _) => "a case broke off",
                (0, 1..) => INTERRUPTED,
                (0, 0) => NO_TIME,
            };
            self.not_run(search, because);
            self.stamp(Event::SearchFinished { report });
            self.drain(because);
            return;
        }
        self.stamp(Event::SearchFinished { report: report.clone() });
        let is_bad = |id: &&CaseId| self.run.entry(id).is_some_and(|entry| entry.standing == Standing::Unexpected);
        if self.fail_fast
            && let Some(id) = report.judged.iter().map(|judged| &judged.case).find(is_bad)
        {
            self.drain(&format!("--fail-fast: {id} did not come out as expected"));
        }
    }

    /// Runs sets that the search had no need of; true when they were not all run.
    async fn missing(
        &mut self,
        search: &Search,
        question: &Question,
        mut sets: VecDeque<ConditionSet>,
        with: &With,
        ended: &mut Ended,
    ) -> bool {
        let service = Arc::new(question.service.clone());
        let mut runner: Runner<ConditionSet> = Runner::new(with.context.clone(), service, with.room);
        let mut interrupts = with.interrupts.clone();
        loop {
            while runner.free() > 0
                && let Some(set) = sets.pop_front()
            {
                self.step(search, &Step::Begun(&set));
                runner.start(Order {
                    tag: set.clone(),
                    candidate: question.candidate.clone(),
                    conditions: set,
                    so_far: false,
                });
            }
            if runner.is_idle() {
                return false;
            }
            tokio::select! {
                biased;
                heard = runner.next() => match heard {
                    Some(Heard::Phase(set, phase)) => self.step(search, &Step::Phase(&set, phase)),
                    Some(Heard::Result(_, result)) => self.step(search, &Step::Result(&result)),
                    Some(Heard::Healthy(_)) | None => {}
                    Some(Heard::Broken) => {
                        ended.broken += 1;
                        break;
                    }
                },
                () = until(with.deadline) => break,
                Ok(()) = interrupts.changed() => {
                    ended.interrupted = *interrupts.borrow_and_update();
                    break;
                }
            }
        }
        runner.stop().await;
        true
    }

    /// The id of a set: of its planned case, else one that the search gives.
    fn id_of(&self, search: &Search, set: &ConditionSet) -> CaseId {
        let of_search = |case: &&Case| case.search.as_ref() == Some(&search.id) && case.conditions == *set;
        self.plan.cases.iter().find(of_search).map_or_else(|| search.case_id(set), |case| case.id.clone())
    }

    /// Takes note of a step of a search.
    fn step(&mut self, search: &Search, step: &Step<'_>) {
        match step {
            // The baseline is a case of its own, which was run before.
            Step::Begun(set) | Step::Phase(set, _) if set.is_empty() => {}
            Step::Begun(set) => {
                let id = self.id_of(search, set);
                self.add(search, &id, set);
                let conditions = (*set).clone();
                self.stamp(Event::CaseStarted { id, image: search.image.clone(), conditions });
            }
            Step::Phase(set, phase) => {
                let id = self.id_of(search, set);
                self.stamp(Event::CasePhase { id, phase: *phase });
            }
            Step::Result(result) => self.ran(search, result),
            Step::Doing(_) | Step::Found(_) => {}
        }
    }

    /// Says that a case belongs to the run, when that is new.
    fn add(&mut self, search: &Search, id: &CaseId, set: &ConditionSet) {
        if self.added.iter().any(|(_, known)| known == id) || self.plan.cases.iter().any(|case| case.id == *id) {
            return;
        }
        let case = Case {
            id: id.clone(),
            part: search.part,
            place: search.place + self.added.iter().filter(|(of, _)| *of == search.id).count(),
            search: Some(search.id.clone()),
            ..Case::new(&search.image, set.clone())
        };
        self.added.push((search.id.clone(), id.clone()));
        self.stamp(Event::CaseAdded { planned: planned(self.plan, &case) });
    }

    /// Tells of a run. A set that is run several times has failed when it fails once.
    fn ran(&mut self, search: &Search, result: &CaseResult) {
        let id = self.id_of(search, &result.conditions);
        let before = self.run.results.get(&id).cloned();
        let of_baseline = result.conditions.is_empty();
        // The baseline has a result already, which stands unless it fails now.
        if of_baseline && before.as_ref().is_some_and(|r| r.verdict != Verdict::Pass || result.verdict != Verdict::Fail)
        {
            return;
        }
        let mut attempts = self.run.attempts.get(&id).cloned().unwrap_or_default();
        if let Some(before) = before.as_ref().filter(|_| attempts.outcomes.is_empty()) {
            attempts.count(before, false);
        }
        attempts.count(result, false);
        let stands = before
            .filter(|r| r.verdict == Verdict::Fail || (r.verdict == Verdict::Pass && result.verdict != Verdict::Fail));
        let result = stands.unwrap_or_else(|| Arc::new(CaseResult { id, ..result.clone() }));
        match of_baseline {
            true => self.finished(result, attempts),
            false => self.emit(result, attempts),
        }
    }

    /// Cases of a search that have no result: those that were planned, and those that it was ended in.
    pub(super) fn not_run(&mut self, search: &Search, because: &str) {
        let added = self.added.iter().filter(|(of, _)| *of == search.id).map(|(_, id)| id);
        let known = self.plan.named(search).map(|case| &case.id).chain(added);
        let left: Vec<CaseId> = known.filter(|id| !self.run.results.contains_key(*id)).cloned().collect();
        for id in left {
            self.stamp(Event::CaseNotRun { id, because: because.to_owned() });
        }
    }
}
