//! Which smallest sets of conditions make an image fail? The search's questions become cases, their results answers.

pub mod answer;
mod around;
mod baseline;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::case::Context;
use super::coordinator::Interrupts;
use super::result::{Touch, touch};
use super::runner::{Heard, Order, Runner};
use super::schedule::{self, Room};
use crate::diagnose::statics::{decides, findings};
use crate::model::answer::{Answer, Left};
use crate::model::files::ImageFiles;
use crate::model::outcome::{Finding, Phase};
use crate::model::{Candidate, Case, CaseResult, Condition, ConditionSet, Service, Verdict};
use crate::search::minimal::{Findings, NAMED, Search, Settings};
use crate::search::noise::{Answer as Said, Rates};
use crate::search::set::Set;
use memory::{Bundle, Memory, Universe};

/// What is asked.
pub struct Question {
    /// The image.
    pub candidate: Candidate,
    /// What the platform is told; without requests after healthy.
    pub service: Service,
    /// The conditions to search among; no two exclude each other.
    pub battery: Vec<Condition>,
    /// Further forms of these, looked at afterwards.
    pub variants: Vec<Condition>,
    /// Rates that are known; nothing: they are found out.
    pub rates: Option<Rates>,
    /// How sure the answer must be, from 0 to 1.
    pub confidence: f64,
    /// When to stop, whatever is known then.
    pub budget: Option<Duration>,
    /// How many cases there is room for.
    pub room: Room,
    /// The words with which a user would run a case of this image: `exitone run --image X`.
    pub by_hand: Vec<String>,
}

