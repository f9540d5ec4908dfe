//! The table of failures and their expected diagnoses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::super::rows::{Base, Row};

/// A row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// `F01`.
    pub id: String,
    /// A one-line description.
    pub happened: String,
    /// A public thread or write-up; `None` if the report is not public.
    #[serde(default)]
    pub source: Option<String>,
    /// The image's base.
    #[serde(default)]
    pub base: Base,
    #[serde(default)]
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub cmd: Vec<String>,
    #[serde(default)]
    pub user: String,
    /// The image's ENV.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default = "amd64")]
    pub architecture: String,
    /// The architecture of its programs, if it differs.
    #[serde(default)]
    pub programs: Option<String>,
    /// The expected verdict of `why`.
    #[serde(default = "fail")]
    pub verdict: String,
    /// `fail`: it also fails under friendly conditions; `unresolved`: nothing runs for it.
    #[serde(default = "pass")]
    pub baseline: String,
    /// All minimal sets, in any order.
    #[serde(default)]
    pub sets: Vec<Set>,
    /// The `host:port` of a server without which nothing can be said.
    #[serde(default)]
    pub needs: Option<String>,
    /// Expected ids of the findings about the image before it runs.
    #[serde(default)]
    pub statics: Vec<String>,
    /// A note on the page.
    #[serde(default)]
    pub note: String,
    /// Why it does not run unless it is selected by its id.
    #[serde(default)]
    pub cannot: Option<String>,
}

/// A minimal set, and its expected diagnosis.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    /// Empty if it fails everywhere.
    #[serde(default)]
    pub conditions: Vec<String>,
    /// The first cause.
    pub cause: String,
    /// Further causes.
    #[serde(default)]
    pub also: Vec<String>,
    /// Words that the first cause's text must contain.
    #[serde(default)]
    pub words: Vec<String>,
}

fn amd64() -> String {
    "amd64".to_owned()
}

fn fail() -> String {
    "fail".to_owned()
}

fn pass() -> String {
    "pass".to_owned()
}

/// The folder of a row.
pub(super) fn folder(id: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/field").join(id)
}

/// Every row.
pub(super) fn table() -> Vec<Case> {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("cases.yaml")).expect("the table");
    for case in &cases {
        assert!(case.cannot.is_some() || folder(&case.id).join("service.yaml").is_file(), "{} has no files", case.id);
    }
    cases
}

/// A list of texts in a document.
pub(super) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `a + b`; `baseline` if empty.
pub(super) fn joined(conditions: &[&str]) -> String {
    let mut conditions = conditions.to_vec();
    conditions.sort_unstable();
    if conditions.is_empty() { "baseline".to_owned() } else { conditions.join(" + ") }
}

impl Case {
    /// The image's name.
    pub(super) fn tag(&self) -> String {
        format!("exitone-test/field-{}:latest", self.id.to_lowercase())
    }

    /// Its image.
    pub(super) fn row(&self) -> Row {
        Row {
            left_out: &["service.yaml"],
            base: self.base,
            architecture: self.architecture.clone(),
            machine: self.programs.clone().unwrap_or_else(|| self.architecture.clone()),
            entrypoint: self.entrypoint.clone(),
            cmd: self.cmd.clone(),
            user: self.user.clone(),
            env: self.env.clone(),
            ..Row::new(self.tag(), folder(&self.id))
        }
    }

    /// Every difference between the answer and the table.
    pub(super) fn wrong(&self, answer: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        if !answer.is_object() {
            return vec![format!("{}: no answer: {answer}", self.id)];
        }
        for (name, wanted) in [("verdict", &self.verdict), ("baseline", &self.baseline)] {
            if answer[name] != wanted.as_str() {
                wrong.push(format!("{name} is {}, not {wanted}", answer[name]));
            }
        }
        let said: Vec<&Value> = answer["minimal_sets"].as_array().into_iter().flatten().collect();
        let name = |set: &Value| joined(&texts(&set["conditions"]));
        let wanted: Vec<String> = self
            .sets
            .iter()
            .map(|set| joined(&set.conditions.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        for set in &said {
            if !wanted.contains(&name(set)) {
                wrong.push(format!("also fails under {}: {}", name(set), first(set)));
            }
        }
        for (set, wanted) in self.sets.iter().zip(&wanted) {
            match said.iter().find(|said| name(said) == *wanted) {
                Some(said) => wrong.extend(set.wrong(said).into_iter().map(|what| format!("{wanted}: {what}"))),
                None => wrong.push(format!("does not fail under {wanted}")),
            }
        }
        if let Some(server) = &self.needs {
            let needs = answer["needs"].as_array().into_iter().flatten();
            if !needs.filter_map(|need| need["text"].as_str()).any(|text| text.contains(server.as_str())) {
                wrong.push(format!("does not need {server}: {}", answer["needs"]));
            }
        }
        let statics: Vec<&str> =
            answer["static"].as_array().into_iter().flatten().filter_map(|found| found["id"].as_str()).collect();
        for wanted in self.statics.iter().filter(|wanted| !statics.contains(&wanted.as_str())) {
            wrong.push(format!("nothing of {wanted} before it runs, but {statics:?}"));
        }
        wrong.into_iter().map(|what| format!("{}: {what}", self.id)).collect()
    }
}

impl Set {
    fn wrong(&self, said: &Value) -> Vec<String> {
        let ids: Vec<&str> =
            said["causes"].as_array().into_iter().flatten().filter_map(|cause| cause["id"].as_str()).collect();
        let causes = said["causes"].as_array().into_iter().flatten();
        let text: String = causes.clone().filter_map(|cause| cause["text"].as_str()).collect();
        let mut wrong = Vec::new();
        // The catalogue may name it more precisely first.
        let kinds = causes.flat_map(|cause| cause["also"].as_array().into_iter().flatten().filter_map(Value::as_str));
        if !ids.iter().copied().chain(kinds).any(|id| id == self.cause) {
            wrong.push(format!("no cause is {}: {ids:?}, {}", self.cause, first(said)));
        }
        wrong.extend(self.also.iter().filter(|id| !ids.contains(&id.as_str())).map(|id| format!("no {id}: {ids:?}")));
        let missing = self.words.iter().filter(|word| !text.contains(word.as_str()));
        wrong.extend(missing.map(|word| format!("no {word:?} in: {text}")));
        wrong
    }
}

/// The first cause, shortened.
fn first(set: &Value) -> String {
    let cause = &set["causes"][0];
    let (id, text) = (cause["id"].as_str().unwrap_or("no cause"), cause["text"].as_str().unwrap_or_default());
    format!("{id}: {text} [{}]", set["signature"].as_str().unwrap_or_default())
}
