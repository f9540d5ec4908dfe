//! What passes may hide what fails: a variable that is missing may switch off the very code that needs another one. Such
//! a pair shows only where the one is imposed and the other is not.

use super::Search;
use crate::search::descent::Descent;
use crate::search::noise::Tally;
use crate::search::set::Set;

impl Search {
    /// Runs that would show what the largest passing sets hide: each without anything that may heal, until each of the
    /// other conditions was seen to pass in such a run; and halves of those that may hide each other.
    pub(super) fn hidden(&self, descent: &Descent) -> Vec<Set> {
        let may_heal = self.settings.may_heal;
        let told = self.tallies.iter().filter(|(run, tally)| run.shared(may_heal).is_empty() && tally.told() > 0);
        let mut seen = told.fold(Set::EMPTY, |seen, (run, _)| seen.union(*run));
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

    /// Numbered in binary, any two differ in a digit: the halves of each digit part every pair, so that twice the
    /// logarithm of their number is enough (as in G. O. H. Katona, *On separating systems of a finite set*, 1966).
    fn apart(&self, descent: &Descent) -> Vec<Set> {
        let passed = |run: &Set, tally: &Tally| tally.passes > 0 && run.is_subset(self.universe);
        let mut passes: Vec<Set> =
            self.tallies.iter().filter(|(run, tally)| passed(run, tally)).map(|(run, _)| *run).collect();
        let mut wanted = Vec::new();
        for large in &descent.passing {
            let both: Vec<usize> = large.shared(self.settings.may_hide).iter().collect();
            let digits = usize::BITS - both.len().saturating_sub(1).leading_zeros();
            for (digit, side) in (0..digits).flat_map(|digit| [(digit, 0), (digit, 1)]) {
                let (half, rest): (Vec<(usize, &usize)>, Vec<_>) =
                    both.iter().enumerate().partition(|(number, _)| number >> digit & 1 == side);
                let open = |one: usize, other: usize| !passes.iter().any(|run| run.has(one) && !run.has(other));
                let parts = half.iter().any(|(_, one)| rest.iter().any(|(_, other)| open(**one, **other)));
                let run = large.without(rest.iter().map(|(_, n)| **n).collect());
                if parts && self.tally(run).plain().is_none() {
                    // As if it had passed: what it says need not be asked twice.
                    passes.push(run);
                    wanted.push(run);
                }
            }
        }
        wanted
    }
}
