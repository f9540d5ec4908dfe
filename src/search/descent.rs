//! All minimal failing sets by descent: the largest sets that no known failing one is a part of are run; one that fails is
//! shrunk to a minimal one, and so on until all of them pass (dualize and advance: D. Gunopulos and others, *Discovering
//! all most specific sentences*, 2003; shrinking bisects for the shortest failing prefix, as in J. Marques-Silva and
//! others, *Minimal sets over monotone predicates in Boolean formulae*, 2013).
//!
//! Written as if every answer were there. Where one is missing, that is what has to be run next: the whole is gone
//! through again with each new answer, which costs microseconds against the seconds of a run.

use super::noise::Answer;
use super::set::{Set, largest_without};

/// The answers so far.
pub trait Answers {
    /// What is known of a set; `None`: it has to be run.
    fn of(&self, set: Set) -> Option<Answer>;

    /// The smallest part of a failing set that was seen to fail, if one is known: there is less to shrink.
    fn failing(&self, _large: Set) -> Option<Set> {
        None
    }
}

impl<F: Fn(Set) -> Option<Answer>> Answers for F {
    fn of(&self, set: Set) -> Option<Answer> {
        self(set)
    }
}

/// Where the descent stands.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Descent {
    /// Sets that fail and of which every part passes.
    pub minimal: Vec<Set>,
    /// Sets that fail, and of some part of them nothing can be said: a part may fail as well.
    pub perhaps: Vec<Set>,
    /// The largest sets that pass: with `minimal`, they prove that the list is complete.
    pub passing: Vec<Set>,
    /// Large sets of which nothing can be said: failing sets may be among their parts.
    pub unknown: Vec<Set>,
    /// What has to be run to go on; empty: it is finished.
    pub needed: Vec<Set>,
}

impl Descent {
    /// Everything is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.needed.is_empty() && self.unknown.is_empty() && self.perhaps.is_empty()
    }
}

/// Goes as far as the answers reach. `first` are the conditions that evidence points to, most suspected first.
pub fn descend(universe: Set, first: &[usize], answers: &impl Answers) -> Descent {
    let mut descent = Descent::default();
    // Each round adds a set, or is the last one.
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

/// Something that fails among the parts of a set of which nothing can be said itself: each without one condition.
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

/// True when every part of the set is known to pass.
fn proved(set: Set, answers: &impl Answers) -> bool {
    set.iter().all(|n| answers.of(set.without(Set::one(n))) == Some(Answer::Pass))
}

/// A part of the set that was not run yet.
fn unproved(set: Set, answers: &impl Answers) -> Option<Set> {
    set.iter().map(|n| set.without(Set::one(n))).find(|part| answers.of(*part).is_none())
}

/// A small failing part of a failing set; `Err`: what has to be run for it.
///
/// The last condition of the shortest failing prefix is needed; the rest of the prefix is searched on beside it. So each
/// condition of the part takes about log2(n) + 1 runs, and a prefix that passed speeds up the next search.
fn shrink(mut large: Set, first: &[usize], answers: &impl Answers) -> Result<Set, Set> {
    // What evidence points to is tried by itself, from a single suspect to all of them.
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
    // The least suspected come first: they are the first to be left out.
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
    // Without a failing answer for it, what is known to fail is larger.
    Ok(large)
}

/// The length of the shortest prefix of `order` that fails beside `needed`, all of which does. `suspected`: evidence
/// points to those from there on.
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

    fn set(numbers: &[usize]) -> Set {
        numbers.iter().copied().collect()
    }

    /// Runs a descent against a truth; gives what it found and how many runs it took.
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
            assert!(known.insert(*next, truth(*next)).is_none(), "{next:?} was run already");
        }
    }

    #[test]
    fn planted_families_are_found() {
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
    fn a_good_suspicion_saves_runs() {
        let sets = [set(&[2]), set(&[7])];
        let truth = |s: Set| if sets.iter().any(|f| f.is_subset(s)) { Answer::Fail } else { Answer::Pass };
        let (_, blind) = play(Set::first(20), truth, &[]);
        let (descent, led) = play(Set::first(20), truth, &[7, 2]);
        assert!(descent.is_complete());
        assert!(led * 2 < blind, "{led} against {blind}");
    }

    proptest! {
        #[test]
        fn what_is_reported_is_minimal_and_nothing_is_missed(
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
        fn what_cannot_be_run_is_not_claimed(
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
