//! Output conforms to `exitone schema`, and the schema accepts nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::support::open;
use exitone::engine::Engine;
use exitone::engine::fake::{Act, FakeEngine, Situation, exits, healthy};
use exitone::event::Stamped;
use exitone::event::run::Run;
use exitone::model::search::{Bisect, Search, SearchRequest};
use exitone::model::service::{HttpCheck, Protocol};
use exitone::model::{Candidate, ConditionSet, Expectation, Part, Plan, Service};
use exitone::report::{bisect, json, schema};
use exitone::run::context::Options;
use exitone::run::drivers::{self, Finished};
use exitone::run::rig::Rig;
use exitone::run::schedule::How;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

/// The JSON Schema keywords used by the schemas; this test does not support others.
const KNOWN: [&str; 20] = [
    "$schema",
    "$ref",
    "$defs",
    "title",
    "description",
    "examples",
    "format",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "items",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "uniqueItems",
];
const SOME_OF: [&str; 2] = ["oneOf", "anyOf"];

/// Keys that are only written if there is something to say, each with its parent; every other key is always present.
const OPTIONAL: [&str; 25] = [
    "evidence/user",
    "attempts",
    "attempts/cut_short",
    "cases/attempts",
    "cases/cannot_impose",
    "cases/expect",
    "cases/expected",
    "cases/scenario",
    "cases/skipped",
    "cases/tried",
    "connects/name",
    "dns/own",
    "files",
    "image_diff/note",
    "newest/because",
    "not_run",
    "result/cannot_impose",
    "result/skipped",
    "tested/because",
    "planned/search",
    "report/open",
    "searches",
    "summary/open",
    "summary/searches",
    "summary/steps",
];

struct Schema(Value);

impl Schema {
    /// What is wrong with a document; `None` if it conforms to the schema.
    fn wrong(&self, document: &Value) -> Option<String> {
        self.check(&self.0, document, "").err()
    }

    /// The keys of the document that the schema knows, or the error.
    fn check<'a>(&'a self, schema: &'a Value, value: &Value, at: &str) -> Result<Vec<&'a str>, String> {
        let words = schema.as_object().ok_or_else(|| format!("{at}: {schema} is not a schema"))?;
        if let Some(other) = words.keys().find(|w| !KNOWN.contains(&w.as_str()) && !SOME_OF.contains(&w.as_str())) {
            return Err(format!("{at}: this test does not support `{other}`"));
        }
        let mut known: Vec<&str> = Vec::new();
        if let Some(name) = words.get("$ref").and_then(Value::as_str) {
            let part = self.0.pointer(name.trim_start_matches('#')).ok_or_else(|| format!("{at}: no {name}"))?;
            known.extend(self.check(part, value, at)?);
        }
        for of in SOME_OF {
            let Some(parts) = words.get(of).and_then(Value::as_array) else { continue };
            let checked: Vec<_> = parts.iter().map(|part| self.check(part, value, at)).collect();
            let good: Vec<_> = checked.iter().flatten().collect();
            if good.is_empty() || (of == "oneOf" && good.len() > 1) {
                let why: Vec<&String> = checked.iter().filter_map(|c| c.as_ref().err()).collect();
                return Err(format!("{at}: fits {} of `{of}`: {why:?}", good.len()));
            }
            known.extend(good.into_iter().flatten());
        }
        scalar(words, value).map_err(|why| format!("{at}: {why}"))?;
        if let (Some(part), Some(items)) = (words.get("items"), value.as_array()) {
            for (n, item) in items.iter().enumerate() {
                self.check(part, item, &format!("{at}/{n}"))?;
            }
        }
        if let Some(object) = value.as_object() {
            let properties = words.get("properties").and_then(Value::as_object);
            for (key, part) in properties.into_iter().flatten() {
                known.push(key);
                if let Some(value) = object.get(key) {
                    self.check(part, value, &format!("{at}/{key}"))?;
                }
            }
            let required = words.get("required").and_then(Value::as_array).into_iter().flatten();
            if let Some(missing) = required.filter_map(Value::as_str).find(|key| !object.contains_key(*key)) {
                return Err(format!("{at}: `{missing}` is missing"));
            }
            let closed =
                ["additionalProperties", "unevaluatedProperties"].iter().any(|w| words.get(*w) == Some(&json!(false)));
            if let Some(other) = object.keys().find(|key| closed && !known.contains(&key.as_str())) {
                return Err(format!("{at}: unknown key `{other}`"));
            }
        }
        Ok(known)
    }
}

