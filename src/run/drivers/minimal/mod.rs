//! Finds the minimal sets of conditions that make an image fail. The search's questions become jobs, their results
//! answers.

mod answer;
mod around;
mod baseline;
mod deployed;
mod first;
mod made_up;
mod margins;
mod memory;
mod repairs;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::diagnose::statics::{decides, findings};
use crate::event::Event;
use crate::model::answer::{Answer, Left, Told};
use crate::model::files::ImageFiles;
use crate::model::outcome::{Finding, Need, Phase};
use crate::model::search::Search;
use crate::model::{Candidate, Case, CaseId, CaseResult, Condition, ConditionSet, Plan, Service, Verdict};
use crate::run::conductor::{Conductor, RunnerEvent};
use crate::run::executor::{Job, JobId};
use crate::run::off_thread::off_thread;
use crate::run::result::{Exercise, exercise};
use crate::run::schedule::estimate;
use crate::search::minimal::{Findings, NAMED, Search as Machine, Settings};
use crate::search::noise::Answer as Reply;
use crate::search::set::Set;
use memory::{Bundle, Memory, Universe};

/// If at most this many forms fail together, each is run alone at once; more are bisected.
const FEW_FORMS: usize = 6;

/// The question that a search answers.
pub(super) struct Question<'a> {
    /// The plan that the search belongs to.
    pub(crate) plan: &'a Plan,
    /// The search.
    pub(crate) search: &'a Search,
    /// The image.
    pub(crate) candidate: Candidate,
    /// The service configuration, without requests after healthy.
    pub(crate) service: Arc<Service>,
}

impl Question<'_> {
    /// The case id of a set: that of its planned case, else one derived from the search.
    pub(super) fn id_of(&self, set: &ConditionSet) -> CaseId {
        let of_search = |case: &&Case| case.search.as_ref() == Some(&self.search.id) && case.conditions == *set;
        self.plan.cases.iter().find(of_search).map_or_else(|| self.search.case_id(set), |case| case.id.clone())
    }

    /// The case of a set.
    pub(super) fn case(&self, set: &ConditionSet) -> Case {
        let (part, search) = (self.search.part, Some(self.search.id.clone()));
        Case { id: self.id_of(set), part, search, ..Case::new(&self.search.image, set.clone()) }
    }

    /// The job of a set.
    pub(super) fn job(&self, set: &ConditionSet, provisional: bool) -> Job {
        let (candidate, service) = (self.candidate.clone(), self.service.clone());
        Job { candidate, service, case: self.case(set), provisional, again: false, lease: None }
    }
}

