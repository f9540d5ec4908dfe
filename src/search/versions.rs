//! Finds the first bad version of an ordered list.
//!
//! If every answer is believed, the free slots split the remaining range evenly. If answers may be wrong, the exact
//! posterior over the first bad version and the rates decides: the next run is the one whose answer says most about the
//! first bad version (noisy bisection by expected information: B. Jedynak and others, *Twenty questions with noise*,
//! 2012).
//!
//! Both rest on one assumption: once bad, the versions stay bad. So there are `count` + 1 possibilities for the first
//! bad one: 0 means that all are bad, `count` that none is.

use super::noise::{Answer, Noise, Rates, Tally};

/// The prior probability of each extreme: all versions are bad, and none is.
const END: f64 = 0.05;

/// No version is run more often than this: with answers that fit no rates, the search would never end.
const MOST: u32 = 60;

/// Number of combinations of pending answers considered: all of them for up to five runs, then the likeliest.
const COURSES: usize = 32;

/// If answers may be wrong, no rate is closer to 0 or 1 than this: an impossible answer could never be corrected.
const NEVER: f64 = 1e-9;

/// How certain the answer must be.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// How far a single answer is trusted.
    pub noise: Noise,
    /// The probability at which a culprit is named, for example 0.99. Unused without noise.
    pub confidence: f64,
}

/// What is known of the first bad version. Versions are counted from 0, the oldest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Culprit {
    /// This version is the first bad one; the one before it is good.
    First(usize),
    /// The first bad version is one of these, inclusive: those before the last are unresolved or, if the search was
    /// stopped early, not run often enough. From 0 on, all may be bad.
    AnyOf(usize, usize),
    /// The newest version is good, and so are all before it.
    NoneBad,
    /// The oldest version is already bad.
    AllBad,
    /// An end is unresolved and no other version helps, or too little was run.
    Unknown,
}

/// A search for the first bad version.
#[derive(Clone, Debug)]
pub struct Versions {
    tally: Vec<Tally>,
    /// `None` if every answer is believed.
    belief: Option<Belief>,
}

impl Versions {
    /// A search among `count` versions.
    ///
    /// # Panics
    ///
    /// With fewer than two versions: there is nothing to search.
    #[must_use]
    pub fn new(count: usize, settings: Settings) -> Self {
        assert!(count >= 2, "a search needs two versions");
        let certain = settings.noise.rates().iter().all(|(rates, _)| *rates == Rates::CERTAIN);
        let tally = vec![Tally::default(); count];
        let belief = (!certain).then(|| Belief::new(&tally, &settings));
        Self { tally, belief }
    }

    /// The versions to run now, at most `free`, while those in `running` have not answered. A version may occur twice:
    /// it is then run twice in parallel.
    ///
    /// Empty while something runs: wait for it. Empty while nothing runs: the culprit is final.
    pub fn next(&mut self, free: usize, running: &[usize]) -> Vec<usize> {
        let ends: Vec<usize> = [self.tally.len() - 1, 0].into_iter().filter(|v| self.tally[*v].is_open()).collect();
        if !ends.is_empty() {
            return ends.into_iter().filter(|end| !running.contains(end)).take(free).collect();
        }
        match &self.belief {
            None => self.evenly(free, running),
            Some(belief) => self.most_informative(belief, free, running),
        }
    }

    /// Records the answer of a run.
    pub fn record(&mut self, version: usize, answer: Answer) {
        self.tally[version].add(answer);
        if let Some(belief) = &mut self.belief {
            belief.update(&self.tally);
        }
    }

    /// What is known now, also if the search is stopped early.
    #[must_use]
    pub fn culprit(&self) -> Culprit {
        let count = self.tally.len();
        match self.range() {
            (0, 0) => Culprit::AllBad,
            (first, last) if first == last && last < count => Culprit::First(first),
            (first, last) if first == last => Culprit::NoneBad,
            (_, last) if last == count => Culprit::Unknown,
            (first, last) => Culprit::AnyOf(first, last),
        }
    }

