//! Finds the first bad image of an ordered list. The search's questions become jobs, their results answers.

mod answer;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{BROKEN, add, ran};
use crate::diagnose::signature::{Signature, signature};
use crate::event::{Attempts, Event};
use crate::model::change::ImageChange;
use crate::model::search::Bisect;
use crate::model::verdicts::Verdicts;
use crate::model::{Case, CaseResult, Plan, Service, Verdict};
use crate::run::compare::change;
use crate::run::conductor::{AtDeadline, Conductor, RunnerEvent};
use crate::run::executor::{Job, JobId};
use crate::run::schedule::How;
use crate::search::noise::{Answer, Noise, Tally};
use crate::search::versions::{Culprit, Settings, Versions};

/// Default confidence of the answer when the failure is flaky.
const CONFIDENCE: f64 = 0.99;
/// Maximum number of attempts at an image that is unresolved.
const TRIES: usize = 2;

/// The newest image's failure, when the first bad image fails in another way, and where it begins.
struct NewestFailure {
    signature: Signature,
    culprit: Culprit,
}

/// A running bisection.
struct Bisection<'a, 'c> {
    plan: &'a Plan,
    bisect: &'a Bisect,
    service: Arc<Service>,
    conductor: &'a mut Conductor<'c>,
    /// The images of the jobs.
    running: BTreeMap<JobId, usize>,
    /// Every result of each image.
    results: Vec<Vec<Arc<CaseResult>>>,
    begun: Instant,
}

/// Finds the first bad image, or judges the only one.
pub(super) async fn run(conductor: &mut Conductor<'_>, plan: &Plan, how: &How) {
    let Some(bisect) = &plan.bisect else { return };
    let deadline = how.budget.map(|budget| conductor.recorder.begun() + budget);
    conductor.until(deadline, AtDeadline::Abort);
    let mut bisection = Bisection::new(conductor, plan, bisect);
    let verdicts = if bisect.judges { bisection.judge().await } else { bisection.bisect().await };
    conductor.stamp(Event::BisectFinished { verdicts: Arc::new(verdicts) });
}

/// What a result says about its image, whatever the failure's signature.
fn verdict_reply(result: &CaseResult) -> Vec<Answer> {
    vec![match result.verdict {
        Verdict::Pass => Answer::Pass,
        Verdict::Fail => Answer::Fail,
        Verdict::Unresolved => Answer::Unresolved,
    }]
}

impl<'a, 'c> Bisection<'a, 'c> {
    fn new(conductor: &'a mut Conductor<'c>, plan: &'a Plan, bisect: &'a Bisect) -> Self {
        let mut service = plan.parts[0].service.clone();
        // The search is about becoming healthy, not about requests afterwards.
        service.checks.clear();
        let mut bisection = Self {
            plan,
            bisect,
            service: Arc::new(service),
            conductor,
            running: BTreeMap::new(),
            results: vec![Vec::new(); plan.candidates.len()],
            begun: Instant::now(),
        };
        bisection.results = (0..plan.candidates.len()).map(|version| bisection.known(version)).collect();
        bisection
    }

    /// The results of an image from the run that is resumed.
    fn known(&self, version: usize) -> Vec<Arc<CaseResult>> {
        let known = self.conductor.recorder.run.finished(&self.case(version).id);
        let times = |result: &CaseResult, attempts: &Attempts| match (attempts.is_single(), result.verdict) {
            (true, _) => 1,
            (false, Verdict::Fail) => attempts.failed as usize,
            (false, _) => (attempts.decided - attempts.failed) as usize,
        };
        let repeated = |(result, attempts)| std::iter::repeat_n(Arc::clone(&result), times(&result, &attempts));
        known.into_iter().flat_map(repeated).collect()
    }

