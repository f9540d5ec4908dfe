//! Answers that contradict each other: the crash is flaky, or a condition prevents the failure.

use super::{Healing, Search};
use crate::search::descent::descend;
use crate::search::noise::{Answer, Rates};
use crate::search::set::Set;

/// How often a failing set and a larger passing one run before both are believed. A pass tells less than a failure: a
/// crash that occurs in seven of ten runs stays away three times in a row in one case out of forty.
const REPEATS: (u32, u32) = (2, 3);

impl Search {
    /// A failing set and a larger one that passes: those that need the fewest repeats.
    pub(super) fn contradiction(&self) -> Option<(Set, Set)> {
        let inside = || self.tallies.iter().filter(|(set, _)| set.is_subset(self.universe));
        let fails = inside().filter(|(_, tally)| tally.fails > 0);
        let pairs = fails.flat_map(|(small, _)| {
            let above = inside().filter(|(large, tally)| tally.passes > 0 && small.is_subset(**large));
            above.map(|(large, _)| (*small, *large))
        });
        pairs.min_by_key(|(small, large)| self.missing(*small, REPEATS.0) + self.missing(*large, REPEATS.1))
    }

    /// The number of decisive runs that a set lacks to have run `times` times.
    fn missing(&self, set: Set, times: u32) -> u32 {
        times.saturating_sub(self.tally(set).decisive())
    }

    /// Runs both sides of a contradiction again; if they stay, looks for what heals.
    pub(super) fn settle(&mut self, small: Set, large: Set, free: usize, running: &[Set]) -> Vec<Set> {
        let fresh = |sets: Vec<Set>| sets.into_iter().filter(|set| !running.contains(set)).collect::<Vec<_>>();
        let certain = self.settings.rates == Some(Rates::CERTAIN);
        let again = [(small, REPEATS.0), (large, REPEATS.1)];
        if !certain && self.healing.is_none() && again.iter().any(|(set, times)| self.missing(*set, *times) > 0) {
            let runs = |set: Set| running.iter().filter(|run| **run == set).count();
            let more =
                |(set, times): (Set, u32)| vec![set; (self.missing(set, times) as usize).saturating_sub(runs(set))];
            return again.into_iter().flat_map(more).collect();
        }
        self.healing = Some((small, large));
        let plain = |set: Set| self.tally(set).plain();
        // Which part of the failing set fails, and which part of the rest heals it?
        let failing = descend(small, &[], &|set: Set| if set == small { Some(Answer::Fail) } else { plain(set) });
        let Some(core) = failing.minimal.first().or(failing.perhaps.first()).copied() else {
            return fresh(failing.needed);
        };
        let rest = large.without(core);
        let heals = |healers: Set| {
            let answer = if healers == rest { Some(Answer::Pass) } else { plain(core.union(healers)) };
            answer.map(|a| match a {
                Answer::Pass => Answer::Fail,
                Answer::Fail => Answer::Pass,
                Answer::Unresolved => Answer::Unresolved,
            })
        };
        let first: Vec<usize> = rest.shared(self.settings.may_heal).iter().collect();
        let alone = |n: &usize| core.union(Set::one(*n));
        let healer = first.iter().find(|n| plain(alone(n)) == Some(Answer::Pass)).map(|n| Set::one(*n));
        let healing = descend(rest, &first, &heals);
        let Some(healers) = healer.or_else(|| healing.minimal.first().or(healing.perhaps.first()).copied()) else {
            let needed: Vec<Set> = healing.needed.into_iter().map(|set| core.union(set)).collect();
            // Most often one of them heals alone.
            let each = first.iter().map(alone).filter(|set| plain(*set).is_none() && !needed.contains(set));
            let each: Vec<Set> = each.take(free.saturating_sub(needed.len())).collect();
            return fresh([needed, each].concat());
        };
        self.healing = None;
        self.earlier.extend(self.believed_sets());
        self.healed.push(Healing { healers, heals: core });
        self.universe = self.universe.without(healers);
        self.next_plain(free, running)
    }
}