    /// The probability that the culprit is right; 0 if it is unknown.
    #[must_use]
    pub(crate) fn confidence(&self) -> f64 {
        let (first, last) = self.range();
        match &self.belief {
            _ if self.culprit() == Culprit::Unknown => 0.0,
            None => 1.0,
            Some(belief) => belief.marginal()[first..=last].iter().sum::<f64>().min(1.0),
        }
    }

    /// The range, inclusive, that the first bad version is in. The version before it was seen passing and its last one
    /// failing, whatever the posterior says: wrong rates cannot name a version that never failed.
    fn range(&self) -> (usize, usize) {
        let count = self.tally.len();
        let (first, last) = match &self.belief {
            Some(belief) => belief.credible(),
            None => {
                let bad = self.tally.iter().position(|tally| tally.fails > 0).unwrap_or(count);
                (bad, bad)
            }
        };
        let good = self.tally[..first].iter().rposition(|tally| tally.passes > 0);
        let bad = self.tally[last..].iter().position(|tally| tally.fails > 0);
        (good.map_or(0, |good| good + 1), bad.map_or(count, |bad| last + bad))
    }

    /// The versions in the range that are worth running, oldest first.
    fn useful(&self) -> impl Iterator<Item = usize> {
        let (first, last) = self.range();
        (first..last).filter(|version| !self.tally[*version].is_spent())
    }

    /// Splits the range into even parts. An unresolved version is run again only when no other is left.
    fn evenly(&self, free: usize, running: &[usize]) -> Vec<usize> {
        let pool: Vec<usize> = self.useful().filter(|version| !running.contains(version)).collect();
        let fresh: Vec<usize> = pool.iter().copied().filter(|version| self.tally[*version].unresolved == 0).collect();
        spread(if fresh.is_empty() { &pool } else { &fresh }, free, running)
    }

    /// The most informative versions, chosen one after the other, given the possible answers of those before.
    fn most_informative(&self, belief: &Belief, free: usize, running: &[usize]) -> Vec<usize> {
        let useful: Vec<usize> = self.useful().collect();
        let mut courses = vec![belief.joint.clone()];
        let mut taken = running.to_vec();
        let mut foreseen = 0;
        while taken.len() < running.len() + free {
            courses = taken[foreseen..].iter().fold(courses, |all, version| belief.foresee(&all, *version));
            foreseen = taken.len();
            let gain = belief.information(&courses);
            let open = useful.iter().copied().filter(|version| self.may_run(*version, &taken));
            let Some(best) = open.max_by(|a, b| gain[*a].total_cmp(&gain[*b])) else { break };
            taken.push(best);
        }
        taken.split_off(running.len())
    }

    /// False if the running runs may already be all that an unresolved version gets.
    fn may_run(&self, version: usize, taken: &[usize]) -> bool {
        let tally = self.tally[version];
        let under_way = taken.iter().filter(|other| **other == version).count();
        tally.decisive() > 0 || tally.unresolved as usize + under_way < 2
    }
}

/// Spreads `picks` picks evenly over the pool, between the running ones.
fn spread(pool: &[usize], picks: usize, running: &[usize]) -> Vec<usize> {
    let apart = |a: &usize, b: &usize| running.iter().any(|version| a < version && version < b);
    let mut gaps: Vec<(&[usize], usize)> = pool.chunk_by(|a, b| !apart(a, b)).map(|gap| (gap, 0)).collect();
    for _ in 0..picks.min(pool.len()) {
        let part = |(gap, picks): &(&[usize], usize)| (gap.len() - picks) as f64 / (picks + 1) as f64;
        if let Some((_, picks)) = gaps.iter_mut().max_by(|a, b| part(a).total_cmp(&part(b))) {
            *picks += 1;
        }
    }
    let even = |(gap, picks): (&[usize], usize)| -> Vec<usize> {
        (1..=picks).map(|pick| gap[pick * (gap.len() + 1) / (picks + 1) - 1]).collect()
    };
    gaps.into_iter().flat_map(even).collect()
}

