//! Tests of all formats together.

use serde_json::Value;

use super::fixture::every_kind;
use super::{html, json, junit, markdown, terminal};
use crate::event::Counts;
use crate::event::log::read;
use crate::event::run::Run;

/// A run with cases that were not run, skipped, unresolved, retried, flaky, expected to fail, and found by an
/// incomplete search.
fn with_everything() -> Run {
    let log = read(include_str!("../../tests/fixtures/events-v1.jsonl")).expect("a log");
    let mut run = Run::merged(vec![every_kind(), Run::of(&log.events)]).expect("they can be merged");
    for report in run.searches.values_mut() {
        std::sync::Arc::make_mut(report).open = Some("time was up".to_owned());
    }
    run
}

/// The number before a word in a line of counts; 0 when the word is missing.
fn number(line: &str, word: &str) -> usize {
    let part = line.split(", ").find_map(|part| part.strip_suffix(word));
    part.map_or(0, |number| number.trim().parse().unwrap_or_else(|_| panic!("{word}: {line}")))
}

/// The sum of an attribute over all elements of a name.
fn sum(xml: &str, element: &str, attribute: &str) -> usize {
    let begin = format!("<{element} ");
    let elements = xml.split(&begin).skip(1).map(|rest| &rest[..rest.find('>').expect("an end")]);
    let value = |element: &str| element.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?.parse().ok();
    elements.map(|element| value(element).unwrap_or(0)).sum()
}

#[test]
fn every_format_has_the_same_counts() {
    let run = with_everything();
    let counts = run.counts();
    let some = [counts.expected, counts.unexpected, counts.unresolved, counts.skipped, counts.not_run, counts.steps];
    assert!(some.iter().all(|count| *count > 0) && counts.flaky > 0 && counts.open > 0, "{counts:?}");
    assert_eq!(some.iter().sum::<usize>(), counts.cases);

    let document = json::of_run(&run);
    assert_eq!(serde_json::from_value::<Counts>(document["summary"].clone()).expect("counts"), counts);
    let length = |key: &str| document[key].as_array().map_or(0, Vec::len);
    assert_eq!((length("cases") + length("not_run"), length("not_run")), (counts.cases, counts.not_run));

    let text = terminal::run(&run);
    let page = markdown::render(&run);
    let of_page = page.lines().find(|line| line.contains(" passed, ")).and_then(|line| line.split(" · ").next());
    let of_text = text.lines().last().and_then(|line| line.split(" in ").next());
    for line in [of_text, of_page].map(|line| line.expect("a line of counts")) {
        let numbers = ["cases", "passed", "failed", "unresolved", "skipped", "not run", "steps of a search", "flaky"];
        let known = [
            counts.cases,
            counts.passed,
            counts.failed,
            counts.unresolved,
            counts.skipped,
            counts.not_run,
            counts.steps,
            counts.flaky,
        ];
        assert_eq!(numbers.map(|word| number(line, word)), known, "{line}");
    }
    assert!(page.lines().next().is_some_and(|line| line.contains(&format!("{} of ", counts.unexpected))), "{page}");

    let xml = junit::render(&run);
    let (failures, errors) = (counts.unexpected, counts.unresolved + counts.open);
    let skipped = counts.skipped + counts.not_run;
    // A step of a search is no test.
    let tests = counts.cases - counts.steps + counts.searches;
    for element in ["testsuites", "testsuite"] {
        let all = ["tests", "failures", "errors"].map(|attribute| sum(&xml, element, attribute));
        assert_eq!(all, [tests, failures, errors], "{element}");
    }
    assert_eq!(sum(&xml, "testsuite", "skipped"), skipped);
    let elements =
        ["<testcase ", "<failure ", "<error ", "<skipped ", "<flakyFailure "].map(|e| xml.matches(e).count());
    assert_eq!(elements[..4], [tests, failures, errors, skipped]);
    assert!((1..=counts.flaky).contains(&elements[4]));

    let page = html::render(&run);
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: Value = serde_json::from_str(data).expect("JSON");
    let shown: Vec<u64> =
        data["counts"].as_array().expect("counts").iter().map(|count| count[2].as_u64().expect("a number")).collect();
    assert_eq!(shown, some.map(|count| count as u64));
    for (count, n) in data["counts"].as_array().expect("counts").iter().zip(some) {
        let cases = data["cases"].as_array().expect("cases").iter();
        assert_eq!(cases.filter(|case| case["group"] == count[0]).count(), n, "{count}");
    }
}
