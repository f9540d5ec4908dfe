use proptest::prelude::*;

use super::*;

fn set(numbers: &[usize]) -> Set {
    numbers.iter().copied().collect()
}

/// Plays a search with `free` slots; `truth` answers the runs.
fn play(settings: Settings, free: usize, mut truth: impl FnMut(Set) -> Answer) -> (Findings, usize) {
    let mut search = Search::new(settings);
    let mut runs = 0;
    loop {
        let next = search.next(free, &[]);
        assert!(next.len() <= free);
        if next.is_empty() {
            return (search.findings(), runs);
        }
        for run in next {
            runs += 1;
            assert!(runs < 500, "the search does not end");
            search.record(run, truth(run));
        }
    }
}

fn fails(sets: &[Set], run: Set) -> bool {
    sets.iter().any(|set| set.is_subset(run))
}

fn answer(fails: bool) -> Answer {
    if fails { Answer::Fail } else { Answer::Pass }
}

#[test]
fn finds_planted_sets() {
    for sets in [
        vec![],
        vec![set(&[3])],
        vec![set(&[1, 6])],
        vec![set(&[0, 2, 5])],
        vec![set(&[0, 1]), set(&[0, 2])],
        vec![set(&[0]), set(&[1]), set(&[2]), set(&[3, 4]), set(&[5, 6, 7])],
    ] {
        let (findings, runs) = play(Settings::plain(8), 1, |run| answer(fails(&sets, run)));
        assert_eq!(findings.sets, smallest(&sets));
        assert!(findings.complete() && findings.confidence >= 0.95 && !findings.flaky, "{sets:?}: {findings:?}");
        assert!(runs <= 40, "{sets:?}: {runs}");
    }
}

#[test]
fn more_conditions_than_the_posterior_can_list() {
    let sets = [set(&[3]), set(&[17, 20])];
    let (findings, runs) = play(Settings::plain(24), 4, |run| answer(fails(&sets, run)));
    assert_eq!(findings.sets, smallest(&sets));
    assert!(findings.complete() && runs <= 60, "{runs}");
    let mut settings = Settings::plain(24);
    (settings.suspicion[3], settings.suspicion[17], settings.suspicion[20]) = (12.0, 8.0, 8.0);
    let (findings, led) = play(settings, 4, |run| answer(fails(&sets, run)));
    assert!(findings.complete() && led < runs, "{led} against {runs}");
}

#[test]
fn hundreds_of_conditions_take_few_runs() {
    for (sets, most) in [
        (vec![], 2),
        (vec![set(&[311])], 2 + 9 + 2),
        (vec![set(&[64, 320])], 2 + 18 + 6),
        (vec![set(&[5]), set(&[70]), set(&[71]), set(&[399])], 2 + 4 * (9 + 2)),
    ] {
        let settings = Settings { rates: Some(Rates::CERTAIN), ..Settings::plain(400) };
        let (findings, runs) = play(settings, 1, |run| answer(fails(&sets, run)));
        assert_eq!(findings.sets, smallest(&sets));
        assert!(findings.complete() && runs <= most, "{sets:?}: {runs}");
    }
}

#[test]
fn failing_baseline_ends_the_search() {
    let (findings, runs) = play(Settings::plain(8), 2, |_| Answer::Fail);
    assert_eq!((findings.sets.as_slice(), runs), ([Set::EMPTY].as_slice(), 3));
}

#[test]
fn healer_is_reported_and_excluded() {
    let settings = Settings { may_heal: set(&[6, 7]), ..Settings::plain(8) };
    let (findings, _) = play(settings, 1, |run| answer(run.has(2) && !run.has(6) || run.has(4)));
    assert_eq!(findings.sets, [set(&[2]), set(&[4])]);
    assert_eq!(findings.healed, [Healing { healers: set(&[6]), heals: set(&[2]) }]);
    assert!(!findings.complete());
}