/// The joint probability of every first bad version and every pair of rates.
#[derive(Clone, Debug)]
struct Belief {
    rates: Vec<(Rates, f64)>,
    confidence: f64,
    /// For each possible first bad version, one weight per pair of rates.
    joint: Vec<f64>,
}

impl Belief {
    fn new(tally: &[Tally], settings: &Settings) -> Self {
        let possible = |rate: f64| rate.clamp(NEVER, 1.0 - NEVER);
        let soften = |rates: Rates| Rates { fires: possible(rates.fires), spurious: possible(rates.spurious) };
        let rates = settings.noise.rates().iter().map(|(rates, weight)| (soften(*rates), *weight)).collect();
        let mut belief = Self { rates, confidence: settings.confidence.min(1.0 - NEVER), joint: Vec::new() };
        belief.update(tally);
        belief
    }

    /// Recomputes it from all answers, in logarithms: after hundreds of answers the likelihoods underflow.
    fn update(&mut self, tally: &[Tally]) {
        let count = tally.len();
        let inner = (1.0 - 2.0 * END) / (count - 1) as f64;
        let prior = |first: usize| if first == 0 || first == count { END } else { inner };
        self.joint = vec![0.0; (count + 1) * self.rates.len()];
        for (column, (rates, weight)) in self.rates.iter().enumerate() {
            let (bad, good) = (Likelihood::new(*rates, true), Likelihood::new(*rates, false));
            let mut log = weight.ln() + tally.iter().map(|tally| bad.of(*tally)).sum::<f64>();
            for first in 0..=count {
                self.joint[first * self.rates.len() + column] = log + prior(first).ln();
                if let Some(tally) = tally.get(first) {
                    log += good.of(*tally) - bad.of(*tally);
                }
            }
        }
        let most = self.joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.joint.iter_mut().for_each(|log| *log = (*log - most).exp());
        let sum: f64 = self.joint.iter().sum();
        self.joint.iter_mut().for_each(|weight| *weight /= sum);
    }

    /// The probability of each first bad version.
    fn marginal(&self) -> Vec<f64> {
        self.joint.chunks(self.rates.len()).map(|row| row.iter().sum()).collect()
    }

    /// The shortest range of first bad versions that reaches the confidence; of several, the likeliest.
    fn credible(&self) -> (usize, usize) {
        let marginal = self.marginal();
        let (mut best, mut most) = ((0, marginal.len() - 1), 0.0);
        let (mut first, mut mass) = (0, 0.0);
        for (last, weight) in marginal.iter().enumerate() {
            mass += weight;
            while first < last && mass - marginal[first] >= self.confidence {
                mass -= marginal[first];
                first += 1;
            }
            let (length, shortest) = (last - first, best.1 - best.0);
            if mass >= self.confidence && (length < shortest || (length == shortest && mass > most)) {
                (best, most) = ((first, last), mass);
            }
        }
        best
    }

    /// For each version, how much one more run of it says about the first bad version: the mutual information, averaged
    /// over the possible answers of the running ones.
    fn information(&self, courses: &[Vec<f64>]) -> Vec<f64> {
        let mut gain = vec![0.0; self.joint.len() / self.rates.len() - 1];
        for course in courses {
            let rows: Vec<Row> = course.chunks(self.rates.len()).map(|row| self.row(row)).collect();
            let mass: f64 = rows.iter().map(|row| row.mass).sum();
            let mut fails: f64 = rows.iter().map(|row| row.good).sum();
            let mut left: f64 = rows.iter().map(|row| entropy(row.mass, row.good)).sum();
            for (gain, row) in gain.iter_mut().zip(&rows) {
                fails += row.bad - row.good;
                left += entropy(row.mass, row.bad) - entropy(row.mass, row.good);
                *gain += entropy(mass, fails) - left;
            }
        }
        gain
    }