/// Checks type, size and choice of a value.
fn scalar(words: &Map<String, Value>, value: &Value) -> Result<(), String> {
    let is = |name: &Value| match name.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("null") => value.is_null(),
        _ => false,
    };
    let fits = match words.get("type") {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    };
    let length = value.as_array().map(|items| items.len() as u64);
    let bound = |word: &str| words.get(word).and_then(Value::as_f64);
    let good = fits
        && words.get("const").is_none_or(|one| one == value)
        && words.get("enum").and_then(Value::as_array).is_none_or(|some| some.contains(value))
        && words.get("minItems").and_then(Value::as_u64).is_none_or(|least| length >= Some(least))
        && words.get("maxItems").and_then(Value::as_u64).is_none_or(|most| length <= Some(most))
        && bound("minimum").is_none_or(|least| value.as_f64().is_none_or(|n| n >= least))
        && bound("maximum").is_none_or(|most| value.as_f64().is_none_or(|n| n <= most));
    if good { Ok(()) } else { Err(format!("{value} does not conform to {words:?}")) }
}

/// The document with an additional key in each of its objects in turn.
fn with_more(document: &Value) -> Vec<Value> {
    let mut changed = Vec::new();
    if let Value::Object(keys) = document {
        let mut more = keys.clone();
        more.insert("planted".to_owned(), json!(1));
        changed.push(Value::Object(more));
    }
    for (place, part) in parts(document) {
        changed.extend(with_more(part).into_iter().map(|part| replaced(document, &place, part)));
    }
    changed
}

/// The document with each of its scalars in turn replaced by another type.
fn with_other(document: &Value) -> Vec<Value> {
    let parts = parts(document);
    if parts.is_empty() {
        return vec![json!([{"planted": 1}])];
    }
    let other =
        |(place, part): (String, &Value)| with_other(part).into_iter().map(move |o| (place.clone(), o)).collect();
    let all: Vec<(String, Value)> = parts.into_iter().flat_map::<Vec<_>, _>(other).collect();
    all.into_iter().map(|(place, part)| replaced(document, &place, part)).collect()
}

/// The document without one of its keys, and that key with its parent.
fn without_one(document: &Value, of: &str) -> Vec<(String, Value)> {
    let mut changed = Vec::new();
    for key in document.as_object().into_iter().flat_map(|keys| keys.keys()) {
        let mut less = document.clone();
        less.as_object_mut().expect("an object").shift_remove(key);
        changed.push((if of.is_empty() { key.clone() } else { format!("{of}/{key}") }, less));
    }
    for (place, part) in parts(document) {
        let of = if document.is_array() { of } else { &place };
        let less = without_one(part, of).into_iter();
        changed.extend(less.map(|(key, part)| (key, replaced(document, &place, part))));
    }
    changed
}

fn parts(document: &Value) -> Vec<(String, &Value)> {
    match document {
        Value::Object(keys) => keys.iter().map(|(key, part)| (key.clone(), part)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, part)| (n.to_string(), part)).collect(),
        _ => Vec::new(),
    }
}

fn replaced(document: &Value, place: &str, part: Value) -> Value {
    let mut document = document.clone();
    match &mut document {
        Value::Object(keys) => drop(keys.insert(place.to_owned(), part)),
        Value::Array(items) => items[place.parse::<usize>().expect("a place")] = part,
        _ => unreachable!("it has parts"),
    }
    document
}

/// Checks that the document conforms, and that no spoiled variant of it does.
fn exactly(schema: &Schema, document: &Value) {
    assert_eq!(schema.wrong(document), None, "{document:#}");
    for spoiled in with_more(document).into_iter().chain(with_other(document)) {
        assert!(schema.wrong(&spoiled).is_some(), "the schema accepts this: {spoiled:#}");
    }
    let spoiled = without_one(document, "").into_iter();
    let wrong = spoiled.filter(|(key, spoiled)| schema.wrong(spoiled).is_none() != OPTIONAL.contains(&key.as_str()));
    assert_eq!(wrong.map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>(), [].into(), "{document:#}");
}

fn service() -> Service {
    let mut service = exitone::scenario::service::defaults(&exitone::scenario::apprunner());
    service.port = 8000;
    service.health_check.protocol = Protocol::Http;
    service.env = ["A", "B"].map(|name| (name.to_owned(), "1".to_owned())).into_iter().collect();
    service
}

fn set(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("a condition"))).expect("a set")
}

fn act(situation: &Situation) -> Act {
    let has = |name| situation.env.contains_key(name);
    match (has("A"), has("B")) {
        (_, false) => exits(SECOND, 1, "KeyError: 'B'"),
        (false, _) => Act { listens: None, ..Act::default() },
        _ => healthy(8000),
    }
}

async fn rig(engine: &FakeEngine, jobs: usize) -> Rig {
    let state = tempfile::tempdir().expect("a folder");
    open(engine, state.path(), jobs, Options::default()).await
}

