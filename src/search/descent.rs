//! Finds all minimal failing sets by descent: run the largest sets that contain no known failing set, shrink one that
//! fails to a minimal one, and repeat until all of them pass (dualize and advance: D. Gunopulos and others, *Discovering
//! all most specific sentences*, 2003; shrinking bisects for the shortest failing prefix, as in J. Marques-Silva and
//! others, *Minimal sets over monotone predicates in Boolean formulae*, 2013).
//!
//! The code is written as if every answer were known. A missing answer is the next run, and each new answer restarts
//! the descent: that takes microseconds, a run takes seconds.

use super::noise::Answer;
use super::set::{Set, largest_without};

/// The answers so far.
pub(crate) trait Answers {
    /// The answer for a set; `None` if it has to be run.
    fn of(&self, set: Set) -> Option<Answer>;

    /// The smallest known failing subset of a failing set, if there is one: a shorter start for shrinking.
    fn failing(&self, _large: Set) -> Option<Set> {
        None
    }
}

impl<F: Fn(Set) -> Option<Answer>> Answers for F {
    fn of(&self, set: Set) -> Option<Answer> {
        self(set)
    }
}

/// The state of a descent.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Descent {
    /// Sets that fail while each of their parts passes.
    pub(crate) minimal: Vec<Set>,
    /// Sets that fail and have an unresolved part, which may fail as well.
    pub(crate) perhaps: Vec<Set>,
    /// The largest sets that pass. Together with `minimal` they prove that the list is complete.
    pub(crate) passing: Vec<Set>,
    /// Unresolved large sets: some of their parts may fail.
    pub(crate) unknown: Vec<Set>,
    /// What to run next; empty when the descent is finished.
    pub(crate) needed: Vec<Set>,
}

/// Descends as far as the answers reach. `first` lists the conditions that evidence points to, most suspected first.
pub(crate) fn descend(universe: Set, first: &[usize], answers: &impl Answers) -> Descent {
    let mut descent = Descent::default();
    // Each round adds a set, except the last one.
    loop {
        descent.passing.clear();
        descent.unknown.clear();
        let known: Vec<Set> = descent.minimal.iter().chain(&descent.perhaps).copied().collect();
        let mut found = None;
        for large in largest_without(universe, &known) {
            match answers.of(large) {
                Some(Answer::Pass) => descent.passing.push(large),
                Some(Answer::Unresolved) => match below(large, &mut descent, answers) {
                    Some(failing) => found = Some(failing),
                    None => descent.unknown.push(large),
                },
                Some(Answer::Fail) => found = Some(large),
                None => descent.needed.push(large),
            }
            if found.is_some() {
                break;
            }
        }
        let Some(large) = found else { return descent };
        descent.needed.clear();
        match shrink(answers.failing(large).unwrap_or(large), first, answers) {
            Ok(small) if proved(small, answers) => descent.minimal.push(small),
            Ok(small) => match unproved(small, answers) {
                Some(part) => {
                    descent.needed.push(part);
                    return descent;
                }
                None => descent.perhaps.push(small),
            },
            Err(needed) => {
                descent.needed.push(needed);
                return descent;
            }
        }
    }
}

/// A failing part of an unresolved set: the set without one of its conditions.
fn below(large: Set, descent: &mut Descent, answers: &impl Answers) -> Option<Set> {
    for without in large.iter().map(|n| large.without(Set::one(n))) {
        match answers.of(without) {
            Some(Answer::Fail) => return Some(without),
            None => descent.needed.push(without),
            Some(_) => {}
        }
    }
    None
}

/// Whether every subset with one condition less is known to pass.
fn proved(set: Set, answers: &impl Answers) -> bool {
    set.iter().all(|n| answers.of(set.without(Set::one(n))) == Some(Answer::Pass))
}

/// A subset with one condition less that has not been run yet.
fn unproved(set: Set, answers: &impl Answers) -> Option<Set> {
    set.iter().map(|n| set.without(Set::one(n))).find(|part| answers.of(*part).is_none())
}

/// Shrinks a failing set to a minimal one; `Err` is the next run that this needs.
///
/// The last condition of the shortest failing prefix is needed; the search continues in the rest of the prefix. Each
/// condition of the minimal set takes about log2(n) + 1 runs, and a prefix that passed speeds up the next search.
fn shrink(mut large: Set, first: &[usize], answers: &impl Answers) -> Result<Set, Set> {
    // Try what evidence points to by itself: the first suspect, then the first two, then three.
    let suspects: Vec<usize> = first.iter().copied().filter(|n| large.has(*n)).collect();
    for count in 1..=suspects.len().min(3) {
        let few: Set = suspects[..count].iter().copied().collect();
        if few != large && answers.of(few).ok_or(few)? == Answer::Fail {
            large = few;
            break;
        }
    }
    if answers.of(Set::EMPTY) == Some(Answer::Fail) {
        return Ok(Set::EMPTY);
    }
    // The least suspected come first, because those are dropped first.
    let mut order: Vec<usize> = large.iter().filter(|n| !first.contains(n)).collect();
    let suspected = order.len();
    order.extend(first.iter().rev().filter(|n| large.has(**n)));
    let mut needed = Set::EMPTY;
    while !order.is_empty() {
        let last = shortest_failing_prefix(needed, &order, suspected, answers)? - 1;
        needed = needed.union(Set::one(order[last]));
        if answers.of(needed).ok_or(needed)? == Answer::Fail {
            return Ok(needed);
        }
        order.truncate(last);
    }
    // The whole set is all that is known to fail.
    Ok(large)
}