    fn row(&self, weights: &[f64]) -> Row {
        let zip = || weights.iter().zip(&self.rates);
        Row {
            mass: weights.iter().sum(),
            bad: zip().map(|(weight, (rates, _))| weight * rates.fires).sum(),
            good: zip().map(|(weight, (rates, _))| weight * rates.spurious).sum(),
        }
    }

    /// Each course, continued with either answer of one more run of this version.
    fn foresee(&self, courses: &[Vec<f64>], version: usize) -> Vec<Vec<f64>> {
        let fails = |place: usize| {
            let (rates, _) = self.rates[place % self.rates.len()];
            rates.fails(place / self.rates.len() <= version)
        };
        let fail = |course: &Vec<f64>| course.iter().enumerate().map(|(place, w)| w * fails(place)).collect();
        let pass = |course: &Vec<f64>| course.iter().enumerate().map(|(place, w)| w * (1.0 - fails(place))).collect();
        let mut all: Vec<Vec<f64>> = courses.iter().flat_map(|course| [fail(course), pass(course)]).collect();
        if all.len() > COURSES {
            all.sort_by_cached_key(|course| std::cmp::Reverse((course.iter().sum::<f64>() * 1e15) as u64));
            all.truncate(COURSES);
        }
        all
    }
}

/// The weight of one first bad version, and its part in which a run of a bad or of a good version fails.
struct Row {
    mass: f64,
    bad: f64,
    good: f64,
}

/// The entropy of whether a run fails, times the weight of all possibilities.
fn entropy(mass: f64, fails: f64) -> f64 {
    let part = |weight: f64| if weight > 0.0 { -weight * (weight / mass).ln() } else { 0.0 };
    part(fails) + part(mass - fails)
}

/// The logarithms of the probabilities of a failure and of a pass.
struct Likelihood {
    fail: f64,
    pass: f64,
}

impl Likelihood {
    fn new(rates: Rates, bad: bool) -> Self {
        Self { fail: rates.fails(bad).ln(), pass: (1.0 - rates.fails(bad)).ln() }
    }

    fn of(&self, tally: Tally) -> f64 {
        f64::from(tally.fails) * self.fail + f64::from(tally.passes) * self.pass
    }
}

impl Tally {
    /// Whether it has no answer yet and may be run again.
    fn is_open(self) -> bool {
        self.decisive() == 0 && !self.is_spent()
    }

    /// Whether it is not run any more: it stays unresolved, or was run often enough.
    fn is_spent(self) -> bool {
        self.decisive() + self.unresolved >= if self.decisive() == 0 { 2 } else { MOST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Splitmix64.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, count: usize) -> usize {
            (self.next() % count as u64) as usize
        }

        fn chance(&mut self, share: f64) -> bool {
            ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < share
        }
    }

    /// The versions of a test, and when the search is stopped.
    #[derive(Clone, Debug)]
    struct World {
        count: usize,
        first_bad: usize,
        rates: Rates,
        silent: Vec<usize>,
        budget: usize,
    }

    impl World {
        fn of(count: usize, first_bad: usize, rates: Rates) -> Self {
            Self { count, first_bad, rates, silent: Vec::new(), budget: usize::MAX }
        }

        /// The best possible answer if every version is run and none fails by chance.
        fn knowable(&self) -> Culprit {
            let speaks = |version: &usize| !self.silent.contains(version);
            let first = (0..self.first_bad).rev().find(speaks).map_or(0, |good| good + 1);
            match (first, (self.first_bad..self.count).find(speaks)) {
                (_, Some(0)) => Culprit::AllBad,
                (first, None) if first == self.count => Culprit::NoneBad,
                (_, None) => Culprit::Unknown,
                (first, Some(last)) if first == last => Culprit::First(last),
                (first, Some(last)) => Culprit::AnyOf(first, last),
            }
        }

