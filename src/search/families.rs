//! An exact posterior over families of small failing sets, and the most informative next run.
//!
//! A family is a list of sets, none of which contains another. A run is *hit* when it contains one of them: it then
//! fails with the probability `fires`, any other run with `spurious`. The next run is the one with the greatest mutual
//! information between its answer and the family (D. V. Lindley, *On a measure of the information provided by an
//! experiment*, 1956). The share of the posterior that hits each run is summed over subsets for all runs at once (F.
//! Yates, *The design and analysis of factorial experiments*, 1937).

use super::noise::{Noise, Rates, Tally};
use super::set::{Bits, Set, largest_without, smallest};

/// The largest number of conditions whose families are enumerated.
pub(crate) const MOST: usize = 12;
/// The largest number of sets in a family, in addition to those already known.
const MOST_SETS: usize = 3;
/// Number of pending runs taken into account; each doubles the work.
pub(crate) const MOST_PENDING: usize = 4;
/// The largest number of families whose certificates are computed.
const MOST_CERTIFIED: usize = 40000;
/// The value of a run that is needed regardless of other answers, in bits.
const NEEDED: f64 = 0.7;
/// The largest bonus for the size of a run, in bits.
const LEAN: f64 = 0.05;
/// A run with less information than this, in bits, is not worth it.
const NOTHING: f64 = 1e-6;
/// Families below this share of the posterior are dropped.
const LEAST: f64 = 1e-10;

/// The prior probability that nothing fails: a gate also checks good images.
pub(crate) const NONE: f64 = 0.4;
/// The prior over the number of sets (1, 2, 3), if there is one.
const COUNTS: [f64; MOST_SETS] = [0.65, 0.28, 0.07];
/// The prior over the size of a set (1 to 4 conditions).
const SIZES: [f64; 4] = [0.50, 0.34, 0.14, 0.02];
/// Beyond these, each further set or condition is rarer by this factor.
const RARER: f64 = 0.25;

/// The size of the largest set in a listed family of `count` sets: it shrinks so that the list stays short.
#[must_use]
fn largest(count: usize) -> usize {
    [4, 4, 3, 2].get(count).copied().unwrap_or(0)
}

/// A few sets, none a subset of another.
#[derive(Clone, Copy, Debug)]
struct Family {
    sets: [u16; MOST_SETS],
    count: u8,
}

impl Family {
    fn sets(&self) -> &[u16] {
        &self.sets[..usize::from(self.count)]
    }

    fn hits(&self, run: u16) -> bool {
        self.sets().iter().any(|set| set & !run == 0)
    }

    /// Calls `add` with sets and signs that add up, over the subsets of a run, to 1 if the run is hit and to 0 otherwise
    /// (inclusion and exclusion).
    fn terms(&self, mut add: impl FnMut(u16, f64)) {
        for chosen in 1_u32..1 << self.count {
            let parts = self.sets().iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1);
            let union = parts.fold(0, |union, (_, set)| union | set);
            add(union, if chosen.count_ones() % 2 == 1 { 1.0 } else { -1.0 });
        }
    }
}

/// A run and its value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct NextRun {
    /// The run.
    pub(crate) run: Set,
    /// Bits per unit of cost.
    pub(crate) value: f64,
    /// The probability that it is needed regardless of other answers.
    pub(crate) needed: f64,
}

/// The posterior over families of sets.
#[derive(Clone)]
pub(crate) struct Posterior {
    /// The condition behind each bit.
    conditions: Vec<usize>,
    known: Vec<u16>,
    families: Vec<Family>,
    rates: Vec<Rates>,
    /// One weight per family and rate, grouped by family.
    weights: Vec<f64>,
    /// The probability of the answers so far under the prior, as a natural logarithm.
    evidence: f64,
}

