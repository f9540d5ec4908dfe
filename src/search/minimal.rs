//! The search for the minimal failing sets of conditions, as one state machine.
//!
//! While answers agree with each other, all of them are believed. The next run is either the most informative one about
//! the family of failing sets (up to [`families::MOST`] conditions) or the one the descent needs. The descent decides
//! last, because its certificate holds for families of any kind. The certificate's runs are then repeated until the
//! requested confidence is reached. Contradicting answers are run again: if an answer changes, the crash is flaky and
//! the search continues with a noise model; if they stay, a condition heals.

mod findings;
mod flaky;
mod healing;
mod hidden;

use std::collections::BTreeMap;

use super::descent::{Answers, Descent, descend};
use super::families::{self, Posterior};
use super::noise::{Answer, Noise, Rates, Tally};
use super::set::{Set, largest_without, smallest};

/// The prior probability that a crash is flaky.
const FLAKY: f64 = 0.2;
/// Assumed rates of a flaky crash.
const ASSUMED: Rates = Rates { fires: 0.7, spurious: 0.02 };
/// A run is worth a free slot if it has at least this share of the best run's value.
const WORTH: f64 = 0.4;
/// A run that is needed regardless of other answers, with at least this probability, starts as soon as there is room.
const SURE: f64 = 0.75;
/// Number of baseline runs before it is judged flaky or not.
const BASELINES: u32 = 3;
/// The prior probability that nothing is hidden behind the conditions that may heal.
const NOTHING_HIDDEN: f64 = 0.9;
/// A suspicion of at least this factor means that the evidence names the condition.
pub(crate) const NAMED: f64 = 10.0;
/// Number of posteriors kept.
const MOST_BELIEFS: usize = 3;
/// The search gives up after this many runs per condition, plus four conditions' worth for small searches.
const MOST_RUNS: usize = 12;
/// A set with more than this share of the posterior is taken for certain, which makes room for others in the families.
const CERTAIN: f64 = 0.995;

/// Settings of a search.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// The number of conditions, at most `set::MOST`.
    pub conditions: usize,
    /// For each condition, 1 if nothing is known about it, more if evidence points to it.
    pub suspicion: Vec<f64>,
    /// Conditions that may prevent a failure, because they change what the program does.
    pub may_heal: Set,
    /// Conditions that may hide each other's failure: each is also run without each of the others.
    pub may_hide: Set,
    /// Conditions that are probably harmless: they are added to runs that will probably pass, which proves it. If one
    /// matters after all, it is searched like the others.
    pub aside: Set,
    /// Known noise rates; `None` to believe answers until they contradict each other.
    pub rates: Option<Rates>,
    /// The requested confidence, from 0 to 1.
    pub confidence: f64,
}

impl Settings {
    /// Settings for conditions nothing is known about.
    #[must_use]
    pub fn plain(conditions: usize) -> Self {
        Self {
            conditions,
            suspicion: vec![1.0; conditions],
            may_heal: Set::EMPTY,
            may_hide: Set::EMPTY,
            aside: Set::EMPTY,
            rates: None,
            confidence: 0.95,
        }
    }
}

/// Conditions that prevent a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Healing {
    /// The conditions with which the failure does not occur.
    pub(crate) healers: Set,
    /// The failing set they heal.
    pub(crate) heals: Set,
}

/// What a search has found so far; its answer once it has finished.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Findings {
    /// Minimal failing sets.
    pub sets: Vec<Set>,
    /// Failing sets that may not be minimal: some of their parts are unresolved.
    pub perhaps: Vec<Set>,
    /// The largest sets that pass.
    pub passing: Vec<Set>,
    /// Sets whose subsets may fail: unresolved, or not run.
    pub open: Vec<Set>,
    /// Which conditions heal which failing sets.
    pub healed: Vec<Healing>,
    /// Whether runs of one set gave different answers.
    pub flaky: bool,
    /// The confidence in the answer, from 0 to 1.
    pub confidence: f64,
    /// Whether nothing is left to run.
    pub finished: bool,
}

impl Findings {
    /// Whether there is no other minimal failing set, assuming that adding a condition never fixes a failure.
    #[must_use]
    pub(crate) fn complete(&self) -> bool {
        self.finished && self.open.is_empty() && self.perhaps.is_empty() && self.healed.is_empty()
    }
}

