//! What a search has found so far.

use std::collections::BTreeMap;

use super::{ASSUMED, FLAKY, Findings, Search};
use crate::search::families;
use crate::search::set::{Set, largest_without, smallest};

impl Search {
    /// What the search has found so far.
    #[must_use]
    pub fn findings(&mut self) -> Findings {
        let finished = self.next(usize::MAX, &[]).is_empty();
        let mut findings = Findings {
            healed: self.healed.clone(),
            flaky: self.flaky && self.tallies.values().any(|t| t.passes > 0 && t.fails > 0),
            finished,
            ..Findings::default()
        };
        if self.is_waiting_for_the_beginning() || self.fails_always() {
            self.of_baseline(&mut findings);
        } else if self.flaky && self.universe.len() <= families::MOST {
            self.of_posterior(&mut findings);
        } else {
            self.of_descent(&mut findings);
        }
        findings
    }

    pub(super) fn of_baseline(&self, findings: &mut Findings) {
        let tally = self.tally(Set::EMPTY);
        if tally.fails > 0 {
            findings.sets = vec![Set::EMPTY];
            findings.confidence = 1.0 - FLAKY * ASSUMED.spurious;
        } else {
            findings.open = vec![self.universe];
        }
    }

    pub(super) fn of_posterior(&mut self, findings: &mut Findings) {
        let (sets, share) = self.likeliest().unwrap_or_default();
        findings.confidence = share;
        // A set that never failed is a guess.
        let (seen, guessed): (Vec<Set>, Vec<Set>) = sets.iter().partition(|set| self.tally(**set).fails > 0);
        let unseen = self.unseen(&sets);
        findings.passing =
            largest_without(self.universe, &sets).into_iter().filter(|set| !unseen.contains(set)).collect();
        findings.open = largest_without(self.universe, &sets);
        findings.open.retain(|set| !findings.passing.contains(set));
        findings.open.extend(guessed);
        findings.sets = seen;
        if share < self.settings.confidence {
            findings.perhaps = std::mem::take(&mut findings.sets);
            findings.open.push(self.universe);
        }
    }

    pub(super) fn of_descent(&mut self, findings: &mut Findings) {
        let descent = self.descent();
        let certificate = self.certificate(&descent, &BTreeMap::new());
        let share = self.share(&descent).unwrap_or(certificate);
        findings.confidence = if descent.needed.is_empty() { share } else { 0.0 };
        findings.sets = smallest(&self.earlier.iter().chain(&descent.minimal).copied().collect::<Vec<_>>());
        findings.perhaps = descent.perhaps;
        findings.passing = descent.passing;
        findings.open = descent.unknown;
        findings.open.extend(descent.needed);
    }
}