impl Posterior {
    /// The prior. `known` are sets taken for certain; `none` is the probability that there is no other. `suspicion` is
    /// 1 for a condition nothing is known about, more for one that evidence points to.
    #[must_use]
    pub(crate) fn new(universe: Set, known: &[Set], none: f64, suspicion: &[f64], noise: &Noise) -> Self {
        let conditions: Vec<usize> = universe.iter().collect();
        let mut this = Self {
            known: Vec::new(),
            families: Vec::new(),
            rates: noise.rates().iter().map(|(rates, _)| *rates).collect(),
            weights: Vec::new(),
            evidence: 0.0,
            conditions,
        };
        this.known = known.iter().map(|set| this.narrow(*set)).collect();
        let mut prior = Vec::new();
        let pool = this.pool(suspicion);
        this.list(&pool, none, &mut prior);
        let sum: f64 = prior.iter().sum();
        this.weights = prior.iter().flat_map(|p| noise.rates().iter().map(move |(_, w)| p / sum * w)).collect();
        this
    }

    /// A set in the posterior's own bits.
    fn narrow(&self, set: Set) -> u16 {
        self.conditions.iter().enumerate().fold(0, |bits, (i, n)| bits | (u16::from(set.has(*n)) << i))
    }

    fn widen(&self, bits: u16) -> Set {
        self.conditions.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, n)| *n).collect()
    }

    /// Every small set that neither contains a known one nor is contained in it, with its prior weight.
    fn pool(&self, suspicion: &[f64]) -> Vec<(u16, f64)> {
        let width = self.conditions.len();
        let suspicion = |set: u16| {
            let of = |(i, n): (usize, &usize)| if set >> i & 1 == 1 { suspicion[*n] } else { 1.0 };
            self.conditions.iter().enumerate().map(of).product::<f64>()
        };
        let fits = |set: &u16| self.known.iter().all(|k| k & !set != 0 && set & !k != 0);
        let small = |set: &u16| (1..=SIZES.len()).contains(&(set.count_ones() as usize));
        let runs = (1_u32 << width) - 1;
        let sets = (1..=runs).map(|set| set as u16).filter(small).filter(fits);
        sets.map(|set| (set, self.share_of_size(set.count_ones() as usize) * suspicion(set))).collect()
    }

    /// The prior probability of a set among all sets: it is one of many of its size.
    fn share_of_size(&self, size: usize) -> f64 {
        let last = SIZES.len();
        let share = SIZES[size.clamp(1, last) - 1] * RARER.powi(size.saturating_sub(last) as i32);
        share / choose(self.conditions.len(), size)
    }

    /// Lists the families of sets from the pool, with their prior weights.
    fn list(&mut self, pool: &[(u16, f64)], none: f64, prior: &mut Vec<f64>) {
        let mut of_count: Vec<Vec<(Family, f64)>> = vec![vec![(Family { sets: [0; MOST_SETS], count: 0 }, 1.0)]];
        for count in 1..=MOST_SETS {
            let largest = largest(count) as u32;
            let mut longer = Vec::new();
            for (family, weight) in &of_count[count - 1] {
                let last = family.sets().last().copied().unwrap_or(0);
                for (set, own) in pool.iter().filter(|(set, _)| *set > last && set.count_ones() <= largest) {
                    let apart = |other: &u16| set & !other != 0 && other & !set != 0 && other.count_ones() <= largest;
                    if family.sets().iter().all(apart) {
                        let mut sets = family.sets;
                        sets[count - 1] = *set;
                        longer.push((Family { sets, count: count as u8 }, weight * own));
                    }
                }
            }
            of_count.push(longer);
        }
        let shares = COUNTS.map(|share| share / COUNTS.iter().sum::<f64>() * (1.0 - none));
        for (families, share) in of_count.into_iter().zip([none].into_iter().chain(shares)) {
            let sum: f64 = families.iter().map(|(_, weight)| weight).sum();
            for (family, weight) in families {
                self.families.push(family);
                prior.push(share * weight / sum);
            }
        }
    }

    fn hits(&self, family: &Family, run: u16) -> bool {
        family.hits(run) || self.known.iter().any(|k| k & !run == 0)
    }

    /// Updates the posterior with the answers for one set.
    pub(crate) fn learn(&mut self, run: Set, tally: Tally) {
        let run = self.narrow(run);
        let likelihood: Vec<[f64; 2]> = self
            .rates
            .iter()
            .map(|rates| {
                [false, true].map(|hit| {
                    let fails = rates.fails(hit);
                    fails.powi(tally.fails as i32) * (1.0 - fails).powi(tally.passes as i32)
                })
            })
            .collect();
        let count = self.rates.len();
        for (family, weights) in self.families.iter().zip(self.weights.chunks_mut(count)) {
            let hit = usize::from(family.hits(run) || self.known.iter().any(|k| k & !run == 0));
            weights.iter_mut().zip(&likelihood).for_each(|(weight, likelihood)| *weight *= likelihood[hit]);
        }
        self.tidy();
    }

    /// Drops families that are practically refuted.
    fn tidy(&mut self) {
        let sum: f64 = self.weights.iter().sum();
        if sum <= 0.0 {
            self.families.clear();
            self.weights.clear();
            return;
        }
        self.evidence += sum.ln();
        let count = self.rates.len();
        let mut at = 0;
        for index in 0..self.families.len() {
            let own = index * count..(index + 1) * count;
            if self.weights[own.clone()].iter().sum::<f64>() / sum < LEAST {
                continue;
            }
            self.families[at] = self.families[index];
            for (i, from) in own.enumerate() {
                self.weights[at * count + i] = self.weights[from] / sum;
            }
            at += 1;
        }
        self.families.truncate(at);
        self.weights.truncate(at * count);
    }

    /// Whether no family explains the answers.
    #[must_use]
    pub(crate) fn is_lost(&self) -> bool {
        self.families.is_empty()
    }

    /// The `most` likeliest families with their shares of the posterior, likeliest first; each includes the known sets.
    #[must_use]
    pub(crate) fn likeliest(&self, most: usize) -> Vec<(Vec<Set>, f64)> {
        let shares = self.weights.chunks(self.rates.len()).map(|w| w.iter().sum::<f64>());
        let mut all: Vec<(usize, f64)> = shares.enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(most);
        let sets =
            |i: usize| self.known.iter().chain(self.families[i].sets()).map(|s| self.widen(*s)).collect::<Vec<_>>();
        all.into_iter().map(|(i, share)| (smallest(&sets(i)), share)).collect()
    }

    /// The probability of a family that the posterior does not have, because it has too many or too large sets, or was
    /// dropped as too unlikely, given that it explains all answers so far if no answer is wrong. `none` is the prior
    /// probability that nothing fails, `certain` that no answer is wrong. Suspicion decides what is tried first; it does
    /// not count here.
    #[must_use]
    pub(crate) fn unlisted(&self, sets: &[Set], none: f64, certain: f64) -> f64 {
        let (count, most) = (sets.len().max(1), COUNTS.len());
        let share = COUNTS[count.min(most) - 1] * RARER.powi(count.saturating_sub(most) as i32);
        // The order of the sets does not matter: each of their orders counts.
        let of_set = |(n, set): (usize, &Set)| (self.share_of_size(set.len()) * (n + 1) as f64).ln();
        let prior = ((1.0 - none) * certain * share).ln() + sets.iter().enumerate().map(of_set).sum::<f64>();
        1.0 / (1.0 + (self.evidence - prior).exp())
    }

    /// The probability that a run fails.
    #[must_use]
    pub(crate) fn fails(&self, run: Set) -> f64 {
        let run = self.narrow(run);
        let of = |(family, weights): (&Family, &[f64])| {
            let hit = self.hits(family, run);
            weights.iter().zip(&self.rates).map(|(weight, rates)| weight * rates.fails(hit)).sum::<f64>()
        };
        self.families.iter().zip(self.weights.chunks(self.rates.len())).map(of).sum()
    }

    /// The probability that a set is one of the failing ones.
    #[must_use]
    pub(crate) fn set_share(&self, set: Set) -> f64 {
        let set = self.narrow(set);
        let with = self.families.iter().zip(self.weights.chunks(self.rates.len()));
        with.filter(|(family, _)| family.sets().contains(&set)).map(|(_, w)| w.iter().sum::<f64>()).sum()
    }

    /// The probability that each run belongs to the certificate: the family's sets fail, and the largest sets that
    /// contain none of them pass. `None` while too many families are left.
    fn needed(&self, runs: usize) -> Option<Vec<f64>> {
        if self.families.len() > MOST_CERTIFIED {
            return None;
        }
        let mut needed = vec![0.0; runs];
        let all = Bits::<1>::first(self.conditions.len());
        for (family, weights) in self.families.iter().zip(self.weights.chunks(self.rates.len())) {
            let weight: f64 = weights.iter().sum();
            let sets: Vec<Bits<1>> = self.known.iter().chain(family.sets()).map(|s| u64::from(*s).into()).collect();
            let passing = largest_without(all, &sets).into_iter();
            for run in passing.chain(sets.iter().copied()) {
                needed[usize::from(run)] += weight;
            }
        }
        Some(needed)
    }

    /// The most valuable run while those in `pending` have not answered. `cost(fails)` is the expected cost of a run
    /// that fails with the probability `fails`.
    #[must_use]
    pub(crate) fn most_informative(&self, pending: &[Set], cost: impl Fn(f64) -> f64) -> Option<NextRun> {
        let runs = 1_usize << self.conditions.len();
        let pending: Vec<u16> = pending.iter().take(MOST_PENDING).map(|set| self.narrow(*set)).collect();
        let groups = 1 << pending.len();
        let rates = self.rates.len();
        // hit[(group × rates + rate) × runs + run]: the weight of the families that hit the run.
        let mut hit = vec![0.0; groups * rates * runs];
        let mut total = vec![0.0; groups * rates];
        for (family, weights) in self.families.iter().zip(self.weights.chunks(rates)) {
            let group = pending.iter().enumerate().fold(0, |g, (i, p)| g | usize::from(self.hits(family, *p)) << i);
            let base = group * rates;
            for (rate, weight) in weights.iter().enumerate() {
                total[base + rate] += weight;
                let table = &mut hit[(base + rate) * runs..(base + rate + 1) * runs];
                family.terms(|set, sign| table[usize::from(set)] += sign * weight);
            }
        }
        for table in hit.chunks_mut(runs) {
            over_subsets(table);
        }
        let needed = if rates == 1 { self.needed(runs) } else { None };
        let known: Vec<usize> = self.known.iter().map(|k| usize::from(*k)).collect();
        let mut best: Option<NextRun> = None;
        for run in (0..runs).rev().filter(|run| known.iter().all(|k| k & !run != 0)) {
            let (information, fails) = self.information(&hit, &total, runs, run);
            if information < NOTHING {
                continue;
            }
            let needed = needed.as_ref().map_or(0.0, |needed| needed[run]);
            // A small set that fails proves more, as does a large one that passes. With noise, a single run proves
            // nothing.
            let size = run.count_ones() as f64 / self.conditions.len() as f64;
            let lean = if rates == 1 { LEAN * size * (1.0 - 2.0 * fails) } else { 0.0 };
            let value = (information + NEEDED * needed + lean) / cost(fails);
            if best.is_none_or(|most| value > most.value + 1e-9) {
                best = Some(NextRun { run: self.widen(run as u16), value, needed });
            }
        }
        best
    }

    /// The information in the answer of a run, given the pending ones, in bits, and the probability that it fails.
    fn information(&self, hit: &[f64], total: &[f64], runs: usize, run: usize) -> (f64, f64) {
        let (mut information, mut all_fails) = (0.0, 0.0);
        for (group, totals) in total.chunks(self.rates.len()).enumerate() {
            let weight: f64 = totals.iter().sum();
            if weight < 1e-12 {
                continue;
            }
            let (mut fails, mut noise) = (0.0, 0.0);
            for (i, rates) in self.rates.iter().enumerate() {
                let hits = hit[(group * self.rates.len() + i) * runs + run].clamp(0.0, totals[i]);
                let misses = totals[i] - hits;
                fails += hits * rates.fires + misses * rates.spurious;
                noise += hits * entropy(rates.fires) + misses * entropy(rates.spurious);
            }
            information += weight * entropy(fails / weight) - noise;
            all_fails += fails;
        }
        (information, all_fails)
    }
}

/// Replaces each entry with the sum over all subsets of its index.
fn over_subsets(table: &mut [f64]) {
    let mut bit = 1;
    while bit < table.len() {
        for run in 0..table.len() {
            if run & bit != 0 {
                table[run] += table[run ^ bit];
            }
        }
        bit <<= 1;
    }
}

/// The entropy of a coin with this probability, in bits.
fn entropy(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() }
}

fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}