/// A search for minimal failing sets.
#[derive(Clone, Default)]
pub struct Search {
    settings: Settings,
    tallies: BTreeMap<Set, Tally>,
    /// The conditions, without those that heal.
    universe: Set,
    healed: Vec<Healing>,
    /// Sets found before a healer was removed.
    earlier: Vec<Set>,
    /// A failing set and a larger passing one, both confirmed by repeats.
    healing: Option<(Set, Set)>,
    flaky: bool,
    /// Sets taken for certain while the crash is flaky.
    certain: Vec<Set>,
    /// The costs of a failing and of a passing run, in any unit.
    costs: (f64, f64),
    /// The most recently used posteriors, newest first.
    beliefs: Vec<Belief>,
}

/// What a posterior is about.
#[derive(Clone, PartialEq, Debug)]
struct Frame {
    universe: Set,
    /// Sets taken for certain.
    known: Vec<Set>,
    /// The prior probability that there is no other set.
    none: f64,
    noise: Noise,
}

/// A posterior and the answers it has learnt, so that only new ones are added.
#[derive(Clone)]
struct Belief {
    frame: Frame,
    suspicion: Vec<f64>,
    learnt: BTreeMap<Set, Tally>,
    posterior: Posterior,
}

/// Answers taken at face value, with their implications: every subset of a passing set passes, every superset of a
/// failing set fails.
struct Believed {
    passes: Vec<Set>,
    fails: Vec<Set>,
    unresolved: Vec<Set>,
}

impl Answers for Believed {
    fn of(&self, set: Set) -> Option<Answer> {
        if self.fails.iter().any(|f| f.is_subset(set)) {
            Some(Answer::Fail)
        } else if self.passes.iter().any(|p| set.is_subset(*p)) {
            Some(Answer::Pass)
        } else {
            self.unresolved.contains(&set).then_some(Answer::Unresolved)
        }
    }

    fn failing(&self, large: Set) -> Option<Set> {
        self.fails.iter().filter(|set| set.is_subset(large)).min_by_key(|set| set.len()).copied()
    }
}

