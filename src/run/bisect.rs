//! Which image of an ordered list is the first bad one? The search's questions become cases, their results answers.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::case::Context;
use super::compare::change;
use super::coordinator::Interrupts;
use super::runner::{Heard, Order, Runner};
use super::schedule::Room;
use crate::diagnose::signature::{Signature, signature};
use crate::model::change::ImageChange;
use crate::model::outcome::Phase;
use crate::model::verdicts::Verdicts;
use crate::model::{Candidate, CaseResult, ConditionSet, Service, Verdict};
use crate::search::noise::{Answer, Noise, Tally};
use crate::search::versions::{Culprit, Settings, Versions};

/// How sure the answer is when nothing else is asked for and the failure comes only sometimes.
const CONFIDENCE: f64 = 0.99;
/// An image that says nothing is tried so often.
const TRIES: usize = 2;

/// What is asked.
pub struct Question {
    /// The images, the oldest first.
    pub candidates: Vec<Candidate>,
    /// What the platform is told; without requests after healthy.
    pub service: Service,
    /// What every image is run under.
    pub conditions: ConditionSet,
    /// How sure the answer must be, from the first run on; nothing: single answers are believed until they differ.
    pub confidence: Option<f64>,
    /// When to stop, whatever is known then.
    pub budget: Option<Duration>,
    /// How many cases there is room for.
    pub room: Room,
}

/// What a listener hears while it goes on. Images are counted from 0, the oldest.
pub enum Step<'a> {
    /// A case begins.
    Begun(usize),
    /// A case reached a phase.
    Phase(usize, Phase),
    /// A case is decided.
    Result(usize, &'a CaseResult),
    /// What is done now.
    Doing(&'a str),
    /// No further case is begun: the user asked to stop.
    Draining,
}

/// An answer, and the runs it stands on.
pub struct Bisected {
    /// The answer.
    pub verdicts: Verdicts,
    /// For each image that was run, the result that tells most.
    pub results: Vec<CaseResult>,
    /// Cases whose task broke off: a fault of ours.
    pub broken: usize,
    /// True when work was ended in the middle.
    pub cut: bool,
}

/// Where another failure begins.
struct Another {
    signature: Signature,
    culprit: Culprit,
}

/// A search under way.
struct Hunt<'a> {
    question: &'a Question,
    context: Arc<Context>,
    runner: Runner<usize>,
    running: Vec<usize>,
    /// What every run of each image came to.
    results: Vec<Vec<CaseResult>>,
    begun: Instant,
    deadline: Option<Instant>,
    interrupts: Interrupts,
    broken: usize,
    /// Why no further case is begun.
    over: Option<String>,
    cut: bool,
    tell: &'a mut dyn FnMut(Step<'_>),
}