/// The events of a run: passes, failures of two classes, one that the host cannot impose, checks, expectations.
async fn told(how: How) -> Vec<Stamped> {
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(act));
    let facts = engine.inspect_image("app:1").await.expect("an image");
    let sets = ["", "env.unset:B", "env.unset:A", "cpu.limit:64", "egress.drop", "arch.mismatch"];
    let expected = |n: usize| (n == 1).then(|| "exit 1".parse::<Expectation>().expect("an outcome"));
    let cases = sets.iter().enumerate().map(|(n, text)| ("app:1".to_owned(), set(text), expected(n)));
    let mut service = service();
    service.checks = vec![HttpCheck {
        name: "ready".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        status: 200,
        json: None,
        within: SECOND,
    }];
    let part = Part { scenario: Some("s".to_owned()), service };
    let plan = Plan::of_scenario(part, vec![Candidate { facts }], cases.collect::<Vec<_>>());
    let rig = rig(&engine, how.room.jobs).await;
    let mut events = Vec::new();
    let interrupts = watch::channel(0).1;
    drivers::run(rig.context.clone(), Arc::new(plan), how, interrupts, |e| events.push(e.clone())).await;
    rig.close(false).await.expect("closed");
    events
}

#[tokio::test(start_paused = true)]
async fn events_and_run_document_conform() {
    let (events, result) = (Schema(schema::events()), Schema(schema::result()));
    for (how, complete) in [
        (How { retries: 1, files: vec![], ..How::from(2) }, true),
        (How { repeat: 2, files: vec!["s.yaml".to_owned()], ..How::from(3) }, true),
        (How { budget: Some(Duration::from_millis(1)), ..How::from(1) }, false),
    ] {
        let told = told(how).await;
        for event in &told {
            exactly(&events, &json!(event));
        }
        let document = json::of_run(&Run::of(&told));
        let verdicts: Vec<&Value> =
            document["cases"].as_array().expect("cases").iter().map(|c| &c["verdict"]).collect();
        if complete {
            assert!(["pass", "fail", "unresolved"].iter().all(|v| verdicts.contains(&&json!(v))), "{verdicts:?}");
        } else {
            assert!(document["not_run"].is_array(), "{document:#}");
        }
        exactly(&result, &document);
    }
}

async fn finish(rig: &Rig, plan: Plan, how: How, events: &Schema) -> Finished {
    let (interrupts, mut told) = (watch::channel(0).1, Vec::new());
    let finished =
        drivers::run(rig.context.clone(), Arc::new(plan), how, interrupts, |event| told.push(event.clone())).await;
    told.iter().for_each(|event| exactly(events, &json!(event)));
    finished
}

#[tokio::test(start_paused = true)]
async fn why_and_bisect_documents_conform() {
    let (events, result) = (Schema(schema::events()), Schema(schema::result()));
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(|_: &Situation| healthy(8000)));
    engine.image("app:2", &[], Arc::new(act));
    engine.image("app:3", &[], Arc::new(act));
    let mut candidates = Vec::new();
    for image in ["app:1", "app:2", "app:3"] {
        candidates.push(Candidate { facts: engine.inspect_image(image).await.expect("an image") });
    }
    let rig = rig(&engine, 2).await;
    for budget in [None, Some(Duration::ZERO)] {
        let conditions =
            ["env.unset:A", "env.unset:B", "egress.drop"].map(|c| c.parse().expect("a condition")).to_vec();
        let asked = SearchRequest { image: "app:2".to_owned(), conditions, named: Vec::new(), others: None };
        let search = Search { by_hand: vec!["exitone".to_owned()], ..Search::new(&asked) };
        let plan = Plan { searches: vec![search], ..Plan::new(service(), candidates.clone(), []) };
        let how = How { budget, ..How::from(2) };
        let finished = finish(&rig, plan, how.clone(), &events).await;
        let answer = &finished.run.searches.values().next().expect("an answer").answer;
        let document = json!(answer);
        assert_eq!(document["minimal_sets"].as_array().map(Vec::is_empty), Some(budget.is_some()), "{document:#}");
        exactly(&result, &document);
        let images = candidates.iter().map(|c| c.facts.reference.clone()).collect::<Vec<_>>();
        let bisect = Bisect::new(&images, set("env.unset:B"));
        let plan = Plan { bisect: Some(bisect), ..Plan::new(service(), candidates.clone(), []) };
        let finished = finish(&rig, plan, how, &events).await;
        let document = bisect::json(finished.run.verdicts.as_ref().expect("an answer"));
        assert_eq!(document["first_bad"], if budget.is_some() { Value::Null } else { json!("app:2") });
        exactly(&result, &document);
    }
    rig.close(true).await.expect("closed");
}

/// The list contains no obsolete key.
#[test]
fn list_of_optional_keys_matches_the_schema() {
    let text = format!("{} {}", schema::events(), schema::result());
    for key in OPTIONAL {
        let name = key.rsplit('/').next().expect("a name");
        assert!(text.contains(&format!("\"{name}\":{{")), "{key}");
    }
}
