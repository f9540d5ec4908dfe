//! Whether a list that is called complete is complete: `why` against programs whose failures are known and hide each
//! other, other forms of the conditions included.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::support::{candidates, close, open, service};
use exitone::engine::fake::{Act, FakeEngine, Situation, exits, healthy};
use exitone::model::answer::Answer;
use exitone::model::search::{Search, SearchRequest};
use exitone::model::{Condition, ConditionSet, Plan};
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::schedule::How;
use proptest::prelude::*;
use tokio::sync::watch;

const NAMES: [&str; 4] = ["A", "B", "C", "D"];
/// Forms of a variable's value, which exclude each other and its absence.
const FORMS: [&str; 4] = ["unset", "empty", "newline", "quoted"];

/// Something that a program does not stand: the form of one variable, or of two.
type Fault = BTreeSet<(usize, usize)>;

/// The form that a variable has in a run.
fn form(situation: &Situation, name: &str) -> Option<usize> {
    let known = |form: &str| match form {
        "unset" => !situation.env.contains_key(name),
        "empty" => situation.env.get(name).is_some_and(String::is_empty),
        "newline" => situation.env.get(name).is_some_and(|value| value.ends_with('\n')),
        _ => situation.env.get(name).is_some_and(|value| value.starts_with('"')),
    };
    FORMS.iter().position(|form| known(form))
}

/// A program that ends with the first of its faults.
fn program(faults: &[Fault]) -> impl Fn(&Situation) -> Act + Send + Sync + 'static + use<> {
    let faults = faults.to_vec();
    move |situation| {
        let holds = |fault: &&Fault| fault.iter().all(|(name, kind)| form(situation, NAMES[*name]) == Some(*kind));
        match faults.iter().position(|fault| holds(&fault)) {
            Some(n) => exits(Duration::from_secs(1), 1, &format!("RuntimeError: fault {}", ["a", "b", "c", "d"][n])),
            None => healthy(8000),
        }
    }
}

fn condition(name: usize, kind: usize) -> Condition {
    format!("env.{}:{}", FORMS[kind], NAMES[name]).parse().expect("a condition")
}

async fn ask(faults: &[Fault]) -> Answer {
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(program(faults)));
    let state = tempfile::tempdir().expect("a temporary folder");
    let rig = open(&engine, state.path(), 4, Options::default()).await;
    let all = |kinds: std::ops::Range<usize>| -> Vec<Condition> {
        (0..NAMES.len()).flat_map(|name| kinds.clone().map(move |kind| condition(name, kind))).collect()
    };
    let (image, conditions) = ("app:1".to_owned(), all(0..1));
    let request = SearchRequest { image, conditions, named: Vec::new(), others: None };
    let search = Search { forms: all(1..FORMS.len()), confidence: 0.95, ..Search::new(&request) };
    let plan = Plan { searches: vec![search], ..Plan::new(service(&NAMES), candidates(&engine, &["app:1"]).await, []) };
    let plan = Arc::new(plan);
    let how = How { room: 4.into(), ..How::from(1) };
    let finished = drivers::run(rig.context.clone(), plan, how, watch::channel(0).1, |_| {}).await;
    close(rig, &engine, finished.cut).await;
    finished.run.searches.values().next().expect("an answer").answer.clone()
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let one = (0..NAMES.len(), 0..FORMS.len());
    let fault = prop::collection::btree_set(one, 1..=2)
        // One variable has one form.
        .prop_filter("a variable twice", |fault| {
            fault.iter().map(|(n, _)| n).collect::<BTreeSet<_>>().len() == fault.len()
        });
    prop::collection::vec(fault, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn complete_means_that_nothing_else_fails(faults in faults()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let answer = runtime.expect("a runtime").block_on(ask(&faults));
        let words = |set: &ConditionSet| set.to_string().split(" + ").map(str::to_owned).collect::<BTreeSet<String>>();
        let listed: Vec<BTreeSet<String>> = answer.minimal_sets.iter().map(|set| words(&set.conditions)).collect();
        for fault in &faults {
            let set: BTreeSet<String> = fault.iter().map(|(name, kind)| condition(*name, *kind).to_string()).collect();
            let is_listed = listed.iter().any(|known| known.is_subset(&set));
            // An untried condition is said, and the list is not called complete.
            let is_untried = answer.untried.iter().any(|left| set.contains(&left.condition.to_string()));
            prop_assert!(is_listed || !answer.complete, "{set:?} is missing: {answer:#?}");
            // Two forms, or a form and another variable's absence, may not have been imposed together.
            let is_apart = fault.len() > 1 && answer.uncombined > 0;
            prop_assert!(is_listed || is_untried || is_apart || !answer.settled, "{set:?} is missing and was tried: {answer:#?}");
        }
        for set in &listed {
            let fails = |fault: &Fault| fault.iter().all(|(name, kind)| set.contains(&condition(*name, *kind).to_string()));
            prop_assert!(faults.iter().any(fails), "{set:?} does not fail: {answer:#?}");
        }
    }
}
