//! A passing run may hide a failure: a missing variable may switch off the very code that needs another one. Such a
//! pair shows only when one is imposed and the other is not.

use super::Search;
use crate::search::descent::Descent;
use crate::search::set::Set;

impl Search {
    /// Runs that reveal what the largest passing sets hide: each without its possibly healing conditions, until every
    /// other condition has passed in such a run, and subsets that separate conditions that may hide each other.
    pub(super) fn hidden(&self, descent: &Descent) -> Vec<Set> {
        let may_heal = self.settings.may_heal;
        let decided =
            self.tallies.iter().filter(|(run, tally)| run.shared(may_heal).is_empty() && tally.decisive() > 0);
        let mut seen = decided.fold(Set::EMPTY, |seen, (run, _)| seen.union(*run));
        let mut hidden = Vec::new();
        for large in descent.passing.iter().filter(|set| !set.shared(may_heal).is_empty()) {
            let run = large.without(may_heal);
            if !run.is_subset(seen) && self.tally(run).plain().is_none() {
                seen = seen.union(run);
                hidden.push(run);
            }
        }
        hidden.extend(self.apart(descent));
        hidden
    }

    /// Subsets of the largest passing sets, chosen so that each variable passes once without each of the others.
    fn apart(&self, descent: &Descent) -> Vec<Set> {
        // For each condition, those that were absent from a passing run of it.
        let mut parted = vec![Set::EMPTY; self.settings.conditions];
        let part = |parted: &mut [Set], run: Set| {
            let rest = self.universe.without(run);
            run.iter().for_each(|one| parted[one] = parted[one].union(rest));
        };
        let passed = self.tallies.iter().filter(|(run, tally)| tally.passes > 0 && run.is_subset(self.universe));
        passed.for_each(|(run, _)| part(&mut parted, *run));
        let mut wanted = Vec::new();
        for large in &descent.passing {
            let both = large.shared(self.settings.may_hide);
            let open = |parted: &[Set], one: usize| both.without(parted[one]).without(Set::one(one));
            let mut parts = separating(both);
            let left: Vec<usize> = both.iter().filter(|one| !open(&parted, *one).is_empty()).collect();
            if left.len() * 2 <= parts.len() {
                parts = left.into_iter().map(|one| both.without(open(&parted, one))).collect();
            }
            for part_of_both in parts {
                let run = large.without(both.without(part_of_both));
                let parts_some = part_of_both.iter().any(|one| !open(&parted, one).without(part_of_both).is_empty());
                if parts_some && self.tally(run).plain().is_none() {
                    // Count it as passed, so that no other run repeats what it shows.
                    part(&mut parted, run);
                    wanted.push(run);
                }
            }
        }
        wanted
    }
}

/// The fewest subsets such that, for every ordered pair of numbers, one contains the first without the second (J.
/// Spencer, *Minimal completely separating systems*, 1970): 10 for 252 numbers.
///
/// Every number gets a code of k binary digits, half of them set, so that no code covers another. Each digit gives one
/// subset: the numbers whose code has it set.
fn separating(set: Set) -> Vec<Set> {
    if set.len() < 2 {
        return Vec::new();
    }
    let codes = |digits: usize| (0..digits / 2).fold(1, |codes, n| codes * (digits - n) / (n + 1));
    let digits = (2..).find(|digits| codes(*digits) >= set.len()).unwrap_or_default();
    let mut code = (1_u32 << (digits / 2)) - 1;
    let mut parts = vec![Set::EMPTY; digits];
    for number in set.iter() {
        let coded = parts.iter_mut().enumerate().filter(|(digit, _)| code >> digit & 1 == 1);
        coded.for_each(|(_, part)| *part = part.union(Set::one(number)));
        // The next number with as many bits set (R. W. Gosper, *HAKMEM*, 1972, item 175).
        let lowest = code & code.wrapping_neg();
        let ripple = code + lowest;
        code = ripple | (((code ^ ripple) >> 2) / lowest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_every_pair_both_ways() {
        for (count, most) in [(0, 0), (1, 0), (2, 2), (3, 3), (6, 4), (7, 5), (20, 6), (150, 10), (252, 10), (253, 11)]
        {
            let parts = separating(Set::first(count));
            assert_eq!(parts.len(), most, "{count}");
            for (one, other) in (0..count).flat_map(|one| (0..count).map(move |other| (one, other))) {
                let parted = parts.iter().any(|part| part.has(one) && !part.has(other));
                assert!(parted || one == other, "{one} without {other}");
            }
        }
    }
}
