//! The search for flaky crashes: the posterior decides, with its own confidence.

use super::{ASSUMED, BASELINES, CERTAIN, Frame, Healing, NOTHING_HIDDEN, Search};
use crate::search::families;
use crate::search::noise::{Answer, Noise};
use crate::search::set::{Set, largest_without};

impl Search {
    pub(super) fn noise(&self) -> Noise {
        self.settings.rates.map_or_else(|| Noise::unknown(1.0), Noise::about)
    }

    pub(super) fn next_flaky(&mut self, free: usize, running: &[Set]) -> Vec<Set> {
        let baseline = self.tally(Set::EMPTY).decisive() + running.iter().filter(|set| set.is_empty()).count() as u32;
        if self.settings.rates.is_none() && baseline < BASELINES {
            return vec![Set::EMPTY; (BASELINES - baseline) as usize];
        }
        if self.universe.len() > families::MOST {
            let needed = self.descent().needed;
            return needed.into_iter().filter(|set| !running.contains(set)).collect();
        }
        let fresh = |sets: Vec<Set>| sets.into_iter().filter(|set| !running.contains(set)).collect::<Vec<_>>();
        let Some((sets, share)) = self.likeliest() else { return Vec::new() };
        if share < self.settings.confidence {
            let frame = self.frame(self.certain.clone(), self.noise());
            return self.most_informative(&frame, free, running);
        }
        let mut unseen = self.unseen(&sets);
        // A set that was unresolved twice is not run a third time.
        unseen.retain(|set| self.tally(*set).plain() != Some(Answer::Unresolved));
        if unseen.is_empty() { self.behind_healers(&sets, free, running) } else { fresh(unseen) }
    }

    pub(super) fn frame(&self, known: Vec<Set>, noise: Noise) -> Frame {
        Frame { universe: self.universe, known, none: families::NONE, noise }
    }

    /// Runs that show whether anything else fails without the possibly healing conditions.
    pub(super) fn behind_healers(&mut self, sets: &[Set], free: usize, running: &[Set]) -> Vec<Set> {
        let may_heal = self.settings.may_heal.shared(self.universe);
        let universe = self.universe.without(may_heal);
        if may_heal.is_empty() || universe.is_empty() {
            return Vec::new();
        }
        let known: Vec<Set> = sets.iter().filter(|set| set.is_subset(universe)).copied().collect();
        let frame = Frame { universe, known: known.clone(), none: NOTHING_HIDDEN, noise: self.noise() };
        let Some((inside, share)) = self.posterior(&frame).and_then(|p| p.likeliest(1).pop()) else {
            return Vec::new();
        };
        if share < self.settings.confidence {
            return self.most_informative(&frame, free, running);
        }
        let Some(core) = inside.iter().find(|set| !known.contains(set)).copied() else { return Vec::new() };
        let rates = self.settings.rates.unwrap_or(ASSUMED);
        let with = |n: usize| core.union(Set::one(n));
        let decided = |n: usize| self.tally(with(n)).decided(rates, 1.0 - self.settings.confidence);
        let open: Vec<Set> = may_heal.iter().filter(|n| decided(*n).is_none()).map(with).collect();
        if !open.is_empty() {
            return open.into_iter().filter(|set| !running.contains(set)).collect();
        }
        let healers: Set = may_heal.iter().filter(|n| decided(*n) == Some(Answer::Pass)).collect();
        // If none of them heals alone, they do together.
        let healers = if healers.is_empty() { may_heal } else { healers };
        self.healed.push(Healing { healers, heals: core });
        self.universe = self.universe.without(healers);
        self.certain.clear();
        self.next_flaky(free, running)
    }

    /// The likeliest family and its share. Sets that are practically certain make room for others.
    pub(super) fn likeliest(&mut self) -> Option<(Vec<Set>, f64)> {
        loop {
            let frame = self.frame(self.certain.clone(), self.noise());
            let posterior = self.posterior(&frame)?;
            let (sets, share) = posterior.likeliest(1).pop()?;
            let sure = |set: &&Set| !frame.known.contains(set) && posterior.set_share(**set) > CERTAIN;
            let new: Vec<Set> = sets.iter().filter(sure).copied().collect();
            if new.is_empty() || sets.len() < frame.known.len() + 2 {
                return Some((sets, share));
            }
            self.certain.extend(new);
        }
    }

    /// Runs of a family's certificate that never gave the predicted answer.
    pub(super) fn unseen(&self, sets: &[Set]) -> Vec<Set> {
        let fails = sets.iter().filter(|set| self.tally(**set).fails == 0).copied();
        let seen = |large: &Set| {
            self.tallies
                .iter()
                .any(|(run, tally)| large.is_subset(*run) && run.is_subset(self.universe) && tally.passes > 0)
        };
        let passes = largest_without(self.universe, sets).into_iter().filter(|large| !seen(large));
        fails.chain(passes).collect()
    }
}