/// What a listener hears while it goes on.
pub enum Step<'a> {
    /// A case begins.
    Begun(&'a ConditionSet),
    /// A case reached a phase.
    Phase(&'a ConditionSet, Phase),
    /// A case is decided.
    Result(&'a CaseResult),
    /// What the search is at.
    Doing(&'a str),
    /// The sets that are thought to fail, as far as known.
    Found(&'a [ConditionSet]),
}

/// An answer, and every run it stands on.
pub struct Explained {
    /// The answer.
    pub answer: Answer,
    /// The runs, in their order.
    pub results: Vec<CaseResult>,
    /// How often the user asked to stop.
    pub interrupted: u32,
    /// Cases whose task broke off: a fault of ours.
    pub broken: usize,
    /// True when cases were ended before they were decided.
    pub cut: bool,
}

/// Why a search over a universe ended.
enum End {
    /// Nothing is left to run.
    Finished,
    /// Time is up, or the user asked.
    Stopped,
}

/// A run under way.
struct Running {
    conditions: ConditionSet,
    /// True while it is healthy, and only watched a little longer.
    is_watched: bool,
}

/// An inquiry under way.
struct Inquiry<'a> {
    question: &'a Question,
    context: Arc<Context>,
    runner: Runner<usize>,
    /// What runs, by its number.
    running: BTreeMap<usize, Running>,
    /// The number of the last that was begun.
    last: usize,
    /// What comes of the baseline if nothing more happens, once it is healthy.
    so_far: Option<CaseResult>,
    memory: Memory,
    files: Option<ImageFiles>,
    /// Conditions of the battery that are searched among now.
    active: Vec<Condition>,
    pruned: Vec<Left>,
    skipped: Vec<Left>,
    begun: Instant,
    deadline: Option<Instant>,
    interrupts: Interrupts,
    interrupted: u32,
    broken: usize,
    stopped: bool,
    /// True once conditions have been set aside.
    searching: bool,
    tell: &'a mut dyn FnMut(Step<'_>),
}

/// Answers the question. `tell` hears of every step.
pub async fn why(
    context: Arc<Context>,
    question: &Question,
    interrupts: Interrupts,
    tell: &mut dyn FnMut(Step<'_>),
) -> Explained {
    let begun = Instant::now();
    let service = Arc::new(question.service.clone());
    let mut inquiry = Inquiry {
        question,
        runner: Runner::new(context.clone(), service, question.room),
        context,
        running: BTreeMap::new(),
        last: 0,
        so_far: None,
        memory: Memory::default(),
        files: None,
        active: question.battery.clone(),
        pruned: Vec::new(),
        skipped: Vec::new(),
        begun,
        deadline: question.budget.map(|budget| begun + budget),
        interrupts,
        interrupted: 0,
        broken: 0,
        stopped: false,
        searching: false,
        tell,
    };
    inquiry.answer().await
}

impl Inquiry<'_> {
    async fn answer(&mut self) -> Explained {
        let statics = in_time(self.deadline, self.statics()).await.unwrap_or_default();
        if let Some(finding) = statics.iter().find(|finding| decides(finding) || finding.cause.id == "arch-mismatch") {
            return self.of_image(finding.clone(), statics);
        }
        self.leave_out_what_the_host_cannot();
        (self.tell)(Step::Doing("the baseline"));
        let mut main = (self.universe(), Findings::default());
        let baseline = loop {
            let baseline = self.baseline().await;
            let is_foretold = self.so_far.is_some();
            if baseline == Verdict::Pass && !self.stopped {
                self.files = in_time(self.deadline, self.look()).await.flatten();
                self.suspect_what_is_needed();
                self.prune();
            }
            if baseline != Verdict::Unresolved && !self.stopped {
                (self.tell)(Step::Doing("the conditions"));
                main = self.search().await;
            }
            // What was healthy so far may have come to something else.
            if !is_foretold || self.stopped || self.baseline_verdict() == baseline {
                break baseline;
            }
        };
        let around = if baseline == Verdict::Pass && !self.stopped {
            self.around(&main.0, &main.1).await
        } else {
            around::Around::default()
        };
        // What was begun ahead for nothing ends before the session does.
        self.hear_all().await;
        if self.stopped {
            self.runner.stop().await;
        }
        self.finish(&main.0, &main.1, around, statics)
    }

    /// What the image says before anything runs.
    async fn statics(&self) -> Vec<Finding> {
        let (facts, service) = (&self.question.candidate.facts, &self.question.service);
        let case = Case::new(&facts.reference, ConditionSet::baseline());
        let files = self.context.inspector.look(service, &self.question.candidate, &case).await;
        findings(facts, files.as_ref(), service)
    }

    /// Every file of the image, for the names of variables.
    async fn look(&self) -> Option<ImageFiles> {
        let Question { service, candidate, battery, variants, .. } = self.question;
        let mut named: Vec<Condition> = Vec::new();
        for condition in battery.iter().chain(variants) {
            let Some(variable) = condition.variable() else { continue };
            if !named.iter().filter_map(Condition::variable).any(|known| known.name == variable.name) {
                named.push(condition.clone());
            }
        }
        let set = ConditionSet::new(named).unwrap_or_default();
        let case = Case::new(&candidate.facts.reference, set);
        self.context.inspector.look(service, candidate, &case).await
    }

    fn leave_out_what_the_host_cannot(&mut self) {
        let limits = self.context.limits;
        for condition in self.question.battery.iter().chain(&self.question.variants) {
            if let Err(error) = limits.allow(condition) {
                self.skip(condition, &error.to_string());
            }
        }
    }

    /// Sets conditions aside that no run so far would have met, and takes those back that one did meet; true when one
    /// was taken back.
    fn prune(&mut self) -> bool {
        let mut back = false;
        let mut kept = Vec::new();
        let was_aside: Vec<Condition> = self.pruned.drain(..).map(|left| left.condition).collect();
        for condition in &self.question.battery {
            if self.skipped.iter().any(|s| s.condition == *condition) {
                continue;
            }
            let before = was_aside.contains(condition);
            // What is searched among stays, once the search has begun.
            let may = before || !self.searching;
            match self.unmet(condition).filter(|_| may) {
                Some(because) => self.pruned.push(Left { condition: condition.clone(), because }),
                None => {
                    back |= before;
                    kept.push(condition.clone());
                }
            }
        }
        self.active = kept;
        self.searching = true;
        back
    }

    /// Why no run so far would have met the condition.
    fn unmet(&self, condition: &Condition) -> Option<String> {
        if self.memory.suspicions().iter().any(|(suspect, _)| suspect == condition) {
            return None;
        }
        let Question { candidate, service, .. } = self.question;
        let mut because = None;
        for result in self.memory.results().iter().chain(&self.so_far).filter(|r| r.verdict != Verdict::Unresolved) {
            match touch(candidate, service, self.files.as_ref(), result, condition) {
                Touch::Met => return None,
                Touch::NotMet(why) => because = because.or(Some(why)),
                Touch::Unknown => {}
            }
        }
        because
    }

    /// What is searched among: the active conditions one by one, and all that were set aside together. A run that has
    /// these as well proves more than their being set aside does.
    fn universe(&self) -> Universe {
        let aside = self.pruned.iter().map(|left| &left.condition);
        let aside = aside.filter(|c| self.question.battery.contains(c)).cloned().collect();
        Universe { may_hide: true, ..Universe::each(self.active.clone()).and(aside) }
    }

    /// Searches among the active conditions; they may become more, or fewer, on the way.
    async fn search(&mut self) -> (Universe, Findings) {
        loop {
            let universes = [self.universe()];
            let (mut findings, end) = self.search_among(&universes, self.question.confidence, true).await;
            let ([universe], findings) = (universes, findings.pop().unwrap_or_default());
            let blamed = |n: usize| findings.sets.iter().chain(&findings.perhaps).any(|set| set.has(n));
            let whole = (0..universe.bundles.len()).any(|n| universe.bundles[n].len() > 1 && blamed(n));
            match end {
                // One of those that were set aside matters after all.
                Some(End::Finished) if whole => {
                    self.active = universe.bundles.concat();
                    self.pruned.clear();
                }
                Some(End::Finished | End::Stopped) => return (universe, findings),
                None => {}
            }
        }
    }

    /// Searches over some universes, side by side; nothing for an end when the universe has changed: a condition turned out
    /// not to be imposable here, or (`adapts`) to be met or not met.
    async fn search_among(
        &mut self,
        universes: &[Universe],
        confidence: f64,
        adapts: bool,
    ) -> (Vec<Findings>, Option<End>) {
        let mut searches: Vec<Search> = universes.iter().map(|u| self.prepared(u, confidence)).collect();
        let findings = |searches: &mut [Search]| searches.iter_mut().map(Search::findings).collect::<Vec<_>>();
        loop {
            if self.is_over() {
                return (findings(&mut searches), Some(End::Stopped));
            }
            for (search, universe) in searches.iter_mut().zip(universes) {
                self.begin_what_is_wanted(search, universe, adapts);
            }
            // What was begun ahead may go on.
            let own = |set: &ConditionSet| universes.iter().any(|universe| universe.bits(set).is_some());
            if !self.running.values().any(|run| own(&run.conditions)) {
                if searches.iter_mut().all(|search| search.findings().finished) {
                    return (findings(&mut searches), Some(End::Finished));
                }
                if self.runner.is_idle() {
                    continue;
                }
            }
            let skipped = self.skipped.len();
            let Some(set) = self.hear().await else { continue };
            if self.skipped.len() > skipped || (adapts && self.prune()) {
                return (Vec::new(), None);
            }
            if let Some(answer) = self.memory.last_answer(&set) {
                let (fails, passes) = self.memory.costs();
                for (search, universe) in searches.iter_mut().zip(universes) {
                    let Some(bits) = universe.bits(&set) else { continue };
                    search.record(bits, answer);
                    self.suspect(search, universe);
                    search.costs(fails, passes);
                }
            }
            let found: Vec<ConditionSet> = self.memory.smallest_failing();
            (self.tell)(Step::Found(&found));
        }
    }

    /// What the search wants where there is room, and, while the last runs of the main search go on, what is asked after
    /// it. Who is healthy is taken to pass.
    fn begin_what_is_wanted(&mut self, search: &mut Search, universe: &Universe, is_main: bool) {
        if self.runner.free() == 0 {
            return;
        }
        let (healthy, mut open) = self.healthy_and_open(search, universe);
        let mut guess = (!healthy.is_empty()).then(|| search.clone());
        let asked = guess.as_mut().unwrap_or(search);
        healthy.iter().for_each(|set| asked.record(*set, Said::Pass));
        let mut wanted = asked.next(self.runner.free(), &open);
        // What takes longest begins first.
        let length = |set: &Set| schedule::estimate(&universe.conditions(*set)).0;
        wanted.sort_by(|a, b| length(b).total_cmp(&length(a)));
        for wanted in wanted {
            let conditions = universe.conditions(wanted);
            // What cannot be imposed together is never run as something else.
            if universe.bits(&conditions) == Some(wanted) {
                self.start(conditions);
                open.push(wanted);
            } else {
                search.record(wanted, Said::Unresolved);
            }
        }
        if !is_main || self.runner.free() == 0 || self.runner.is_idle() {
            return;
        }
        if let Some(found) = guess.as_ref().unwrap_or(search).foreseen(&open) {
            let found: Vec<ConditionSet> = found.iter().map(|set| universe.conditions(*set)).collect();
            self.begin_forms(&found);
        }
    }

    /// The sets that run, in bits: those that are healthy and may pass, and all others.
    fn healthy_and_open(&self, search: &Search, universe: &Universe) -> (Vec<Set>, Vec<Set>) {
        let in_bits = |run: &Running| Some((universe.bits(&run.conditions)?, run.is_watched));
        let runs = self.running.values().filter_map(in_bits);
        let (healthy, open): (Vec<_>, Vec<_>) =
            runs.partition(|(bits, is_watched)| *is_watched && search.may_pass(*bits));
        let bits = |runs: Vec<(Set, bool)>| runs.into_iter().map(|(bits, _)| bits).collect();
        (bits(healthy), bits(open))
    }

    /// A search that knows everything that was run already.
    fn prepared(&self, universe: &Universe, confidence: f64) -> Search {
        let bundles = &universe.bundles;
        let having = |is: &dyn Fn(&Bundle) -> bool| (0..bundles.len()).filter(|n| is(&bundles[*n])).collect();
        let mut settings = Settings {
            may_heal: having(&|bundle| bundle.iter().all(Condition::changes_program)),
            aside: having(&|bundle| bundle.len() > 1),
            rates: self.question.rates,
            confidence,
            ..Settings::plain(bundles.len())
        };
        if universe.may_hide {
            settings.may_hide = having(&|bundle| bundle.iter().all(|c| c.variable().is_some()));
        }
        let mut search = Search::new(settings);
        for (set, answer) in self.memory.answers() {
            if let Some(bits) = universe.bits(set).or_else(|| universe.implied(set, answer)) {
                search.record(bits, answer);
            }
        }
        self.suspect(&mut search, universe);
        search
    }

    fn suspect(&self, search: &mut Search, universe: &Universe) {
        for (condition, factor) in self.memory.suspicions() {
            if let Some(n) = universe.bundles.iter().position(|bundle| bundle == std::slice::from_ref(condition)) {
                search.suspect(n, *factor);
            }
        }
        // Of all others than the forms it is known that they do no harm.
        let all = universe.conditions(universe.all());
        if self.memory.last_answer(&all) == Some(Said::Fail) {
            let form = |n: &usize| universe.bundles[*n].iter().all(|c| self.question.variants.contains(c));
            (0..universe.bundles.len()).filter(form).for_each(|n| search.suspect(n, NAMED));
        }
    }

    fn is_running(&self, set: &ConditionSet) -> bool {
        self.running.values().any(|run| run.conditions == *set)
    }

    fn start(&mut self, conditions: ConditionSet) {
        (self.tell)(Step::Begun(&conditions));
        tracing::debug!(%conditions, "begun");
        self.last += 1;
        self.running.insert(self.last, Running { conditions: conditions.clone(), is_watched: false });
        let candidate = self.question.candidate.clone();
        // Of a clean start it is told at once what it needs.
        let so_far = conditions.is_empty();
        self.runner.start(Order { tag: self.last, candidate, conditions, so_far });
    }

    /// Waits for the next result, and keeps it; nothing for anything else that may change what is run.
    async fn hear(&mut self) -> Option<ConditionSet> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                heard = self.runner.next() => match heard {
                    Some(Heard::Phase(run, phase)) => {
                        let Some(run) = self.running.get_mut(&run) else { continue };
                        (self.tell)(Step::Phase(&run.conditions, phase));
                        if phase != Phase::Soak {
                            continue;
                        }
                        run.is_watched = true;
                    }
                    Some(Heard::Healthy(result)) => self.so_far = Some(*result),
                    Some(Heard::Result(run, result)) => {
                        let Some(run) = self.running.remove(&run) else { continue };
                        self.keep(&run.conditions, *result);
                        return Some(run.conditions);
                    }
                    Some(Heard::Broken) => {
                        self.broken += 1;
                        self.stopped = true;
                    }
                    None => {}
                },
                () = &mut late => self.stopped = true,
                Ok(()) = self.interrupts.changed() => {
                    self.interrupted = *self.interrupts.borrow_and_update();
                    self.stopped = true;
                }
            }
            return None;
        }
    }

    fn keep(&mut self, set: &ConditionSet, result: CaseResult) {
        (self.tell)(Step::Result(&result));
        if set.is_empty() {
            self.so_far = None;
        }
        if let (Some(condition), Some(because)) = (&result.cannot_impose, &result.skipped) {
            self.skip(condition, because);
        }
        self.memory.keep(set, result);
    }

    /// Waits until nothing runs.
    async fn hear_all(&mut self) {
        while !self.runner.is_idle() && !self.is_over() {
            self.hear().await;
        }
    }

    fn is_over(&mut self) -> bool {
        self.stopped |= self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.stopped
    }

    /// Takes a condition out that this host cannot impose.
    fn skip(&mut self, condition: &Condition, because: &str) {
        if self.skipped.iter().any(|left| left.condition == *condition) {
            return;
        }
        self.active.retain(|c| c != condition);
        self.pruned.retain(|left| left.condition != *condition);
        self.skipped.push(Left { condition: condition.clone(), because: because.to_owned() });
    }
}

/// What comes of it, unless the time is up before.
async fn in_time<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}
