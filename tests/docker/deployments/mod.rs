//! Planted deployments: a description, an update and logs of a deployment that failed, and its image. What broke each is
//! known by construction (`cases.yaml`); `exitone why` must say so, and must not call proved what is not.
//!
//! Some rows only: `EXITONE_DEPLOYMENTS=D01,D02`. Complete answers for reading: `EXITONE_DEPLOYMENT_ANSWERS=FOLDER`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::rows::{self, Base, Row, side_by_side};
use super::support::engine;

/// Rows that run at the same time.
const AT_A_TIME: usize = 3;
/// The evidence, and the flag of each file.
const EVIDENCE: [(&str, &str); 6] = [
    ("service.json", "--service"),
    ("update.json", "--update"),
    ("service.log", "--log"),
    ("application.log", "--log"),
    ("operations.json", "--operations"),
    ("values.env", "--env-file"),
];

/// A row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    #[allow(dead_code)]
    happened: String,
    #[serde(default)]
    base: Base,
    #[serde(default = "amd64")]
    architecture: String,
    #[serde(default)]
    programs: Option<String>,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// `plain`, `rare`, `not-reproducible`, `two-faults`.
    kind: String,
    /// The most that may be said.
    certainty: String,
    /// What broke it; `None` if nothing here shows it.
    #[serde(default)]
    set: Option<Vec<String>>,
    /// Sets that are as right.
    #[serde(default)]
    accept: Vec<Vec<String>>,
    cause: Cause,
    /// Conditions that must not come first.
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    #[allow(dead_code)]
    next: Option<Value>,
    #[allow(dead_code)]
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cause {
    ids: Vec<String>,
    words: Vec<String>,
}

fn amd64() -> String {
    "amd64".to_owned()
}

fn table() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("cases.yaml")).expect("the table")
}

impl Case {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/deployments").join(&self.id)
    }

    fn row(&self) -> Row {
        let tag = format!("exitone-test/deployment-{}:latest", self.id.to_lowercase());
        Row {
            base: self.base,
            architecture: self.architecture.clone(),
            machine: self.programs.clone().unwrap_or_else(|| self.architecture.clone()),
            entrypoint: self.entrypoint.clone(),
            cmd: self.cmd.clone(),
            user: self.user.clone(),
            env: self.env.clone(),
            ..Row::new(tag, self.folder().join("app"))
        }
    }

    fn ask(&self) -> Value {
        let files = EVIDENCE.map(|(file, flag)| (flag, self.folder().join(file)));
        let files: Vec<(&str, PathBuf)> = files.into_iter().filter(|(_, path)| path.is_file()).collect();
        rows::why(&self.row().tag, &files, ("EXITONE_DEPLOYMENT_ANSWERS", &self.id))
    }

    /// Whether the answer is right, and what is said.
    fn judge(&self, answer: &Value) -> Judged {
        let first = &answer["deployment"]["likely"][0];
        let (part, certainty) =
            (first["ref"].as_str().unwrap_or("nothing"), first["certainty"].as_str().unwrap_or("undecided"));
        let set = set_of(answer, part);
        let is_right = |set: &[String]| {
            let accepted = self.set.iter().chain(&self.accept);
            accepted.map(|accepted| sorted(accepted)).any(|accepted| accepted == sorted(set))
        };
        let causes = causes(answer, part);
        let text = causes.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ").to_lowercase();
        let named = causes.iter().any(|(id, _)| self.cause.ids.contains(id));
        let words = self.cause.words.iter().all(|word| text.contains(&word.to_lowercase()));
        let said =
            format!("{certainty} {part} {}: {}", set.join(" + "), causes.first().map_or("no cause", |(id, _)| id));
        let is_proved = certainty == "proved";
        let right = match (&self.set, self.certainty.as_str()) {
            (Some(_), _) => is_right(&set) && part != "nothing" && (named || words),
            // What nothing here shows must not be called proved, and no set may be blamed for it.
            (None, _) => !is_proved && (set.is_empty() || certainty == "undecided"),
        };
        let tempting = set.len() == 1 && self.never.contains(&set[0]) && certainty != "undecided";
        let wrongly_proved = is_proved && (self.set.is_none() || !is_right(&set));
        Judged { id: self.id.clone(), kind: self.kind.clone(), right: right && !tempting, wrongly_proved, said }
    }
}

struct Judged {
    id: String,
    kind: String,
    right: bool,
    wrongly_proved: bool,
    said: String,
}

fn sorted(set: &[String]) -> Vec<String> {
    let mut set = set.to_vec();
    set.sort();
    set
}

/// The conditions of a part of the answer.
fn set_of(answer: &Value, part: &str) -> Vec<String> {
    let Some(n) = part.strip_prefix("set:").and_then(|n| n.parse::<usize>().ok()) else { return Vec::new() };
    let texts = answer["minimal_sets"][n]["conditions"].as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The causes of a part of the answer: ids and texts.
fn causes(answer: &Value, part: &str) -> Vec<(String, String)> {
    let number = |prefix: &str| part.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
    let is_baseline = |set: &&Value| set["conditions"].as_array().is_some_and(Vec::is_empty);
    let sets = answer["minimal_sets"].as_array();
    let list: Vec<&Value> = match (number("set:"), number("static:"), part) {
        (Some(n), _, _) => answer["minimal_sets"][n]["causes"].as_array().into_iter().flatten().collect(),
        (_, Some(n), _) => vec![&answer["static"][n]],
        (_, _, "baseline") => {
            let set = sets.into_iter().flatten().find(is_baseline);
            set.and_then(|set| set["causes"].as_array()).into_iter().flatten().collect()
        }
        _ => Vec::new(),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.into_iter().map(|cause| (text(&cause["id"]), text(&cause["text"]))).collect()
}

/// One whose update switched to production.
const FEW: [&str; 1] = ["D03"];

#[tokio::test]
async fn names_what_broke_each_planted_deployment() {
    let Some((engine, _alone)) = engine().await else { return };
    let wanted = rows::Wanted::of("EXITONE_DEPLOYMENTS", &FEW);
    let cases: Vec<Case> = table().into_iter().filter(|case| wanted.has(&case.id)).collect();
    let rows: Vec<Row> = cases.iter().map(Case::row).collect();
    rows::build(&*engine, &rows).await;
    let judged = side_by_side(&cases, AT_A_TIME, |case| {
        let of = case.judge(&case.ask());
        eprintln!("{} {} {}: {}", of.id, if of.right { "right" } else { "WRONG" }, of.kind, of.said);
        of
    });
    let right = judged.iter().filter(|of| of.right).count();
    let wrongly: Vec<&str> = judged.iter().filter(|of| of.wrongly_proved).map(|of| of.id.as_str()).collect();
    eprintln!("{right} of {} right, {} wrong among those called proved", judged.len(), wrongly.len());
    assert!(wrongly.is_empty(), "called proved, and wrong: {wrongly:?}");
    // Two of forty may be undecided.
    assert!(right + judged.len() / 20 >= judged.len(), "only {right} of {} are right", judged.len());
}
