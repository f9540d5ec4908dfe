//! Tests of the page with hostile and large data.

use serde_json::json;

use super::text::{Texts, json_in_html, plain, tail};
use super::{filled, hash, render};
use crate::event::run::Run;
use crate::event::{Header, Planned};
use crate::model::outcome::CaseResult;
use crate::model::{Case, CaseId, ConditionSet};

const HOSTILE: &str = "</script><!--<script>\u{2028}\u{2029}\u{0}\u{1b}[1;31mred\u{1b}[0m & 'x' {{data}}";

fn failed(id: &str, log: &str) -> CaseResult {
    let value = json!({
        "id": id, "image": "app:1", "image_id": "", "conditions": [], "verdict": "fail", "class": "B", "exit_code": 1,
        "oom": false, "outcome": "exited", "phase": "listen", "started_ms": 1.0, "exited_ms": 12.0,
        "first_listen_ms": null, "healthy_ms": null, "verdict_ms": 1.0, "total_ms": 20.0, "evidence": {}, "checks": [],
        "causes": [{"id": "x", "text": "It is so.", "fix": HOSTILE, "evidence": [HOSTILE]}], "not_exercised": [],
        "static": [], "notes": [HOSTILE], "apprunner_log": [], "operation_status": null, "service_status": null,
    });
    CaseResult { log: log.to_owned(), ..serde_json::from_value(value).expect("a result") }
}

fn run(cases: usize, log: &str) -> Run {
    let mut run = Run { header: Header { platform: HOSTILE.to_owned(), ..Header::default() }, ..Run::default() };
    for n in 0..cases {
        let image = format!("app:v{}", n % 20);
        let condition = format!("env.unset:V{}", n / 20).parse().expect("a condition");
        let case = Case::new(&image, ConditionSet::new([condition]).expect("a set"));
        let result = failed(&case.id.0, log);
        run.header.cases.push(Planned {
            id: case.id.clone(),
            image,
            image_id: String::new(),
            place: n,
            conditions: case.conditions,
            scenario: None,
            expect: None,
            search: None,
        });
        run.results.insert(case.id, result.into());
    }
    run
}

fn data(page: &str) -> serde_json::Value {
    let json = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn data_cannot_break_out_of_the_page() {
    let page = render(&run(1, HOSTILE));
    assert_eq!(page.matches("</script>").count(), 2, "the data's end and the script's");
    assert!(!page.contains("<!--"));
    assert!(!page.contains(['\u{0}', '\u{1b}']));
    let json = page.split("id=\"data\">").nth(1).expect("data");
    assert!(!json.contains(['\u{2028}', '\u{2029}']));
    let data = data(&page);
    assert_eq!(data["cases"][0]["log"], "</script><!--<script>\u{2028}\u{2029}␀red & 'x' {{data}}");
    assert_eq!(data["warnings"], json!(["The run ended early; this page shows what was known by then."]));
}

#[test]
fn untrusted_text_is_escaped() {
    assert_eq!(json_in_html("\"</script>\u{2028}&\""), r#""\u003c/script\u003e\u2028\u0026""#);
    assert_eq!(plain("a\r\nb\rc\u{7}\u{7f}"), "a\nb\nc␇␡");
    assert_eq!(plain("\u{1b}[38;5;1mred\u{1b}[0m \u{1b}]0;title\u{7}x \u{1b}]8;;u\u{1b}\\y \u{1b}"), "red x y ␛");
    assert_eq!(plain("abc\u{202e}fed"), "abc\u{fffd}fed");
    assert_eq!(filled("a{{x}}b{{y}}{{z}}", &[("x", "{{y}}".to_owned()), ("y", "2".to_owned())]), "a{{y}}b2");
    assert_eq!(hash(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
}

#[test]
fn tail_of_a_log_begins_at_a_line() {
    assert_eq!(tail("ab\ncd\nef\n", 100), ("ab\ncd\nef\n", false));
    assert_eq!(tail("ab\ncd\nef\n", 5), ("ef\n", true));
    assert_eq!(tail("ääääää", 3), ("ä", true));
}

#[test]
fn repeated_text_is_stored_once() {
    let mut texts = Texts::default();
    assert_eq!([texts.number("a"), texts.number("b"), texts.number("a")], [0, 1, 0]);
    assert_eq!(texts.all(), ["a", "b"]);
}

#[test]
fn thousand_cases_make_a_small_page() {
    let page = render(&run(1000, ""));
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    // The logs of all failures together are limited.
    let page = render(&run(1000, &"a line of a log that is long\n".repeat(2000)));
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
}

#[test]
fn cases_that_differ_only_in_a_secret_get_their_own_rows() {
    // The same image and the same name of conditions: they differ in a secret.
    let mut run = run(1, "");
    let mut second = run.header.cases[0].clone();
    second.id = CaseId(format!("{}-2", second.id));
    run.header.cases.push(second);
    let rows = data(&render(&run))["matrices"][0]["rows"].clone();
    assert_eq!(rows, json!([{"name": "env.unset:V0", "cells": [0]}, {"name": "env.unset:V0 (2)", "cells": [1]}]));
}

#[test]
fn empty_run_has_a_page() {
    assert!(render(&Run::default()).contains("nothing was run"));
}