        fn agrees(&self, culprit: Culprit) -> bool {
            match culprit {
                Culprit::First(version) => version == self.first_bad && version > 0,
                Culprit::AnyOf(first, last) => (first..=last).contains(&self.first_bad) && first < last,
                Culprit::NoneBad => self.first_bad == self.count,
                Culprit::AllBad => self.first_bad == 0,
                Culprit::Unknown => true,
            }
        }
    }

    /// Searches with `slots` slots, answers arriving in any order, and returns the runs in order.
    fn search(world: &World, noise: &Noise, slots: usize, random: &mut Random) -> (Versions, Vec<usize>) {
        let mut search = Versions::new(world.count, Settings { noise: noise.clone(), confidence: 0.99 });
        let (mut running, mut runs) = (Vec::new(), Vec::new());
        loop {
            let free = (slots - running.len()).min(world.budget.saturating_sub(runs.len()));
            let next = search.next(free, &running);
            assert!(next.len() <= free && next.iter().all(|version| *version < world.count));
            runs.extend(&next);
            running.extend(next);
            if running.is_empty() {
                return (search, runs);
            }
            let version = running.swap_remove(random.below(running.len()));
            let fails = random.chance(world.rates.fails(version >= world.first_bad));
            let answer = if fails { Answer::Fail } else { Answer::Pass };
            search.record(version, if world.silent.contains(&version) { Answer::Unresolved } else { answer });
        }
    }

    /// The mean number of runs and the share of right answers, over 1,000 searches among 20 versions.
    fn measured(noise: &Noise, rates: Rates, truth: impl Fn(&mut Random) -> usize) -> (f64, f64) {
        let mut random = Random(7);
        let (mut sum, mut right) = (0, 0);
        for _ in 0..1000 {
            let world = World::of(20, truth(&mut random), rates);
            let (done, runs) = search(&world, noise, 1, &mut random);
            sum += runs.len();
            right += usize::from(done.culprit() == world.knowable());
        }
        (sum as f64 / 1000.0, f64::from(u16::try_from(right).unwrap()) / 1000.0)
    }

    const TYPICAL: Rates = Rates { fires: 0.7, spurious: 0.02 };

    #[test]
    fn bisects_in_logarithmically_many_runs_without_noise() {
        for first_bad in 1..20 {
            let world = World::of(20, first_bad, Rates::CERTAIN);
            let (done, runs) = search(&world, &Noise::none(), 1, &mut Random(1));
            assert_eq!((done.culprit(), done.confidence()), (Culprit::First(first_bad), 1.0));
            assert!(runs.len() <= 2 + 5, "{runs:?}");
        }
    }

    #[test]
    fn slots_split_evenly() {
        let mut search = Versions::new(21, Settings { noise: Noise::none(), confidence: 0.99 });
        assert_eq!(search.next(8, &[]), [20, 0], "the ends come first");
        assert!(search.next(8, &[20, 0]).is_empty());
        search.record(20, Answer::Fail);
        assert!(search.next(8, &[0]).is_empty());
        search.record(0, Answer::Pass);
        assert_eq!(search.next(3, &[]), [5, 10, 15]);
        search.record(10, Answer::Pass);
        assert_eq!(search.next(2, &[5, 15]), [12, 17], "between the running ones");
        assert_eq!(search.culprit(), Culprit::AnyOf(11, 20));
    }

    #[test]
    fn tries_neighbours_of_unresolved_versions() {
        let world = World { silent: vec![4, 5, 6], ..World::of(11, 5, Rates::CERTAIN) };
        let (done, runs) = search(&world, &Noise::none(), 1, &mut Random(1));
        assert_eq!(runs, [10, 0, 5, 4, 6, 3, 8, 7, 5, 4, 6]);
        assert_eq!(done.culprit(), Culprit::AnyOf(4, 7));
        let world = World { silent: vec![5], ..World::of(11, 8, Rates::CERTAIN) };
        assert_eq!(search(&world, &Noise::none(), 1, &mut Random(1)).1, [10, 0, 5, 4, 7, 8], "not run again");
    }

