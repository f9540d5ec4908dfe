//! Which smallest sets of conditions make an image fail? The search's questions become jobs, their results answers.

mod answer;
mod around;
mod baseline;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::diagnose::statics::{decides, findings};
use crate::event::Event;
use crate::model::answer::{Answer, Left};
use crate::model::files::ImageFiles;
use crate::model::outcome::{Finding, Phase};
use crate::model::search::Search;
use crate::model::{Candidate, Case, CaseId, CaseResult, Condition, ConditionSet, Plan, Service, Verdict};
use crate::run::conductor::{Conductor, Heard};
use crate::run::executor::{Job, JobId};
use crate::run::result::{Touch, touch};
use crate::run::schedule::estimate;
use crate::search::minimal::{Findings, NAMED, Search as Machine, Settings};
use crate::search::noise::Answer as Said;
use crate::search::set::Set;
use memory::{Bundle, Memory, Universe};

/// When some of up to this many forms fail together, each is run alone at once; more are bisected.
const FEW: usize = 6;

/// What is asked.
pub(super) struct Question<'a> {
    /// The plan that the search belongs to.
    pub(crate) plan: &'a Plan,
    /// The search.
    pub(crate) search: &'a Search,
    /// The image.
    pub(crate) candidate: Candidate,
    /// What the platform is told; without requests after healthy.
    pub(crate) service: Arc<Service>,
}

impl Question<'_> {
    /// The id of a set: that of its planned case, else one that the search gives.
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
        Job { candidate, service, case: self.case(set), provisional, again: false }
    }
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

/// Whether the results so far would have met a condition: each is looked at once.
#[derive(Clone, Default)]
struct Touched {
    /// How many results have been looked at.
    results: usize,
    is_met: bool,
    /// Why the first that says so would not have met it.
    because: Option<String>,
}

impl Touched {
    fn take(&mut self, touch: Touch) {
        match touch {
            Touch::Met => self.is_met = true,
            Touch::NotMet(why) => self.because = self.because.take().or(Some(why)),
            Touch::Unknown => {}
        }
    }
}

/// An inquiry under way.
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
    memory: Memory,
    files: Option<ImageFiles>,
    /// What the results say of conditions that were asked about.
    touched: BTreeMap<Condition, Touched>,
    /// Conditions of the battery that are searched among now.
    active: Vec<Condition>,
    pruned: Vec<Left>,
    skipped: Vec<Left>,
    begun: Instant,
    /// True once conditions have been set aside.
    searching: bool,
    /// True when it ended before it had its answer.
    stopped: bool,
    /// What was last told of the progress.
    told: (String, Vec<ConditionSet>),
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
        memory: Memory::default(),
        files: None,
        active: question.search.conditions.clone(),
        touched: BTreeMap::new(),
        pruned: Vec::new(),
        skipped: Vec::new(),
        begun: Instant::now(),
        searching: false,
        stopped: false,
        told: Default::default(),
    };
    inquiry.restore();
    inquiry.answer().await
}

impl Inquiry<'_, '_> {
    async fn answer(&mut self) -> Answer {
        let statics = self.statics().await;
        if let Some(finding) = statics.iter().find(|finding| decides(finding) || finding.cause.id == "arch-mismatch") {
            return self.of_image(finding.clone(), statics);
        }
        self.leave_out_what_the_host_cannot();
        self.doing("the baseline");
        let mut main = (self.universe(), Findings::default());
        let baseline = loop {
            let baseline = self.baseline().await;
            let is_foretold = self.provisional.is_some();
            if baseline == Verdict::Pass && !self.is_over() {
                self.files = self.look().await;
                self.touched.clear();
                self.suspect_what_is_needed();
                self.prune();
            }
            if baseline != Verdict::Unresolved && !self.is_over() {
                self.doing("the conditions");
                main = self.search().await;
            }
            // What was healthy so far may have come to something else.
            if !is_foretold || self.is_over() || self.baseline_verdict() == baseline {
                break baseline;
            }
        };
        let around = if baseline == Verdict::Pass && !self.is_over() {
            self.around(&main.0, &main.1).await
        } else {
            around::Around::default()
        };
        let stopped = self.is_over();
        if !stopped {
            self.cancel_speculative();
        }
        // Where the run stops, running jobs finish, and their results count.
        while !self.running.is_empty() {
            self.hear().await;
        }
        self.stopped = stopped;
        self.finish(&main.0, &main.1, around, statics)
    }

