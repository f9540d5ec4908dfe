//! What is believed of the failing sets: an exact posterior over families of small sets, and the run that tells most.
//!
//! A family is a list of sets of which none contains another; a run is *hit* when it contains one of them. A run that is
//! hit fails with the probability `fires`, any other with `spurious`. The next run is the one with the greatest mutual
//! information between its answer and the family (D. V. Lindley, *On a measure of the information provided by an
//! experiment*, 1956). How much of the posterior hits a run is had for all runs at once by adding up over subsets
//! (F. Yates, *The design and analysis of factorial experiments*, 1937).

use super::noise::{Noise, Rates, Tally};
use super::set::{Bits, Set, largest_without, smallest};

/// Beyond this number of conditions the families are too many to be listed.
pub const MOST: usize = 12;
/// A family has at most so many sets beside those that are known already.
const MOST_SETS: usize = 3;
/// So many runs that have not answered yet are reckoned with; each doubles the work.
pub const MOST_PENDING: usize = 4;
/// Up to so many families, what proves them is worked out.
const MOST_CERTIFIED: usize = 40000;
/// What a run is worth, in bits, that has to be made in any case.
const NEEDED: f64 = 0.7;
/// What the size of a run may count for, in bits.
const LEAN: f64 = 0.05;
/// Below so many bits a run tells nothing.
const NOTHING: f64 = 1e-6;
/// Families below this share of the posterior are let go.
const LEAST: f64 = 1e-10;

/// How likely nothing fails, before the first run: a gate asks of good images as well.
pub const NONE: f64 = 0.55;
/// How likely a family has 1, 2, 3 sets, if it has any.
const COUNTS: [f64; MOST_SETS] = [0.65, 0.28, 0.07];
/// How likely a set of 1, 2, 3, 4 conditions is.
const SIZES: [f64; 4] = [0.50, 0.34, 0.14, 0.02];

/// The largest set in a listed family of so many: the more sets, the smaller, so that the list stays short.
#[must_use]
pub fn largest(count: usize) -> usize {
    [4, 4, 3, 2].get(count).copied().unwrap_or(0)
}

/// A few sets, none a part of another.
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

    /// Calls `add` with sets and signs so that the sum over those that are a part of a run is 1 when it is hit, else 0.
    fn terms(&self, mut add: impl FnMut(u16, f64)) {
        for chosen in 1_u32..1 << self.count {
            let parts = self.sets().iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1);
            let union = parts.fold(0, |union, (_, set)| union | set);
            add(union, if chosen.count_ones() % 2 == 1 { 1.0 } else { -1.0 });
        }
    }
}

/// A run and what it is worth.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Telling {
    /// The run.
    pub run: Set,
    /// Bits for a unit of cost.
    pub value: f64,
    /// How likely it has to be made in any case, from 0 to 1.
    pub needed: f64,
}

/// The posterior over families of sets.
#[derive(Clone)]
pub struct Posterior {
    /// The conditions, in the order of the bits.
    conditions: Vec<usize>,
    known: Vec<u16>,
    families: Vec<Family>,
    rates: Vec<Rates>,
    /// One for each family and each of the rates, families first.
    weights: Vec<f64>,
}

impl Posterior {
    /// What is believed before the first run. `known` are sets that are taken for certain; `suspicion` is 1 for a
    /// condition of which nothing is known, more for one that evidence points to.
    #[must_use]
    ///
    /// `none` is how likely it is that there is no set beside the known ones.
    pub fn new(universe: Set, known: &[Set], none: f64, suspicion: &[f64], noise: &Noise) -> Self {
        let conditions: Vec<usize> = universe.iter().collect();
        let mut this = Self {
            known: Vec::new(),
            families: Vec::new(),
            rates: noise.rates().iter().map(|(rates, _)| *rates).collect(),
            weights: Vec::new(),
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

    /// Every small set that fits beside the known ones, with its prior weight.
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
        sets.map(|set| {
            let size = set.count_ones() as usize;
            (set, SIZES[size - 1] / choose(width, size) * suspicion(set))
        })
        .collect()
    }

    /// Lists families of the sets, with their prior weights.
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

    /// Takes note of what the runs of one set said.
    pub fn learn(&mut self, run: Set, tally: Tally) {
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

    /// Lets families go that are out of the question.
    fn tidy(&mut self) {
        let sum: f64 = self.weights.iter().sum();
        if sum <= 0.0 {
            self.families.clear();
            self.weights.clear();
            return;
        }
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

    /// True when no family explains what was seen.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.families.is_empty()
    }

    /// How much of the posterior is on each family, most likely first, at most so many; known sets are among them.
    #[must_use]
    pub fn likeliest(&self, most: usize) -> Vec<(Vec<Set>, f64)> {
        let shares = self.weights.chunks(self.rates.len()).map(|w| w.iter().sum::<f64>());
        let mut all: Vec<(usize, f64)> = shares.enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(most);
        let sets =
            |i: usize| self.known.iter().chain(self.families[i].sets()).map(|s| self.widen(*s)).collect::<Vec<_>>();
        all.into_iter().map(|(i, share)| (smallest(&sets(i)), share)).collect()
    }

    /// How likely a run fails.
    #[must_use]
    pub fn fails(&self, run: Set) -> f64 {
        let run = self.narrow(run);
        let of = |(family, weights): (&Family, &[f64])| {
            let hit = self.hits(family, run);
            weights.iter().zip(&self.rates).map(|(weight, rates)| weight * rates.fails(hit)).sum::<f64>()
        };
        self.families.iter().zip(self.weights.chunks(self.rates.len())).map(of).sum()
    }

    /// How likely it is that each of the posterior's sets is a failing one.
    #[must_use]
    pub fn set_share(&self, set: Set) -> f64 {
        let set = self.narrow(set);
        let with = self.families.iter().zip(self.weights.chunks(self.rates.len()));
        with.filter(|(family, _)| family.sets().contains(&set)).map(|(_, w)| w.iter().sum::<f64>()).sum()
    }

    /// How likely each run is part of the certificate, and has to be made in any case: the family's sets fail, the largest
    /// sets without them pass. Nothing as long as too many families are left to say.
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

    /// The run that tells most when those that are pending have not answered yet. `cost(fails)` is what a run costs that
    /// fails with this probability.
    #[must_use]
    pub fn telling(&self, pending: &[Set], cost: impl Fn(f64) -> f64) -> Option<Telling> {
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
        let mut best: Option<Telling> = None;
        for run in (0..runs).rev().filter(|run| known.iter().all(|k| k & !run != 0)) {
            let (information, fails) = self.information(&hit, &total, runs, run);
            if information < NOTHING {
                continue;
            }
            let needed = needed.as_ref().map_or(0.0, |needed| needed[run]);
            // A small set that fails proves more, and so does a large one that passes; where one run proves nothing, its
            // size counts for nothing.
            let size = run.count_ones() as f64 / self.conditions.len() as f64;
            let lean = if rates == 1 { LEAN * size * (1.0 - 2.0 * fails) } else { 0.0 };
            let value = (information + NEEDED * needed + lean) / cost(fails);
            if best.is_none_or(|most| value > most.value + 1e-9) {
                best = Some(Telling { run: self.widen(run as u16), value, needed });
            }
        }
        best
    }

    /// Bits that the answer of a run tells beyond the groups, and how likely it fails.
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

/// Each entry becomes the sum over all parts of its index.
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

/// Bits of a coin that falls so with this probability.
fn entropy(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() }
}

fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}