/// Runs slow work of a search on another thread, since this one timestamps health checks.
async fn search_off_thread<S, T>(search: &mut S, work: impl FnOnce(&mut S) -> T + Send + 'static) -> T
where
    S: Default + Send + 'static,
    T: Send + 'static,
{
    let mut taken = std::mem::take(search);
    let result;
    (*search, result) = off_thread(move || {
        let result = work(&mut taken);
        (taken, result)
    })
    .await;
    result
}

/// Why a search over a universe ended.
enum End {
    /// Nothing is left to run.
    Finished,
    /// Time is up, or the user asked to stop.
    Stopped,
}

/// A running job.
struct Running {
    conditions: ConditionSet,
    begun: Instant,
    /// Whether it is healthy and in its soak.
    is_watched: bool,
    /// Its failure, if it does nothing any more and is not healthy.
    stuck: Option<Arc<CaseResult>>,
}

/// Whether any result so far exercises a condition. Each result is checked once.
#[derive(Clone, Default)]
struct ExerciseSummary {
    /// Number of results checked.
    results: usize,
    is_exercised: bool,
    /// Why the first result that rules it out does not exercise it.
    because: Option<String>,
}

impl ExerciseSummary {
    fn add(&mut self, exercise: Exercise) {
        match exercise {
            Exercise::Exercised => self.is_exercised = true,
            Exercise::NotExercised(why) => self.because = self.because.take().or(Some(why)),
            Exercise::Unknown => {}
        }
    }
}

/// A running inquiry.
struct Inquiry<'a, 'c> {
    question: &'a Question<'a>,
    conductor: &'a mut Conductor<'c>,
    running: BTreeMap<JobId, Running>,
    /// Number of executions before this search.
    runs_before: usize,
    /// Number of executions of this search in the run that is resumed.
    restored: usize,
    /// The provisional result of the baseline, once it is healthy.
    provisional: Option<Arc<CaseResult>>,
    /// Sets of repairs that were run.
    repairs: Vec<ConditionSet>,
    /// Repairs that were run with a minimal set.
    healers: Vec<repairs::Healer>,
    /// Servers whose made-up answers the failure of the baseline depends on.
    made_up: Vec<Need>,
    memory: Memory,
    files: Option<ImageFiles>,
    /// What the results say about conditions that were checked.
    exercises: BTreeMap<Condition, ExerciseSummary>,
    /// The conditions of the battery to search among.
    active: Vec<Condition>,
    pruned: Vec<Left>,
    skipped: Vec<Left>,
    begun: Instant,
    /// Whether conditions have been ruled out, so that the search may begin.
    searching: bool,
    /// Whether it ended before it had its answer.
    stopped: bool,
    /// The last progress reported: the activity, and the smallest failing sets.
    reported: (String, Vec<ConditionSet>),
    /// What was said ahead of the answer.
    told: Vec<Told>,
    /// The sets of runs that were ended beside the last result.
    ended: Vec<ConditionSet>,
}

/// Answers the question.
pub(super) async fn search(conductor: &mut Conductor<'_>, question: &Question<'_>) -> Answer {
    let mut inquiry = Inquiry {
        question,
        running: BTreeMap::new(),
        runs_before: conductor.runs(),
        restored: 0,
        conductor,
        provisional: None,
        repairs: Vec::new(),
        healers: Vec::new(),
        made_up: Vec::new(),
        memory: Memory::default(),
        files: None,
        active: question.search.conditions.clone(),
        exercises: BTreeMap::new(),
        pruned: Vec::new(),
        skipped: Vec::new(),
        begun: Instant::now(),
        searching: false,
        stopped: false,
        reported: Default::default(),
        told: Vec::new(),
        ended: Vec::new(),
    };
    inquiry.restore();
    inquiry.answer().await
}

impl Inquiry<'_, '_> {
    async fn answer(&mut self) -> Answer {
        let mut statics = self.statics().await;
        if let Some(finding) = statics.iter().find(|finding| decides(finding) || finding.cause.id == "arch-mismatch") {
            return self.of_image(finding.clone(), statics);
        }
        statics.extend(self.not_pushed());
        self.skip_unsupported();
        self.report_activity("running the baseline");
        let mut main = (self.universe(), Findings::default());
        let baseline = loop {
            let baseline = self.baseline().await;
            let was_provisional = self.provisional.is_some();
            self.start_deployed();
            if baseline == Verdict::Pass && !self.is_over() {
                self.files = self.all_files().await;
                self.exercises.clear();
                self.suspect_needed();
                self.prune();
            }
            if baseline != Verdict::Unresolved && !self.is_over() {
                self.report_activity("searching among the conditions");
                main = self.search().await;
            }
            // A baseline that was healthy may have failed since.
            if !was_provisional || self.is_over() || self.baseline_verdict() == baseline {
                break baseline;
            }
        };
        let mut around = if baseline == Verdict::Pass && !self.is_over() {
            self.around(&main.0, &main.1).await
        } else {
            around::Around::default()
        };
        self.heal_sets().await;
        self.run_deployed().await;
        self.run_each_in_force(&mut around).await;
        if baseline == Verdict::Fail && !self.is_over() {
            self.try_repairs().await;
            if !self.is_verified() {
                self.made_up = self.made_up_answers().await;
            }
        }
        let stopped = self.is_over();
        if !self.conductor.is_stopping() {
            self.cancel_speculative(&[]);
        }
        // When the run stops, running jobs finish and their results count.
        while !self.running.is_empty() {
            self.next_result().await;
        }
        self.stopped = stopped;
        self.finish(&main.0, &main.1, around, statics)
    }

    /// Restores the results of the run that is resumed.
    fn restore(&mut self) {
        let Question { plan, search, .. } = self.question;
        let run = &self.conductor.recorder.run;
        let own = |id: &CaseId| plan.cases.iter().all(|case| case.id != *id || case.is_searched());
        let of_search =
            run.header.cases.iter().filter(|case| case.search.as_ref() == Some(&search.id) && own(&case.id));
        let known: Vec<_> = of_search.filter_map(|case| run.finished(&case.id)).collect();
        for (result, attempts) in known {
            self.restored += self.memory.restore(&result, &attempts);
            self.conductor.executions.push(result);
        }
    }

    /// Cancels jobs that were started ahead, except those of sets that are still needed.
    fn cancel_speculative(&mut self, needed: &[ConditionSet]) {
        let conductor = &mut *self.conductor;
        self.running.retain(|id, run| {
            let is_needed = needed.contains(&run.conditions);
            if !is_needed {
                conductor.cancel(*id);
            }
            is_needed
        });
    }

    /// Findings about the image, before anything runs.
    async fn statics(&mut self) -> Vec<Finding> {
        let files = self.inspect(ConditionSet::baseline()).await;
        let facts = &self.question.candidate.facts;
        findings(facts, files.as_ref(), &self.question.service)
    }

    /// The image's files that matter under a set; `None` when they cannot be read or the run stops.
    async fn inspect(&mut self, set: ConditionSet) -> Option<ImageFiles> {
        let Question { service, candidate, .. } = self.question;
        let context = self.conductor.context.clone();
        let case = Case::new(&candidate.facts.reference, set);
        self.conductor.unless_stopped(context.inspector.files(service, candidate, &case)).await.flatten()
    }

    /// All files of the image, searched for the names of variables.
    async fn all_files(&mut self) -> Option<ImageFiles> {
        let Search { conditions, forms, .. } = self.question.search;
        let mut named: Vec<Condition> = Vec::new();
        for condition in conditions.iter().chain(forms) {
            let Some(variable) = condition.variable() else { continue };
            if !named.iter().filter_map(Condition::variable).any(|known| known.name == variable.name) {
                named.push(condition.clone());
            }
        }
        self.inspect(ConditionSet::new(named).unwrap_or_default()).await
    }

    fn skip_unsupported(&mut self) {
        let context = self.conductor.context.clone();
        for condition in self.question.search.conditions.iter().chain(&self.question.search.forms) {
            if let Err(error) = context.limits.allow(condition) {
                self.skip(condition, &error.to_string());
            }
        }
    }

    /// Rules out conditions that no run so far exercises, and restores those that one does. Returns whether one was
    /// restored.
    fn prune(&mut self) -> bool {
        let mut back = false;
        let mut kept = Vec::new();
        let ruled_out_before: Vec<Condition> = self.pruned.drain(..).map(|left| left.condition).collect();
        let question = self.question;
        for condition in &question.search.conditions {
            if self.skipped.iter().any(|s| s.condition == *condition) {
                continue;
            }
            let before = ruled_out_before.contains(condition);
            // Once the search has begun, its conditions stay.
            let may = before || !self.searching;
            match may.then(|| self.not_exercised_because(condition)).flatten() {
                Some(because) => self.pruned.push(Left { condition: condition.clone(), because }),
                None => {
                    back |= before;
                    kept.push(condition.clone());
                }
            }
        }
        self.active = kept;
        self.searching = true;
        // Checked as results arrive: there may be hundreds of forms.
        question.search.forms.iter().for_each(|form| drop(self.not_exercised_because(form)));
        back
    }

    /// Why no run so far exercises the condition.
    fn not_exercised_because(&mut self, condition: &Condition) -> Option<String> {
        if self.memory.suspicions().iter().any(|(suspect, _)| suspect == condition) {
            return None;
        }
        let Question { candidate, service, .. } = self.question;
        let (files, results) = (self.files.as_ref(), self.memory.results());
        let summary = self.exercises.entry(condition.clone()).or_default();
        let new = results[summary.results..].iter();
        for result in new.filter(|r| r.verdict != Verdict::Unresolved) {
            summary.add(exercise(candidate, service, files, result, condition));
        }
        summary.results = results.len();
        // A provisional result may still change.
        let mut now = summary.clone();
        if let Some(provisional) = &self.provisional {
            now.add(exercise(candidate, service, files, provisional, condition));
        }
        now.because.filter(|_| !now.is_exercised)
    }

    /// The universe of the search: the active conditions one by one, and those ruled out as one bundle. A run that
    /// includes this bundle proves that ruling them out was right.
    fn universe(&self) -> Universe {
        let aside = self.pruned.iter().map(|left| &left.condition);
        let aside = aside.filter(|c| self.question.search.conditions.contains(c)).cloned().collect();
        Universe { may_hide: true, ..Universe::each(self.active.clone()).and(aside) }
    }

    /// Searches among the active conditions, which may change during the search.
    async fn search(&mut self) -> (Universe, Findings) {
        loop {
            let universes = [self.universe()];
            let (mut findings, end) = self.search_among(&universes, self.question.search.confidence, true).await;
            let ([universe], findings) = (universes, findings.pop().unwrap_or_default());
            let blamed = |n: usize| findings.sets.iter().chain(&findings.perhaps).any(|set| set.has(n));
            let whole = (0..universe.bundles.len()).any(|n| universe.bundles[n].len() > 1 && blamed(n));
            match end {
                // One of the conditions ruled out matters after all.
                Some(End::Finished) if whole => {
                    self.active = universe.bundles.concat();
                    self.pruned.clear();
                }
                Some(End::Finished | End::Stopped) => return (universe, findings),
                None => {}
            }
        }
    }

    /// Searches several universes in parallel. The end is `None` when a universe has changed: this host cannot impose a
    /// condition, or (`adapts`) a condition was ruled out or restored.
    async fn search_among(
        &mut self,
        universes: &[Universe],
        confidence: f64,
        adapts: bool,
    ) -> (Vec<Findings>, Option<End>) {
        // A new search knows what ended before.
        self.ended.clear();
        let mut searches: Vec<Machine> = universes.iter().map(|u| self.new_search(u, confidence)).collect();
        let findings = |searches: &mut Vec<Machine>| searches.iter_mut().map(Machine::findings).collect::<Vec<_>>();
        loop {
            if self.is_over() {
                return (findings(&mut searches), Some(End::Stopped));
            }
            for (search, universe) in searches.iter_mut().zip(universes) {
                self.suspect(search, universe);
                self.start_wanted(search, universe, adapts).await;
            }
            // Jobs that were started ahead may go on.
            let own = |set: &ConditionSet| universes.iter().any(|universe| universe.bits(set).is_some());
            if !self.running.values().any(|run| own(&run.conditions)) {
                let found = search_off_thread(&mut searches, move |searches| findings(searches)).await;
                if found.iter().all(|findings| findings.finished) {
                    return (found, Some(End::Finished));
                }
                if self.conductor.is_idle() {
                    continue;
                }
            }
            let skipped = self.skipped.len();
            let Some(set) = self.next_result().await else { continue };
            if self.skipped.len() > skipped || (adapts && self.prune()) {
                return (Vec::new(), None);
            }
            for set in std::iter::once(set).chain(std::mem::take(&mut self.ended)) {
                let Some(answer) = self.memory.last_answer(&set) else { continue };
                let (fails, passes) = self.memory.costs();
                for (search, universe) in searches.iter_mut().zip(universes) {
                    let Some(bits) = universe.bits(&set) else { continue };
                    search.record(bits, answer);
                    search.costs(fails, passes);
                }
            }
            self.report_found();
        }
    }

    /// Starts as many runs that the search wants as there is room for. At the end of the main search, this includes
    /// runs of the search among forms that follows. A healthy candidate counts as passed, one that does nothing any more
    /// as failed.
    async fn start_wanted(&mut self, search: &mut Machine, universe: &Universe, is_main: bool) {
        let (likely, mut open) = self.likely_and_open(search, universe);
        let all_pass = search.tally(universe.all()).passes > 0 || likely.contains(&(universe.all(), Reply::Pass));
        let forms = &self.question.search.forms;
        let needs_form = |set: &ConditionSet| set.iter().any(|condition| forms.contains(condition));
        if is_main && all_pass && self.memory.smallest_failing().iter().all(needs_form) {
            // What may still break it are the other forms.
            self.start_forms_ahead(&[]);
        }
        let free = self.conductor.free();
        if free == 0 {
            return;
        }
        let running = open.clone();
        let mut guess = (!likely.is_empty()).then(|| search.clone());
        let asked = guess.as_mut().unwrap_or(search);
        likely.iter().for_each(|(set, reply)| asked.record(*set, *reply));
        let mut wanted = search_off_thread(asked, move |asked| asked.next(free, &running)).await;
        // The longest first.
        let length = |set: &Set| estimate(&universe.conditions(*set)).0;
        wanted.sort_by(|a, b| length(b).total_cmp(&length(a)));
        for wanted in wanted {
            let conditions = universe.conditions(wanted);
            // Conditions that exclude each other are not run as a smaller set.
            if universe.bits(&conditions) == Some(wanted) {
                self.start(conditions);
                open.push(wanted);
            } else {
                search.record(wanted, Reply::Unresolved);
            }
        }
        if !is_main || self.conductor.free() == 0 || self.conductor.is_idle() {
            return;
        }
        let asked = guess.as_mut().unwrap_or(search);
        if let Some(found) = search_off_thread(asked, move |asked| asked.foreseen(&open)).await {
            let found: Vec<ConditionSet> = found.iter().map(|set| universe.conditions(*set)).collect();
            self.start_forms_ahead(&found);
            self.start_limits_ahead(&found);
        }
    }

    /// The running sets in bits: those whose answer can be foretold (healthy, or doing nothing any more), and all others.
    fn likely_and_open(&self, search: &Machine, universe: &Universe) -> (Vec<(Set, Reply)>, Vec<Set>) {
        let (mut likely, mut open) = (Vec::new(), Vec::new());
        for run in self.running.values() {
            let Some(bits) = universe.bits(&run.conditions) else { continue };
            if run.stuck.is_some() {
                likely.push((bits, Reply::Fail));
            } else if run.is_watched && search.may_pass(bits) {
                likely.push((bits, Reply::Pass));
            } else {
                open.push(bits);
            }
        }
        (likely, open)
    }

    /// A search that knows all earlier results.
    fn new_search(&self, universe: &Universe, confidence: f64) -> Machine {
        let bundles = &universe.bundles;
        let having = |is: &dyn Fn(&Bundle) -> bool| (0..bundles.len()).filter(|n| is(&bundles[*n])).collect();
        let mut settings = Settings {
            may_heal: having(&|bundle| bundle.iter().all(Condition::changes_program)),
            aside: having(&|bundle| bundle.len() > 1),
            confidence,
            ..Settings::plain(bundles.len())
        };
        if universe.may_hide {
            settings.may_hide = having(&|bundle| bundle.iter().all(|c| c.variable().is_some()));
        }
        let mut search = Machine::new(settings);
        for (set, answer) in self.memory.answers() {
            if let Some(bits) = universe.bits(set).or_else(|| universe.implied(set, answer)) {
                search.record(bits, answer);
            }
        }
        self.suspect(&mut search, universe);
        search
    }

    fn suspect(&self, search: &mut Machine, universe: &Universe) {
        for (condition, factor) in self.memory.suspicions() {
            if let Some(n) = universe.bundles.iter().position(|bundle| bundle == std::slice::from_ref(condition)) {
                search.suspect(n, *factor);
            }
        }
        // Everything but the forms is known to be harmless. A few forms are worth a run each.
        let is_form = |n: &usize| universe.bundles[*n].iter().all(|c| self.question.search.forms.contains(c));
        let forms: Vec<usize> = (0..universe.bundles.len()).filter(is_form).collect();
        if forms.len() <= FEW_FORMS
            && self.memory.last_answer(&universe.conditions(universe.all())) == Some(Reply::Fail)
        {
            forms.into_iter().for_each(|n| search.suspect(n, NAMED));
        }
    }

    fn is_running(&self, set: &ConditionSet) -> bool {
        self.running.values().any(|run| run.conditions == *set)
    }

    fn start(&mut self, conditions: ConditionSet) {
        tracing::debug!(%conditions, "begun");
        // A healthy baseline shows at once what it needs; what is stuck shows how it will fail.
        let job = self.question.job(&conditions, true);
        super::add_step(self.conductor, self.question.plan, self.question.search, &job.case);
        let id = self.conductor.start(job);
        self.running.insert(id, Running { conditions, begun: Instant::now(), is_watched: false, stuck: None });
    }

    /// Waits for the next result and records it; `None` for another event that may change what to run next.
    async fn next_result(&mut self) -> Option<ConditionSet> {
        loop {
            match self.conductor.next().await {
                Some(RunnerEvent::Phase(id, phase)) => {
                    let Some(run) = self.running.get_mut(&id) else { continue };
                    if phase != Phase::Soak {
                        continue;
                    }
                    run.is_watched = true;
                }
                Some(RunnerEvent::Provisional(id, result)) => {
                    let Some(run) = self.running.get_mut(&id) else { continue };
                    match result.verdict {
                        Verdict::Pass if !run.conditions.is_empty() => continue,
                        Verdict::Pass => {
                            self.provisional = Some(Arc::from(result));
                            self.tell_named();
                        }
                        Verdict::Fail => {
                            let stuck = Arc::from(result);
                            self.memory.read(&stuck);
                            run.stuck = Some(stuck);
                            let set = run.conditions.clone();
                            self.tell_stuck(&set);
                            self.tell_named();
                            self.end_stuck();
                            self.tell_confirmed();
                            if let Some(set) = self.ended.pop() {
                                return Some(set);
                            }
                        }
                        Verdict::Unresolved => {}
                    }
                }
                Some(RunnerEvent::Finished(id, result)) => {
                    let Some(run) = self.running.remove(&id) else { continue };
                    self.keep(&run.conditions, Arc::from(result));
                    self.end_stuck();
                    self.tell_confirmed();
                    self.tell_named();
                    return Some(run.conditions);
                }
                Some(RunnerEvent::Broken(id)) => {
                    self.running.remove(&id);
                    self.conductor.drain(super::BROKEN);
                }
                Some(RunnerEvent::Stopped(left)) => self.running.retain(|id, _| !left.contains(id)),
                None => self.running.clear(),
            }
            return None;
        }
    }

    fn keep(&mut self, set: &ConditionSet, result: Arc<CaseResult>) {
        super::ran(self.conductor, self.question.plan, &result);
        if set.is_empty() {
            self.provisional = None;
        }
        if let (Some(condition), Some(because)) = (&result.cannot_impose, &result.skipped) {
            self.skip(condition, because);
        }
        self.memory.keep(set, result);
    }

    /// Reports what the search is doing.
    fn report_activity(&mut self, what: &str) {
        what.clone_into(&mut self.reported.0);
        self.report_progress();
    }

    /// Reports the smallest failing sets so far, if they changed.
    fn report_found(&mut self) {
        let found = self.memory.smallest_failing();
        if found != self.reported.1 {
            self.reported.1 = found;
            self.report_progress();
        }
    }

    fn report_progress(&mut self) {
        let (doing, found) = self.reported.clone();
        self.conductor.stamp(Event::SearchProgress { id: self.question.search.id.clone(), doing, found });
    }

    /// Whether nothing more is to be run.
    fn is_over(&self) -> bool {
        self.conductor.is_stopping() || self.is_answered()
    }

    /// Removes a condition that this host cannot impose from the search.
    fn skip(&mut self, condition: &Condition, because: &str) {
        if self.skipped.iter().any(|left| left.condition == *condition) {
            return;
        }
        self.active.retain(|c| c != condition);
        self.pruned.retain(|left| left.condition != *condition);
        self.skipped.push(Left { condition: condition.clone(), because: because.to_owned() });
    }
}