    /// Takes over what a run that is resumed has found out.
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

    /// Ends jobs that were started ahead and are not needed after all.
    fn cancel_speculative(&mut self) {
        for id in std::mem::take(&mut self.running).into_keys() {
            self.conductor.cancel(id);
        }
    }

    /// What the image says before anything runs.
    async fn statics(&mut self) -> Vec<Finding> {
        let files = self.inspect(ConditionSet::baseline()).await;
        let facts = &self.question.candidate.facts;
        findings(facts, files.as_ref(), &self.question.service)
    }

    /// The files of the image that matter under a set, unless the run stops before.
    async fn inspect(&mut self, set: ConditionSet) -> Option<ImageFiles> {
        let Question { service, candidate, .. } = self.question;
        let context = self.conductor.context.clone();
        let case = Case::new(&candidate.facts.reference, set);
        self.conductor.unless_stopped(context.inspector.look(service, candidate, &case)).await.flatten()
    }

    /// Every file of the image, for the names of variables.
    async fn look(&mut self) -> Option<ImageFiles> {
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

    fn leave_out_what_the_host_cannot(&mut self) {
        let limits = self.conductor.context.limits;
        for condition in self.question.search.conditions.iter().chain(&self.question.search.forms) {
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
        let question = self.question;
        for condition in &question.search.conditions {
            if self.skipped.iter().any(|s| s.condition == *condition) {
                continue;
            }
            let before = was_aside.contains(condition);
            // What is searched among stays, once the search has begun.
            let may = before || !self.searching;
            match may.then(|| self.unmet(condition)).flatten() {
                Some(because) => self.pruned.push(Left { condition: condition.clone(), because }),
                None => {
                    back |= before;
                    kept.push(condition.clone());
                }
            }
        }
        self.active = kept;
        self.searching = true;
        // Each result is looked at when it comes: there may be hundreds of forms.
        question.search.forms.iter().for_each(|form| drop(self.unmet(form)));
        back
    }

    /// Why no run so far would have met the condition.
    fn unmet(&mut self, condition: &Condition) -> Option<String> {
        if self.memory.suspicions().iter().any(|(suspect, _)| suspect == condition) {
            return None;
        }
        let Question { candidate, service, .. } = self.question;
        let (files, results) = (self.files.as_ref(), self.memory.results());
        let touched = self.touched.entry(condition.clone()).or_default();
        let new = results[touched.results..].iter();
        for result in new.filter(|r| r.verdict != Verdict::Unresolved) {
            touched.take(touch(candidate, service, files, result, condition));
        }
        touched.results = results.len();
        // What is healthy so far may still come to something else.
        let mut now = touched.clone();
        if let Some(provisional) = &self.provisional {
            now.take(touch(candidate, service, files, provisional, condition));
        }
        now.because.filter(|_| !now.is_met)
    }

    /// What is searched among: the active conditions one by one, and all that were set aside together. A run that has
    /// these as well proves more than their being set aside does.
    fn universe(&self) -> Universe {
        let aside = self.pruned.iter().map(|left| &left.condition);
        let aside = aside.filter(|c| self.question.search.conditions.contains(c)).cloned().collect();
        Universe { may_hide: true, ..Universe::each(self.active.clone()).and(aside) }
    }

    /// Searches among the active conditions; they may become more, or fewer, on the way.
    async fn search(&mut self) -> (Universe, Findings) {
        loop {
            let universes = [self.universe()];
            let (mut findings, end) = self.search_among(&universes, self.question.search.confidence, true).await;
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
        let mut searches: Vec<Machine> = universes.iter().map(|u| self.prepared(u, confidence)).collect();
        let findings = |searches: &mut [Machine]| searches.iter_mut().map(Machine::findings).collect::<Vec<_>>();
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
                if self.conductor.is_idle() {
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
            self.found();
        }
    }

    /// What the search wants where there is room, and, while the last runs of the main search go on, what is asked after
    /// it. Who is healthy is taken to pass.
    fn begin_what_is_wanted(&mut self, search: &mut Machine, universe: &Universe, is_main: bool) {
        if self.conductor.free() == 0 {
            return;
        }
        let (healthy, mut open) = self.healthy_and_open(search, universe);
        let mut guess = (!healthy.is_empty()).then(|| search.clone());
        let asked = guess.as_mut().unwrap_or(search);
        healthy.iter().for_each(|set| asked.record(*set, Said::Pass));
        let mut wanted = asked.next(self.conductor.free(), &open);
        // What takes longest begins first.
        let length = |set: &Set| estimate(&universe.conditions(*set)).0;
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
        if !is_main || self.conductor.free() == 0 || self.conductor.is_idle() {
            return;
        }
        if let Some(found) = guess.as_ref().unwrap_or(search).foreseen(&open) {
            let found: Vec<ConditionSet> = found.iter().map(|set| universe.conditions(*set)).collect();
            self.begin_forms(&found);
        }
    }

    /// The sets that run, in bits: those that are healthy and may pass, and all others.
    fn healthy_and_open(&self, search: &Machine, universe: &Universe) -> (Vec<Set>, Vec<Set>) {
        let in_bits = |run: &Running| Some((universe.bits(&run.conditions)?, run.is_watched));
        let runs = self.running.values().filter_map(in_bits);
        let (healthy, open): (Vec<_>, Vec<_>) =
            runs.partition(|(bits, is_watched)| *is_watched && search.may_pass(*bits));
        let bits = |runs: Vec<(Set, bool)>| runs.into_iter().map(|(bits, _)| bits).collect();
        (bits(healthy), bits(open))
    }

    /// A search that knows everything that was run already.
    fn prepared(&self, universe: &Universe, confidence: f64) -> Machine {
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
        // Everything but the forms is known to be harmless. Only a few are worth a run each.
        let is_form = |n: &usize| universe.bundles[*n].iter().all(|c| self.question.search.forms.contains(c));
        let forms: Vec<usize> = (0..universe.bundles.len()).filter(is_form).collect();
        if forms.len() <= FEW && self.memory.last_answer(&universe.conditions(universe.all())) == Some(Said::Fail) {
            forms.into_iter().for_each(|n| search.suspect(n, NAMED));
        }
    }

    fn is_running(&self, set: &ConditionSet) -> bool {
        self.running.values().any(|run| run.conditions == *set)
    }

    fn start(&mut self, conditions: ConditionSet) {
        tracing::debug!(%conditions, "begun");
        // A clean start says at once what it needs.
        let job = self.question.job(&conditions, conditions.is_empty());
        super::add_step(self.conductor, self.question.plan, self.question.search, &job.case);
        let id = self.conductor.start(job);
        self.running.insert(id, Running { conditions, is_watched: false });
    }

    /// Waits for the next result, and keeps it; `None` for anything else that may change what is run.
    async fn hear(&mut self) -> Option<ConditionSet> {
        loop {
            match self.conductor.next().await {
                Some(Heard::Phase(id, phase)) => {
                    let Some(run) = self.running.get_mut(&id) else { continue };
                    if phase != Phase::Soak {
                        continue;
                    }
                    run.is_watched = true;
                }
                Some(Heard::Provisional(result)) => self.provisional = Some(Arc::from(result)),
                Some(Heard::Finished(id, result)) => {
                    let Some(run) = self.running.remove(&id) else { continue };
                    self.keep(&run.conditions, Arc::from(result));
                    return Some(run.conditions);
                }
                Some(Heard::Broken(id)) => {
                    self.running.remove(&id);
                    self.conductor.drain(super::BROKEN);
                }
                Some(Heard::Stopped(left)) => self.running.retain(|id, _| !left.contains(id)),
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

    /// Tells what the search is doing.
    fn doing(&mut self, what: &str) {
        what.clone_into(&mut self.told.0);
        self.tell();
    }

    /// Tells which sets fail as far as is known.
    fn found(&mut self) {
        let found = self.memory.smallest_failing();
        if found != self.told.1 {
            self.told.1 = found;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let (doing, found) = self.told.clone();
        self.conductor.stamp(Event::SearchProgress { id: self.question.search.id.clone(), doing, found });
    }

    /// Waits until nothing runs.
    async fn hear_all(&mut self) {
        while !self.conductor.is_idle() && !self.is_over() {
            self.hear().await;
        }
    }

    fn is_over(&self) -> bool {
        self.conductor.is_stopping()
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