/// Finds the first bad image. `tell` hears of every step; the first interrupt lets running cases end, the second does
/// not.
pub async fn bisect(
    context: Arc<Context>,
    question: &Question,
    interrupts: Interrupts,
    tell: &mut dyn FnMut(Step<'_>),
) -> Bisected {
    let mut hunt = Hunt::new(context, question, interrupts, tell);
    let doubted = question.confidence.is_some();
    let noise = if doubted { Noise::unknown(0.5) } else { Noise::none() };
    let mut machine = hunt.machine(noise, &believed);
    hunt.search(&mut machine, &believed).await;
    if !doubted {
        hunt.confirm(machine.culprit()).await;
        machine = hunt.machine(Noise::none(), &believed);
        if hunt.is_flaky() {
            (hunt.tell)(Step::Doing("the failure comes only sometimes: more runs"));
            machine = hunt.machine(Noise::unknown(1.0), &believed);
            hunt.search(&mut machine, &believed).await;
        }
    }
    let culprit = machine.culprit();
    let another = hunt.another(culprit).await;
    let change = hunt.change(culprit).await;
    // The posterior where answers are doubted; else what two answers that agree are worth.
    let doubted = doubted || hunt.is_flaky();
    let confidence = if doubted { machine.confidence() } else { hunt.worth(culprit) };
    hunt.finish(culprit, confidence, another, change)
}

/// Judges one image, for `git bisect run`.
pub async fn judge(
    context: Arc<Context>,
    question: &Question,
    interrupts: Interrupts,
    tell: &mut dyn FnMut(Step<'_>),
) -> Bisected {
    let mut hunt = Hunt::new(context, question, interrupts, tell);
    for _ in 0..TRIES {
        if hunt.over.is_none() && hunt.tally(0).told() == 0 {
            hunt.start(0);
            hunt.hear().await;
        }
    }
    hunt.judged()
}

/// What a result says of its image, whatever it fails with.
fn believed(result: &CaseResult) -> Vec<Answer> {
    vec![match result.verdict {
        Verdict::Pass => Answer::Pass,
        Verdict::Fail => Answer::Fail,
        Verdict::Unresolved => Answer::Unresolved,
    }]
}

impl<'a> Hunt<'a> {
    fn new(
        context: Arc<Context>,
        question: &'a Question,
        interrupts: Interrupts,
        tell: &'a mut dyn FnMut(Step<'_>),
    ) -> Self {
        let begun = Instant::now();
        let service = Arc::new(question.service.clone());
        Self {
            runner: Runner::new(context.clone(), service, question.room),
            context,
            running: Vec::new(),
            results: vec![Vec::new(); question.candidates.len()],
            begun,
            deadline: question.budget.map(|budget| begun + budget),
            interrupts,
            broken: 0,
            over: None,
            cut: false,
            question,
            tell,
        }
    }

    /// A machine that knows all answers so far.
    fn machine(&self, noise: Noise, says: &dyn Fn(&CaseResult) -> Vec<Answer>) -> Versions {
        let confidence = self.question.confidence.unwrap_or(CONFIDENCE);
        let mut machine = Versions::new(self.question.candidates.len(), Settings { noise, confidence });
        self.teach(&mut machine, says);
        machine
    }

    fn teach(&self, machine: &mut Versions, says: &dyn Fn(&CaseResult) -> Vec<Answer>) {
        for (version, results) in self.results.iter().enumerate() {
            for answer in results.iter().flat_map(says) {
                machine.record(version, answer);
            }
        }
    }

    /// Runs what a machine wants until it wants no more.
    async fn search(&mut self, machine: &mut Versions, says: &dyn Fn(&CaseResult) -> Vec<Answer>) {
        loop {
            if self.over.is_none() {
                for version in machine.next(self.runner.free(), &self.running) {
                    self.start(version);
                }
            }
            let Some(version) = self.hear().await else { break };
            for answer in self.results[version].last().map(says).unwrap_or_default() {
                machine.record(version, answer);
            }
        }
    }

    /// Runs what the answer stands on once more: a failure that comes only sometimes shows itself here.
    async fn confirm(&mut self, culprit: Culprit) {
        let newest = self.results.len() - 1;
        let mut once_more = match culprit {
            Culprit::First(first) => vec![first, first - 1],
            Culprit::AnyOf(first, last) => [Some(last), first.checked_sub(1)].into_iter().flatten().collect(),
            Culprit::AllBad => vec![0],
            Culprit::NoneBad => vec![newest],
            Culprit::Unknown => Vec::new(),
        };
        (self.tell)(Step::Doing("once more, to be sure"));
        while !once_more.is_empty() || !self.running.is_empty() {
            while self.over.is_none() && self.runner.free() > 0 {
                let Some(version) = once_more.pop() else { break };
                self.start(version);
            }
            if self.hear().await.is_none() {
                break;
            }
        }
    }

    /// Where the newest image's failure begins, when it is not the first bad one's. Runs that were made are used again;
    /// an image that fails in a third way says nothing about this one.
    async fn another(&mut self, culprit: Culprit) -> Option<Another> {
        let (Culprit::First(bad) | Culprit::AnyOf(_, bad)) = culprit else { return None };
        let wanted = self.signature(self.results.len() - 1)?;
        if self.signature(bad)? == wanted {
            return None;
        }
        let says = |result: &CaseResult| match signature(result) {
            Some(found) if found == wanted => vec![Answer::Fail],
            // Said twice: it would fail that way again.
            Some(_) => vec![Answer::Unresolved; TRIES],
            None => believed(result),
        };
        (self.tell)(Step::Doing("the newest fails in another way: where does that begin?"));
        let noise = if self.is_flaky() { Noise::unknown(1.0) } else { Noise::none() };
        let mut machine = self.machine(noise, &says);
        self.search(&mut machine, &says).await;
        Some(Another { culprit: machine.culprit(), signature: wanted })
    }

    /// What changed from the last good image to the first that is known to be bad.
    async fn change(&mut self, culprit: Culprit) -> ImageChange {
        let (first, last) = match culprit {
            Culprit::First(first) => (first, first),
            Culprit::AnyOf(first, last) => (first, last),
            Culprit::AllBad | Culprit::NoneBad | Culprit::Unknown => return ImageChange::default(),
        };
        let Some(good) = first.checked_sub(1) else { return ImageChange::default() };
        let not_compared = |why: &str| ImageChange { note: Some(why.to_owned()), ..ImageChange::default() };
        if let Some(why) = &self.over {
            return not_compared(&format!("the images were not compared: {why}"));
        }
        (self.tell)(Step::Doing("what changed between the two"));
        let facts = |version: usize| &self.question.candidates[version].facts;
        let labels = self.context.session.labels("compared");
        let secrets = &self.question.service.secrets;
        let compared = change(self.context.engine.as_ref(), &labels, facts(good), facts(last), secrets);
        tokio::select! {
            biased;
            compared = compared => {
                return compared.unwrap_or_else(|e| not_compared(&format!("the images could not be compared: {e}")));
            }
            () = due(self.deadline) => {}
            Ok(()) = self.interrupts.changed() => {}
        }
        // The containers that were read are still there.
        self.cut = true;
        not_compared("the images were not compared: it was stopped before")
    }

    fn start(&mut self, version: usize) {
        (self.tell)(Step::Begun(version));
        self.running.push(version);
        let candidate = self.question.candidates[version].clone();
        let conditions = self.question.conditions.clone();
        self.runner.start(Order { tag: version, candidate, conditions, so_far: false });
    }

    /// Waits for the next result, and keeps it; nothing when nothing runs any more.
    async fn hear(&mut self) -> Option<usize> {
        loop {
            let deadline = if self.cut { None } else { self.deadline };
            tokio::select! {
                biased;
                Ok(()) = self.interrupts.changed() => self.interrupted().await,
                () = due(deadline) => self.out_of_time().await,
                heard = self.runner.next() => match heard {
                    Some(Heard::Phase(version, phase)) => (self.tell)(Step::Phase(version, phase)),
                    Some(Heard::Healthy(_)) => {}
                    Some(Heard::Result(version, result)) => {
                        self.keep(version, *result);
                        return Some(version);
                    }
                    Some(Heard::Broken) => {
                        self.broken += 1;
                        self.over.get_or_insert_with(|| "a case broke off".to_owned());
                    }
                    None => {
                        self.running.clear();
                        return None;
                    }
                },
            }
        }
    }

    fn keep(&mut self, version: usize, result: CaseResult) {
        if let Some(at) = self.running.iter().position(|other| *other == version) {
            self.running.remove(at);
        }
        (self.tell)(Step::Result(version, &result));
        self.results[version].push(result);
    }

    async fn interrupted(&mut self) {
        if *self.interrupts.borrow_and_update() > 1 {
            self.end().await;
        } else {
            (self.tell)(Step::Draining);
        }
        self.over.get_or_insert_with(|| "it was interrupted".to_owned());
    }

    async fn out_of_time(&mut self) {
        let budget = crate::model::units::show_duration(self.question.budget.unwrap_or_default());
        self.over.get_or_insert_with(|| format!("the budget of {budget} ran out"));
        self.end().await;
    }

    /// Ends what runs, without a result.
    async fn end(&mut self) {
        self.cut = true;
        self.runner.stop().await;
    }

    fn tally(&self, version: usize) -> Tally {
        let mut tally = Tally::default();
        self.results[version].iter().flat_map(believed).for_each(|answer| tally.add(answer));
        tally
    }

    fn is_flaky(&self) -> bool {
        (0..self.results.len()).map(|version| self.tally(version)).any(|tally| tally.passes > 0 && tally.fails > 0)
    }

    /// How an image fails.
    fn signature(&self, version: usize) -> Option<Signature> {
        self.results[version].iter().rev().find_map(signature)
    }
}

/// Comes at the deadline; never where there is none.
async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