/// The length of the shortest prefix of `order` that fails together with `needed`, given that the whole of it does.
/// Evidence points to the conditions from index `suspected` on.
fn shortest_failing_prefix(
    needed: Set,
    order: &[usize],
    suspected: usize,
    answers: &impl Answers,
) -> Result<usize, Set> {
    let grow = |prefix: &mut Set, n: &usize| {
        *prefix = prefix.union(Set::one(*n));
        Some(*prefix)
    };
    let prefixes: Vec<Set> = std::iter::once(needed).chain(order.iter().scan(needed, grow)).collect();
    // Known answers are monotone in the length.
    let mut passes = prefixes[..order.len()].partition_point(|set| answers.of(*set) == Some(Answer::Pass)).max(1) - 1;
    let mut fails = passes + 1;
    fails += prefixes[fails..order.len()].partition_point(|set| answers.of(*set) != Some(Answer::Fail));
    while fails - passes > 1 {
        let middle = if passes < suspected && suspected < fails { suspected } else { passes + (fails - passes) / 2 };
        let prefix = prefixes[middle];
        match answers.of(prefix).ok_or(prefix)? {
            Answer::Fail => fails = middle,
            Answer::Pass | Answer::Unresolved => passes = middle,
        }
    }
    Ok(fails)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Descent {
        /// True when nothing is missing or unresolved.
        fn is_complete(&self) -> bool {
            self.needed.is_empty() && self.unknown.is_empty() && self.perhaps.is_empty()
        }
    }

    fn set(numbers: &[usize]) -> Set {
        numbers.iter().copied().collect()
    }

    /// Runs a descent against a known truth; returns what it found and the number of runs.
    fn play(universe: Set, truth: impl Fn(Set) -> Answer, first: &[usize]) -> (Descent, usize) {
        let mut known: BTreeMap<Set, Answer> = BTreeMap::new();
        loop {
            let descent = descend(universe, first, &|s: Set| {
                let implied = |(k, a): (&Set, &Answer)| match a {
                    Answer::Pass => s.is_subset(*k),
                    Answer::Fail => k.is_subset(s),
                    Answer::Unresolved => false,
                };
                if known.iter().any(|(k, a)| *a == Answer::Pass && implied((k, a))) {
                    return Some(Answer::Pass);
                }
                if known.iter().any(|(k, a)| *a == Answer::Fail && implied((k, a))) {
                    return Some(Answer::Fail);
                }
                known.get(&s).copied()
            });
            let Some(next) = descent.needed.first() else { return (descent, known.len()) };
            assert!(known.insert(*next, truth(*next)).is_none(), "{next:?} was already run");
        }
    }

    #[test]
    fn finds_planted_families() {
        for (sets, most) in [
            (vec![], 1),
            (vec![set(&[3])], 8),
            (vec![set(&[0, 5])], 14),
            (vec![set(&[0, 1]), set(&[0, 2])], 20),
            (vec![set(&[1]), set(&[2]), set(&[3]), set(&[4, 6])], 24),
        ] {
            let truth = |s: Set| if sets.iter().any(|f| f.is_subset(s)) { Answer::Fail } else { Answer::Pass };
            let (descent, runs) = play(Set::first(8), truth, &[]);
            let mut found = descent.minimal.clone();
            found.sort();
            assert_eq!(found, super::super::set::smallest(&sets));
            assert!(descent.is_complete() && runs <= most, "{sets:?}: {runs}");
        }
    }

    #[test]
    fn right_suspicion_saves_runs() {
        let sets = [set(&[2]), set(&[7])];
        let truth = |s: Set| if sets.iter().any(|f| f.is_subset(s)) { Answer::Fail } else { Answer::Pass };
        let (_, blind) = play(Set::first(20), truth, &[]);
        let (descent, led) = play(Set::first(20), truth, &[7, 2]);
        assert!(descent.is_complete());
        assert!(led * 2 < blind, "{led} against {blind}");
    }

    proptest! {
        #[test]
        fn finds_exactly_the_minimal_sets(
            sets in prop::collection::vec(1_u64..256, 0..5),
            first in prop::collection::vec(0_usize..8, 0..4),
        ) {
            let sets: Vec<Set> = sets.into_iter().map(Set::from).collect();
            let truth = |s: Set| if sets.iter().any(|f| f.is_subset(s)) { Answer::Fail } else { Answer::Pass };
            let (descent, _) = play(Set::first(8), truth, &first);
            let mut found = descent.minimal.clone();
            found.sort();
            prop_assert_eq!(found, super::super::set::smallest(&sets));
            prop_assert!(descent.is_complete());
        }

        #[test]
        fn claims_nothing_about_unresolved_sets(
            sets in prop::collection::vec(1_u64..64, 0..4),
            dark in prop::collection::vec(0_u64..64, 0..12),
        ) {
            let sets: Vec<Set> = sets.into_iter().map(Set::from).collect();
            let fails = |s: Set| sets.iter().any(|f| f.is_subset(s));
            let truth = |s: Set| match dark.iter().any(|dark| Set::from(*dark) == s) {
                true => Answer::Unresolved,
                false if fails(s) => Answer::Fail,
                false => Answer::Pass,
            };
            let (descent, _) = play(Set::first(6), truth, &[]);
            for found in &descent.minimal {
                prop_assert!(fails(*found));
                prop_assert!(found.iter().all(|n| !fails(found.without(Set::one(n)))));
            }
            for found in &descent.perhaps {
                prop_assert!(fails(*found));
            }
            if descent.is_complete() {
                let mut found = descent.minimal.clone();
                found.sort();
                prop_assert_eq!(found, super::super::set::smallest(&sets));
            }
        }
    }
}
