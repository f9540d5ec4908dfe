use super::*;
use crate::model::condition::{Kind, kinds};

fn set(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("a condition"))).expect("a set")
}

fn seen(id: &str, text: &str) -> Cause {
    Cause { id: id.to_owned(), text: text.to_owned(), fix: String::new(), evidence: Vec::new(), ..Cause::default() }
}

fn ids(causes: Vec<Cause>, conditions: &str) -> Vec<String> {
    with_needed(causes, &set(conditions), [3, 3], &Platform::some()).into_iter().map(|cause| cause.id).collect()
}

#[test]
fn observed_causes_come_first_and_only_once() {
    let outbound = || seen("outbound-call-at-startup", "While it starts …");
    assert_eq!(ids(vec![outbound()], "egress.drop"), ["outbound-call-at-startup"]);
    assert_eq!(ids(vec![outbound()], "egress.drop env.set:A=b"), ["outbound-call-at-startup", "variable-value"]);
    assert_eq!(ids(vec![seen("no-output", "Nothing")], "env.unset:A"), ["missing-variable", "no-output"]);
    assert_eq!(ids(vec![seen("missing-variable", "needs `A`")], "env.unset:A"), ["missing-variable"]);
    let field = || seen("settings-validation", "… and `pool_size` did not pass");
    assert_eq!(ids(vec![field()], "env.empty:POOL_SIZE"), ["settings-validation"], "the field is the variable");
    assert_eq!(ids(vec![field()], "env.empty:POOL_NAME"), ["settings-validation", "missing-variable"]);
    // A different variable than the named one.
    assert_eq!(
        ids(vec![seen("missing-variable", "needs `B`")], "env.unset:A"),
        ["missing-variable", "missing-variable"]
    );
    assert_eq!(ids(vec![outbound()], ""), ["outbound-call-at-startup"], "nothing needed, nothing added");
}

#[test]
fn every_condition_has_a_meaning() {
    let mut all: Vec<String> = kinds().map(Kind::example).collect();
    all.extend(["a.example", "except=a.example"].map(|reach| format!("egress.drop:{reach}")));
    let mut page = String::new();
    for name in all {
        let causes = with_needed(Vec::new(), &set(&name), [3, 3], &Platform::some());
        assert_eq!(causes.len(), 1, "{name}");
        let cause = &causes[0];
        assert!(cause.text.ends_with('.') && cause.fix.ends_with('.'), "{name}: {}", cause.text);
        page.push_str(&format!("{name}: {}\n  {}\n  {}\n  {}\n\n", cause.id, cause.text, cause.fix, cause.evidence[0]));
    }
    insta::assert_snapshot!(page);
}

#[test]
fn does_not_show_secret_values() {
    let secrets = std::collections::BTreeSet::from(["API".to_owned()]);
    let hidden = set("env.set:API=not-a-secret").with_secrets(&secrets);
    let causes = with_needed(Vec::new(), &hidden, [1, 1], &Platform::some());
    assert!(!format!("{causes:?}").contains("not-a-secret"), "{causes:?}");
}