#[test]
fn contradictions_are_settled_once() {
    // Condition 1 switches off what fails with 0, 2 and 3, as a variable that names the environment does.
    let variables = Set::first(4);
    let settings = Settings { may_heal: variables, may_hide: variables, confidence: 0.99, ..Settings::plain(12) };
    let (mut answers, mut rounds) = (Vec::new(), 0);
    // A search that begins anew with all answers so far goes on where it was.
    let findings = loop {
        let mut search = Search::new(settings.clone());
        answers.iter().for_each(|(run, known)| search.record(*run, *known));
        let next = search.next(3, &[]);
        if next.is_empty() {
            break search.findings();
        }
        rounds += 1;
        answers.extend(next.into_iter().map(|run| (run, answer(!run.has(1) && !run.shared(variables).is_empty()))));
    };
    assert_eq!(findings.sets, [set(&[0]), set(&[2]), set(&[3])]);
    assert_eq!(findings.healed.iter().map(|healing| healing.healers).collect::<Vec<_>>(), [set(&[1])]);
    assert!(rounds <= 12 && answers.len() <= 24, "{rounds} rounds, {} runs", answers.len());
}

#[test]
fn separates_variables_that_hide_each_other() {
    // Condition 5 switches off what fails with 2: together, and with all the others, no failure shows.
    for hider in [0, 5, 7] {
        let settings = Settings { may_heal: Set::first(8), may_hide: Set::first(8), ..Settings::plain(8) };
        let (findings, runs) = play(settings, 1, |run| answer(run.has(2) && !run.has(hider)));
        assert_eq!(findings.sets, [set(&[2])], "hidden by {hider}");
        assert_eq!(findings.healed, [Healing { healers: set(&[hider]), heals: set(&[2]) }]);
        assert!(runs <= 30, "{runs}");
    }
    // Where nothing fails, six runs separate twenty variables.
    let settings = Settings { may_heal: Set::first(20), may_hide: Set::first(20), ..Settings::plain(20) };
    let (findings, runs) = play(settings, 1, |_| Answer::Pass);
    assert!(findings.complete() && runs <= 2 + 6, "{runs}");
}

#[test]
fn reports_open_sets_when_stopped_early() {
    let mut search = Search::new(Settings::plain(8));
    assert_eq!(search.findings().open, [Set::first(8)]);
    search.record(Set::EMPTY, Answer::Pass);
    search.record(Set::first(8), Answer::Fail);
    let findings = search.findings();
    assert!(!findings.complete() && !findings.finished && !findings.open.is_empty(), "{findings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// If more conditions never heal, every reported set fails, each of its subsets passes, and none is missing.
    #[test]
    fn exactly_the_smallest_sets(
        sets in prop::collection::vec(1_u64..64, 0..4),
        free in 1_usize..5,
        suspects in prop::collection::vec((0_usize..6, 1.0_f64..15.0), 0..3),
        heals in 0_u64..64,
    ) {
        let sets: Vec<Set> = sets.into_iter().map(Set::from).collect();
        let mut settings = Settings { may_heal: heals.into(), may_hide: heals.into(), ..Settings::plain(6) };
        for (condition, factor) in suspects {
            settings.suspicion[condition] = factor;
        }
        let (findings, _) = play(settings, free, |run| answer(fails(&sets, run)));
        for found in &findings.sets {
            prop_assert!(fails(&sets, *found));
            prop_assert!(found.iter().all(|n| !fails(&sets, found.without(Set::one(n)))));
        }
        prop_assert_eq!(&findings.sets, &smallest(&sets));
        prop_assert!(findings.complete() && findings.healed.is_empty() && !findings.flaky);
    }

    /// With missing answers, nothing is claimed that is not known.
    #[test]
    fn claims_no_more_than_is_known(
        sets in prop::collection::vec(1_u64..64, 0..3),
        dark in prop::collection::vec(0_u64..64, 0..10),
        free in 1_usize..4,
    ) {
        let sets: Vec<Set> = sets.into_iter().map(Set::from).collect();
        let truth = |run: Set| if dark.iter().any(|dark| Set::from(*dark) == run) { Answer::Unresolved } else { answer(fails(&sets, run)) };
        let (findings, _) = play(Settings::plain(6), free, truth);
        for found in &findings.sets {
            prop_assert!(fails(&sets, *found), "{found:?} does not fail");
            prop_assert!(found.iter().all(|n| !fails(&sets, found.without(Set::one(n)))), "{found:?} is not smallest");
        }
        for found in &findings.perhaps {
            prop_assert!(fails(&sets, *found));
        }
        if findings.complete() {
            prop_assert_eq!(&findings.sets, &smallest(&sets));
        }
    }
}