    async fn bisect(&mut self) -> Verdicts {
        let may_be_flaky = self.bisect.confidence.is_some();
        let noise = if may_be_flaky { Noise::unknown(0.5) } else { Noise::none() };
        let mut machine = self.machine(noise, &verdict_reply);
        self.search(&mut machine, &verdict_reply).await;
        if !may_be_flaky {
            self.confirm(machine.culprit()).await;
            machine = self.machine(Noise::none(), &verdict_reply);
            if self.is_flaky() {
                self.report_activity("the failure is flaky: running more often");
                machine = self.machine(Noise::unknown(1.0), &verdict_reply);
                self.search(&mut machine, &verdict_reply).await;
            }
        }
        let culprit = machine.culprit();
        let newest_failure = self.newest_failure(culprit).await;
        let change = self.change(culprit).await;
        // The posterior if answers may be wrong, else the confidence in two answers that agree.
        let may_be_flaky = may_be_flaky || self.is_flaky();
        let confidence = if may_be_flaky { machine.confidence() } else { self.agreement_confidence(culprit) };
        self.finish(culprit, confidence, newest_failure, change)
    }

    /// Judges one image, for `git bisect run`.
    async fn judge(&mut self) -> Verdicts {
        for _ in 0..TRIES {
            if !self.conductor.is_stopping() && self.tally(0).decisive() == 0 {
                self.start(0);
                self.next_result().await;
            }
        }
        self.judged()
    }

    fn report_activity(&mut self, what: &str) {
        let (id, doing) = (self.bisect.id.clone(), what.to_owned());
        self.conductor.stamp(Event::SearchProgress { id, doing, found: Vec::new() });
    }

    /// A search that knows all answers so far.
    fn machine(&self, noise: Noise, says: &dyn Fn(&CaseResult) -> Vec<Answer>) -> Versions {
        let confidence = self.bisect.confidence.unwrap_or(CONFIDENCE);
        let mut machine = Versions::new(self.plan.candidates.len(), Settings { noise, confidence });
        self.teach(&mut machine, says);
        machine
    }

    fn teach(&self, machine: &mut Versions, says: &dyn Fn(&CaseResult) -> Vec<Answer>) {
        for (version, results) in self.results.iter().enumerate() {
            for answer in results.iter().flat_map(|result| says(result)) {
                machine.record(version, answer);
            }
        }
    }

    /// Runs what the search wants until it wants no more.
    async fn search(&mut self, machine: &mut Versions, says: &dyn Fn(&CaseResult) -> Vec<Answer>) {
        loop {
            if !self.conductor.is_stopping() {
                let running: Vec<usize> = self.running.values().copied().collect();
                for version in machine.next(self.conductor.free(), &running) {
                    self.start(version);
                }
            }
            let Some(version) = self.next_result().await else { break };
            for answer in self.results[version].last().map(|result| says(result)).unwrap_or_default() {
                machine.record(version, answer);
            }
        }
    }

    /// Runs again the images that the answer rests on, which reveals a flaky failure.
    async fn confirm(&mut self, culprit: Culprit) {
        let newest = self.results.len() - 1;
        let mut again = match culprit {
            Culprit::First(first) => vec![first, first - 1],
            Culprit::AnyOf(first, last) => [Some(last), first.checked_sub(1)].into_iter().flatten().collect(),
            Culprit::AllBad => vec![0],
            Culprit::NoneBad => vec![newest],
            Culprit::Unknown => Vec::new(),
        };
        self.report_activity("confirming the answer");
        while !again.is_empty() || !self.running.is_empty() {
            while self.conductor.free() > 0 {
                let Some(version) = again.pop() else { break };
                self.start(version);
            }
            if self.next_result().await.is_none() {
                break;
            }
        }
    }