impl Search {
    /// A search without answers.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let universe = Set::first(settings.conditions);
        let flaky = settings.rates.is_some_and(|rates| rates != Rates::CERTAIN);
        Self {
            settings,
            tallies: BTreeMap::new(),
            universe,
            healed: Vec::new(),
            earlier: Vec::new(),
            healing: None,
            flaky,
            certain: Vec::new(),
            costs: (1.0, 1.0),
            beliefs: Vec::new(),
        }
    }

    /// Raises the suspicion of a condition to this factor.
    pub(crate) fn suspect(&mut self, condition: usize, factor: f64) {
        if let Some(known) = self.settings.suspicion.get_mut(condition) {
            *known = known.max(factor);
        }
    }

    /// Sets the costs of a failing and of a passing run, both above 0.
    pub(crate) fn costs(&mut self, fails: f64, passes: f64) {
        self.costs = (fails, passes);
    }

    /// Whether the set is not known to fail.
    #[must_use]
    pub(crate) fn may_pass(&self, set: Set) -> bool {
        self.believed().of(set) != Some(Answer::Fail)
    }

    /// Records the answer of a run.
    pub fn record(&mut self, set: Set, answer: Answer) {
        let tally = self.tallies.entry(set).or_default();
        tally.add(answer);
        if tally.passes > 0 && tally.fails > 0 {
            self.flaky = true;
        }
    }

    /// How often each answer occurred for a set.
    #[must_use]
    pub(crate) fn tally(&self, set: Set) -> Tally {
        self.tallies.get(&set).copied().unwrap_or_default()
    }

    /// Sets to run now, at most `free`; `running` are those handed out earlier that have not answered. Empty while
    /// something runs: wait for it. Empty while nothing runs: the search has finished.
    pub fn next(&mut self, free: usize, running: &[Set]) -> Vec<Set> {
        let runs: u32 = self.tallies.values().map(|t| t.decisive() + t.unresolved).sum();
        if runs as usize >= MOST_RUNS * (self.settings.conditions + 4) {
            return Vec::new();
        }
        let mut wanted = self.beginning(running);
        if wanted.is_empty() && !self.is_waiting_for_the_beginning() && !self.fails_always() {
            wanted = if self.flaky { self.next_flaky(free, running) } else { self.next_plain(free, running) };
        }
        wanted.truncate(free);
        wanted
    }

    /// The baseline and all conditions together run first: they are the most informative.
    fn beginning(&self, running: &[Set]) -> Vec<Set> {
        let missing = |set: &Set| self.tally(*set).plain().is_none() && !running.contains(set);
        let everything = Set::first(self.settings.conditions);
        let mut first = vec![Set::EMPTY, everything];
        first.retain(missing);
        // Runs of an earlier search may have shown that a subset fails.
        if !self.flaky && self.believed().of(everything) == Some(Answer::Fail) {
            first.retain(|set| set.is_empty());
        }
        // A single failure of the baseline may be spurious.
        if self.is_waiting_for_the_beginning() && self.tally(Set::EMPTY).fails == 1 && !running.contains(&Set::EMPTY) {
            first.insert(0, Set::EMPTY);
        }
        first
    }

    fn is_waiting_for_the_beginning(&self) -> bool {
        let tally = self.tally(Set::EMPTY);
        tally.plain().is_none() || (tally.fails == 1 && tally.passes == 0)
    }

    /// Whether the baseline fails, so that no condition is needed.
    fn fails_always(&self) -> bool {
        let tally = self.tally(Set::EMPTY);
        match self.flaky {
            true => tally.decisive() >= BASELINES && tally.fails * 2 > tally.decisive(),
            false => tally.plain() != Some(Answer::Pass) && tally.fails != 1,
        }
    }

    /// The answers so far, taken at face value.
    fn believed(&self) -> Believed {
        let of = |wanted: Answer| {
            let inside = self
                .tallies
                .iter()
                .filter(|(set, tally)| set.is_subset(self.universe) && tally.plain() == Some(wanted));
            inside.map(|(set, _)| *set).collect::<Vec<Set>>()
        };
        Believed { passes: of(Answer::Pass), fails: of(Answer::Fail), unresolved: of(Answer::Unresolved) }
    }

    /// The descent with the answers so far.
    fn descent(&self) -> Descent {
        let mut first: Vec<usize> = self.universe.iter().filter(|n| self.settings.suspicion[*n] > 1.0).collect();
        first.sort_by(|a, b| self.settings.suspicion[*b].total_cmp(&self.settings.suspicion[*a]));
        if self.flaky {
            let (rates, error) = (self.settings.rates.unwrap_or(ASSUMED), (1.0 - self.settings.confidence) / 8.0);
            let tested = |set: Set| self.tally(set).decided(rates, error);
            descend(self.universe, &first, &tested)
        } else {
            descend(self.universe, &first, &self.believed())
        }
    }

    fn next_plain(&mut self, free: usize, running: &[Set]) -> Vec<Set> {
        if let Some((small, large)) = self.healing.or_else(|| self.contradiction()) {
            let mut wanted = self.settle(small, large, free, running);
            // What the evidence names is needed whatever heals, and that a larger set passed proves little now.
            let named = self.named(&[running, &wanted].concat(), |set| self.tally(set).plain().is_some());
            wanted.extend(named);
            return wanted;
        }
        // A run of everything, or of what the evidence names, is so informative that nothing else starts beside it,
        // except a run of everything that is not named: if the evidence is right, that is the next one.
        let everything = Set::first(self.settings.conditions);
        let believed = self.believed();
        let named = self.named(running, |set| believed.of(set).is_some());
        if running.contains(&everything) {
            return named;
        }
        if !named.is_empty() || running.iter().any(|set| self.is_named(*set)) {
            let rest = self.universe.without(self.all_named());
            let unknown = !rest.is_empty() && believed.of(rest).is_none() && !running.contains(&rest);
            let wanted: Vec<Set> = named.into_iter().chain(unknown.then_some(rest)).collect();
            let after = self.next_if_right(&wanted, running, free.saturating_sub(wanted.len()));
            return wanted.into_iter().chain(after).collect();
        }
        let aside = self.settings.aside;
        if self.universe.without(aside).len() <= families::MOST {
            let known = self.believed_sets().into_iter().filter(|set| set.shared(aside).is_empty()).collect();
            let frame = Frame { universe: self.universe.without(aside), ..self.frame(known, Noise::none()) };
            let wanted = self.most_informative(&frame, free, running);
            if !wanted.is_empty() {
                return wanted;
            }
            if !running.is_empty() {
                return self.ahead(&frame, running);
            }
        }
        let descent = self.descent();
        let fresh = |sets: Vec<Set>| sets.into_iter().filter(|set| !running.contains(set)).collect::<Vec<_>>();
        if !descent.needed.is_empty() {
            return fresh(descent.needed);
        }
        // One whole certificate first, then what it may hide, then the repeats.
        let wanted = fresh(self.hidden(&descent));
        if !wanted.is_empty() {
            return wanted;
        }
        if self.settings.rates == Some(Rates::CERTAIN) {
            return Vec::new();
        }
        let Some(share) = self.share(&descent) else { return fresh(self.repeats(&descent, free, running)) };
        if share >= self.settings.confidence {
            return Vec::new();
        }
        let wanted = self.most_informative(&self.doubting(), free, running);
        self.enough_repeats(self.barer(wanted, running), &descent, running)
    }

    /// Keeps only as many repeats as reach the requested confidence if they answer as expected; none if the running
    /// ones suffice.
    fn enough_repeats(&self, mut wanted: Vec<Set>, descent: &Descent, running: &[Set]) -> Vec<Set> {
        let believed = self.believed();
        let mut guess = self.clone();
        let tell = |guess: &mut Self, set: Set| {
            guess.record(set, believed.of(set).unwrap_or(Answer::Unresolved));
            guess.share(descent).is_some_and(|share| share >= self.settings.confidence)
        };
        if running.iter().fold(false, |_, set| tell(&mut guess, *set)) {
            return Vec::new();
        }
        if let Some(last) = wanted.iter().position(|set| tell(&mut guess, *set)) {
            wanted.truncate(last + 1);
        }
        wanted
    }

    /// Runs that the certificate will probably need, whatever the running ones answer.
    fn ahead(&mut self, frame: &Frame, running: &[Set]) -> Vec<Set> {
        let Some(posterior) = self.posterior(frame).filter(|_| running.len() <= families::MOST_PENDING) else {
            return Vec::new();
        };
        let fails: Vec<f64> = running.iter().map(|set| posterior.fails(*set)).collect();
        let known = self.believed();
        let mut likely: BTreeMap<Set, f64> = BTreeMap::new();
        for outcome in 0_u32..1 << running.len() {
            let failed = |n: usize| outcome >> n & 1 == 1;
            let weight = fails.iter().enumerate().map(|(n, p)| if failed(n) { *p } else { 1.0 - p }).product::<f64>();
            let answers = |set: Set| {
                let follows = |(n, run): (usize, &Set)| match failed(n) {
                    true => run.is_subset(set).then_some(Answer::Fail),
                    false => set.is_subset(*run).then_some(Answer::Pass),
                };
                known.of(set).or_else(|| running.iter().enumerate().find_map(follows))
            };
            let descent = descend(self.universe, &[], &answers);
            let found: Vec<Set> = descent.minimal.into_iter().chain(descent.perhaps).collect();
            let largest = largest_without(self.universe, &found);
            // Runs that shrink a failing set are not part of the certificate.
            for set in descent.needed.into_iter().filter(|set| largest.contains(set)) {
                *likely.entry(set).or_default() += weight;
            }
        }
        let mut wanted: Vec<(Set, f64)> = likely.into_iter().filter(|(_, weight)| *weight >= SURE).collect();
        wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
        wanted.into_iter().map(|(set, _)| set).filter(|set| !running.contains(set)).collect()
    }

    /// The frame that doubts every answer, because the crash may be flaky.
    fn doubting(&self) -> Frame {
        self.frame(Vec::new(), Noise::unknown(FLAKY))
    }

    /// The probability that the descent found exactly the failing sets, given that the crash may be flaky; `None` with too
    /// many conditions.
    ///
    /// Wrong answers lead to many or large sets, which are rarer than a flaky crash: then this is close to 0.
    fn share(&mut self, descent: &Descent) -> Option<f64> {
        if self.universe.len() > families::MOST {
            return None;
        }
        let sets = smallest(&descent.minimal.iter().chain(&descent.perhaps).copied().collect::<Vec<_>>());
        let frame = self.doubting();
        let posterior = self.posterior(&frame)?;
        let found = posterior.likeliest(64).into_iter().find(|(family, _)| *family == sets);
        // What is not among the likeliest is very unlikely, or not listed at all.
        Some(match found {
            Some((_, share)) => share,
            None if sets.is_empty() => 0.0,
            None => posterior.unlisted(&sets, frame.none, 1.0 - FLAKY),
        })
    }

    /// The same sets, each without the conditions that may heal if it passed and ran less often that way: a healer could
    /// hide a failure.
    fn barer(&self, mut wanted: Vec<Set>, running: &[Set]) -> Vec<Set> {
        let believed = self.believed();
        for at in 0..wanted.len() {
            let set = wanted[at];
            let bare = set.without(self.settings.may_heal);
            let tally = self.tally(bare);
            let rarer = tally.decisive() < self.tally(set).decisive() && tally.unresolved == 0;
            let is_new = !bare.is_empty() && !running.contains(&bare) && !wanted[..at].contains(&bare);
            if rarer && is_new && believed.of(set) == Some(Answer::Pass) {
                wanted[at] = bare;
            }
        }
        wanted
    }

    /// The named conditions, each alone, without those that run or are known. If the evidence is right, these runs are
    /// needed in any case.
    fn named(&self, running: &[Set], is_known: impl Fn(Set) -> bool) -> Vec<Set> {
        let named = self.all_named();
        named.iter().map(Set::one).filter(|set| !running.contains(set) && !is_known(*set)).collect()
    }

    /// What to run after `wanted` and `running` if the evidence is right: what it names fails, nothing else does.
    fn next_if_right(&self, wanted: &[Set], running: &[Set], free: usize) -> Vec<Set> {
        if free == 0 {
            return Vec::new();
        }
        let mut guess = self.clone();
        for set in wanted.iter().chain(running) {
            guess.record(*set, self.predicted(*set));
        }
        // A guess that contradicts known answers is worthless.
        if guess.contradiction().is_some() { Vec::new() } else { guess.next_plain(free, &[]) }
    }

    /// The minimal failing sets, if the answers of the running runs can be predicted (named conditions fail, everything
    /// else together passes, repeats answer as before) and nothing is left to run after them.
    #[must_use]
    pub(crate) fn foreseen(&self, running: &[Set]) -> Option<Vec<Set>> {
        if self.tally(Set::EMPTY).plain() != Some(Answer::Pass) || !self.healed.is_empty() {
            return None;
        }
        let mut guess = self.clone();
        let believed = self.believed();
        let rest = self.universe.without(self.all_named());
        for set in running {
            let is_foreseen = self.is_named(*set) || *set == rest;
            guess.record(*set, believed.of(*set).or(is_foreseen.then(|| self.predicted(*set)))?);
        }
        let open = guess.flaky || guess.contradiction().is_some() || !guess.next(1, &[]).is_empty();
        (!open).then(|| smallest(&guess.descent().minimal))
    }

    /// The answer for a set if the evidence is right.
    fn predicted(&self, set: Set) -> Answer {
        if set.shared(self.all_named()).is_empty() { Answer::Pass } else { Answer::Fail }
    }

    fn all_named(&self) -> Set {
        self.universe.iter().filter(|n| self.is_named(Set::one(*n))).collect()
    }

    fn is_named(&self, set: Set) -> bool {
        set.len() == 1 && set.iter().all(|n| self.settings.suspicion[n] >= NAMED)
    }

    /// Failing sets whose parts all pass.
    fn believed_sets(&self) -> Vec<Set> {
        let answers = self.believed();
        let fails = self.tallies.iter().filter(|(set, tally)| set.is_subset(self.universe) && tally.fails > 0);
        let minimal = |set: &Set| set.iter().all(|n| answers.of(set.without(Set::one(n))) == Some(Answer::Pass));
        smallest(&fails.map(|(set, _)| *set).filter(minimal).collect::<Vec<_>>())
    }

    /// The most informative runs; empty when the posterior has nothing left to learn.
    fn most_informative(&mut self, frame: &Frame, free: usize, running: &[Set]) -> Vec<Set> {
        let (fails, passes) = self.costs;
        let cost = |p: f64| p * fails + (1.0 - p) * passes;
        // Conditions set aside are added to runs that prove something when they pass.
        let aside = self.settings.aside.without(frame.universe).shared(self.universe);
        let largest = largest_without(frame.universe, &frame.known);
        let mut pending: Vec<Set> =
            running.iter().filter(|set| set.is_subset(frame.universe.union(self.settings.aside))).copied().collect();
        let dark: Vec<Set> =
            self.tallies.iter().filter(|(_, t)| t.plain() == Some(Answer::Unresolved)).map(|(s, _)| *s).collect();
        let Some(posterior) = self.posterior(frame) else { return Vec::new() };
        let mut wanted = Vec::new();
        let mut alone =
            if pending.is_empty() { None } else { posterior.most_informative(&[], cost).map(|best| best.value) };
        while wanted.len() < free && pending.len() <= families::MOST_PENDING {
            let Some(best) = posterior.most_informative(&pending, cost) else { break };
            let families::NextRun { run, value, needed } = best;
            let run = if largest.contains(&run) { run.union(aside) } else { run };
            let worth = value >= WORTH * *alone.get_or_insert(value) || needed >= SURE;
            if dark.contains(&run) || pending.contains(&run) || !worth {
                break;
            }
            pending.push(run);
            wanted.push(run);
        }
        wanted
    }

    /// The posterior after all answers; `None` when no family explains them.
    fn posterior(&mut self, frame: &Frame) -> Option<&Posterior> {
        let suspicion = &self.settings.suspicion;
        let same = |b: &Belief| b.frame == *frame && b.suspicion == *suspicion;
        let mut belief = match self.beliefs.iter().position(same) {
            Some(at) => self.beliefs.remove(at),
            None => Belief {
                frame: frame.clone(),
                suspicion: suspicion.clone(),
                learnt: BTreeMap::new(),
                posterior: Posterior::new(frame.universe, &frame.known, frame.none, suspicion, &frame.noise),
            },
        };
        // Conditions set aside count as harmless here.
        let room = frame.universe.union(self.settings.aside);
        for (set, tally) in self.tallies.iter().filter(|(set, _)| set.is_subset(room)) {
            let learnt = belief.learnt.entry(*set).or_default();
            let new = Tally { passes: tally.passes - learnt.passes, fails: tally.fails - learnt.fails, unresolved: 0 };
            if new.decisive() > 0 {
                belief.posterior.learn(*set, new);
                *learnt = *tally;
            }
        }
        self.beliefs.insert(0, belief);
        self.beliefs.truncate(MOST_BELIEFS);
        self.beliefs.first().map(|belief| &belief.posterior).filter(|posterior| !posterior.is_lost())
    }

    /// How often a set passed, counting runs without some of its possibly healing conditions.
    fn passed(&self, set: Set) -> u32 {
        let without = set.without(self.settings.may_heal);
        let runs = self.tallies.iter().filter(|(run, _)| without.is_subset(**run) && run.is_subset(set));
        runs.map(|(_, tally)| tally.passes).sum()
    }

    /// The probability that the certificate is right, given that the crash may be flaky.
    fn certificate(&self, descent: &Descent, more: &BTreeMap<Set, u32>) -> f64 {
        let times = |set: &Set, runs: u32| (runs + more.get(set).copied().unwrap_or(0)).max(1) as i32;
        let passes = descent.passing.iter().map(|set| 1.0 - (1.0 - ASSUMED.fires).powi(times(set, self.passed(*set))));
        let fails = descent.minimal.iter().map(|set| 1.0 - ASSUMED.spurious.powi(times(set, self.tally(*set).fails)));
        // Failures that occurred whenever expected speak against a flaky crash.
        let came: u32 = self.tallies.iter().filter(|(set, _)| !set.is_empty()).map(|(_, tally)| tally.fails).sum();
        let flaky = FLAKY * ASSUMED.fires.powi(came as i32);
        let flaky = if self.flaky { 1.0 } else { flaky / (flaky + 1.0 - FLAKY) };
        1.0 - flaky * (1.0 - passes.chain(fails).product::<f64>())
    }

    /// Repeats of the certificate's runs until the requested confidence is reached.
    fn repeats(&self, descent: &Descent, free: usize, running: &[Set]) -> Vec<Set> {
        let mut more: BTreeMap<Set, u32> = BTreeMap::new();
        running.iter().for_each(|set| *more.entry(*set).or_default() += 1);
        let mut wanted = Vec::new();
        while wanted.len() < free.min(64) && self.certificate(descent, &more) < self.settings.confidence {
            let least = |set: &&Set| self.passed(**set) + more.get(*set).copied().unwrap_or(0);
            let Some(weakest) = descent.passing.iter().min_by_key(least).copied() else { break };
            *more.entry(weakest).or_default() += 1;
            wanted.push(weakest);
        }
        wanted
    }
}

#[cfg(test)]
mod tests;