    #[test]
    fn few_runs_with_noisy_answers() {
        let inner = |random: &mut Random| 1 + random.below(19);
        for (fires, spurious, most, least) in
            [(0.7, 0.02, 19.5, 0.985), (0.6, 0.05, 25.0, 0.97), (0.85, 0.0, 15.5, 0.985), (1.0, 0.0, 14.0, 1.0)]
        {
            let (mean, right) = measured(&Noise::about(TYPICAL), Rates { fires, spurious }, inner);
            assert!(mean <= most && right >= least, "{fires} {spurious}: {mean} runs, {right} right");
        }
        let (mean, right) = measured(&Noise::unknown(0.1), Rates::CERTAIN, inner);
        assert!(mean <= 9.0 && right >= 1.0, "{mean} runs, {right} right");
    }

    #[test]
    fn confirms_ends_that_agree() {
        for first_bad in [0, 20] {
            let (mean, right) = measured(&Noise::about(TYPICAL), TYPICAL, |_| first_bad);
            assert!(mean <= 20.0 && right >= 0.95, "{first_bad}: {mean} runs, {right} right");
        }
    }

    #[test]
    fn contradiction_lowers_confidence() {
        let mut search = Versions::new(4, Settings { noise: Noise::unknown(0.1), confidence: 0.9 });
        for (version, answer) in [(3, Answer::Fail), (0, Answer::Pass), (1, Answer::Pass), (2, Answer::Fail)] {
            search.record(version, answer);
        }
        assert_eq!((search.culprit(), search.next(1, &[])), (Culprit::First(2), vec![]));
        search.record(1, Answer::Fail);
        assert_eq!(search.next(1, &[]), [1], "flaky: either answer may be by chance");
        assert!(search.culprit() != Culprit::First(2));
    }

    #[test]
    fn ends_with_answers_that_fit_no_rates() {
        let chance = Rates { fires: 0.25, spurious: 0.25 };
        for seed in 0..20 {
            let (_, runs) = search(&World::of(8, 4, chance), &Noise::about(TYPICAL), 3, &mut Random(seed));
            assert!(runs.len() <= 8 * (MOST as usize + 2), "{}", runs.len());
        }
    }

    #[test]
    fn searches_a_thousand_versions() {
        let (done, runs) = search(&World::of(1000, 613, TYPICAL), &Noise::about(TYPICAL), 4, &mut Random(3));
        assert_eq!(done.culprit(), Culprit::First(613));
        assert!(runs.len() <= 60, "{runs:?}");
    }

    fn worlds() -> impl Strategy<Value = World> {
        let silent = proptest::collection::vec(0..30usize, 0..12);
        (2..30usize, 0..=30usize, silent, prop_oneof![Just(usize::MAX), 0..30usize]).prop_map(
            |(count, first_bad, silent, budget)| {
                let world = World::of(count, first_bad.min(count), Rates::CERTAIN);
                World { silent, budget, ..world }
            },
        )
    }

    proptest! {
        #[test]
        fn claims_no_more_than_is_known(world in worlds(), slots in 1..=5usize, noise in 0..3usize, seed: u64) {
            let noises = [Noise::none(), Noise::unknown(0.1), Noise::about(TYPICAL)];
            let (done, runs) = search(&world, &noises[noise], slots, &mut Random(seed));
            prop_assert!(world.agrees(done.culprit()), "{:?}", done.culprit());
            prop_assert!(runs.len() <= 4 * world.count + 10 + noise * 10, "{runs:?}");
            for silent in &world.silent {
                prop_assert!(runs.iter().filter(|version| *version == silent).count() <= 2);
            }
            if world.budget == usize::MAX {
                prop_assert_eq!(done.culprit(), world.knowable());
            }
        }
    }
}