    /// Finds where the newest image's failure begins, if the first bad image fails in another way. Earlier runs are
    /// reused; an image that fails in a third way is no answer.
    async fn newest_failure(&mut self, culprit: Culprit) -> Option<NewestFailure> {
        let (Culprit::First(bad) | Culprit::AnyOf(_, bad)) = culprit else { return None };
        let wanted = self.signature(self.results.len() - 1)?;
        if self.signature(bad)? == wanted {
            return None;
        }
        let says = |result: &CaseResult| match signature(result) {
            Some(found) if found == wanted => vec![Answer::Fail],
            // As often as it would be tried: it would fail that way again.
            Some(_) => vec![Answer::Unresolved; TRIES],
            None => verdict_reply(result),
        };
        self.report_activity("the newest image fails in another way: finding where that begins");
        let noise = if self.is_flaky() { Noise::unknown(1.0) } else { Noise::none() };
        let mut machine = self.machine(noise, &says);
        self.search(&mut machine, &says).await;
        Some(NewestFailure { culprit: machine.culprit(), signature: wanted })
    }

    /// What changed from the last good image to the first known bad one.
    async fn change(&mut self, culprit: Culprit) -> ImageChange {
        let (first, last) = match culprit {
            Culprit::First(first) => (first, first),
            Culprit::AnyOf(first, last) => (first, last),
            Culprit::AllBad | Culprit::NoneBad | Culprit::Unknown => return ImageChange::default(),
        };
        let Some(good) = first.checked_sub(1) else { return ImageChange::default() };
        let not_compared = |why: &str| ImageChange { note: Some(why.to_owned()), ..ImageChange::default() };
        if let Some(why) = self.stopped() {
            return not_compared(&format!("the images were not compared: {why}"));
        }
        self.report_activity("comparing the two images");
        let facts = |version: usize| &self.plan.candidates[version].facts;
        let context = self.conductor.context.clone();
        let labels = context.session.labels("compared");
        let compared = change(context.engine.as_ref(), &labels, facts(good), facts(last), &self.service.secrets);
        match self.conductor.unless_stopped(compared).await {
            Some(Ok(change)) => change,
            Some(Err(e)) => not_compared(&format!("cannot compare the images: {e}")),
            None => not_compared("the images were not compared: the run stopped early"),
        }
    }

    /// The case of an image.
    fn case(&self, version: usize) -> Case {
        let image = &self.plan.candidates[version].facts.reference;
        Case {
            search: Some(self.bisect.id.clone()),
            place: version,
            ..Case::new(image, self.bisect.conditions.clone())
        }
    }

    fn start(&mut self, version: usize) {
        let (candidate, service) = (self.plan.candidates[version].clone(), self.service.clone());
        let case = self.case(version);
        add(self.conductor, self.plan, case.clone());
        let id = self.conductor.start(Job { candidate, service, case, provisional: false, again: false, lease: None });
        self.running.insert(id, version);
    }

    /// Waits for the next result and records it; `None` when no job runs.
    async fn next_result(&mut self) -> Option<usize> {
        loop {
            match self.conductor.next().await {
                Some(RunnerEvent::Finished(id, result)) => {
                    let Some(version) = self.running.remove(&id) else { continue };
                    let result = Arc::from(result);
                    ran(self.conductor, self.plan, &result);
                    self.results[version].push(result);
                    return Some(version);
                }
                Some(RunnerEvent::Broken(id)) => {
                    self.running.remove(&id);
                    self.conductor.drain(BROKEN);
                }
                Some(RunnerEvent::Stopped(left)) => self.running.retain(|id, _| !left.contains(id)),
                Some(RunnerEvent::Phase(..) | RunnerEvent::Provisional(..)) => {}
                None => {
                    self.running.clear();
                    return None;
                }
            }
        }
    }

    /// Why the run stopped before the answer was found.
    fn stopped(&self) -> Option<String> {
        self.conductor.stopped().map(ToOwned::to_owned)
    }

    fn tally(&self, version: usize) -> Tally {
        let mut tally = Tally::default();
        self.results[version].iter().flat_map(|result| verdict_reply(result)).for_each(|answer| tally.add(answer));
        tally
    }

    fn is_flaky(&self) -> bool {
        (0..self.results.len()).map(|version| self.tally(version)).any(|tally| tally.passes > 0 && tally.fails > 0)
    }

    /// How an image fails.
    fn signature(&self, version: usize) -> Option<Signature> {
        self.results[version].iter().rev().find_map(|result| signature(result))
    }
}
