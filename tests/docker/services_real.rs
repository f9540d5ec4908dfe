//! Services from PyPI, each with the Dockerfile that people write first and the mistakes in it, step by step until it is
//! healthy. What is wrong at each step was found by hand (`services_real/*/steps.yaml`).
//!
//! Some services only: `EXITONE_SERVICES=01-radicale`. Complete answers for reading: `EXITONE_SERVICE_ANSWERS=FOLDER`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::rows::{self, Row, side_by_side};
use super::support::engine;

/// Steps that run at the same time.
const AT_A_TIME: usize = 2;

/// One step of a service.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    service: Value,
    truth: Truth,
}

/// What is so, found by hand.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Truth {
    verdict: String,
    baseline: String,
    what: String,
    /// Words that are said although the image passes.
    #[serde(default)]
    says: Vec<String>,
    /// Words, one of which is in the text or the fix of the first cause.
    #[serde(default)]
    causes: Vec<String>,
    /// What must not be blamed.
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    repair: Option<String>,
    /// `host:port` of a server that is missing.
    #[serde(default)]
    needs: Option<String>,
    #[serde(default)]
    fails_under: Vec<String>,
    #[serde(default)]
    passes_under: Vec<String>,
}

/// A step and the service that it is of.
struct Case {
    service: String,
    number: usize,
    step: Step,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/services_real")
}

fn table() -> Vec<Case> {
    let mut names: Vec<String> = std::fs::read_dir(root())
        .expect("the services")
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let steps = |service: String| {
        let text = std::fs::read_to_string(root().join(&service).join("steps.yaml")).expect("the steps");
        let steps: Vec<Step> = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{service}: {e}"));
        (1..).zip(steps).map(move |(number, step)| Case { service: service.clone(), number, step })
    };
    names.into_iter().flat_map(steps).collect()
}

impl Case {
    /// The service and the step, as `EXITONE_SERVICES` takes them.
    fn id(&self) -> String {
        format!("{}:{}", self.service, self.number)
    }

    fn name(&self) -> String {
        format!("{} step {}", self.service, self.number)
    }

    fn row(&self) -> Row {
        let tag = format!("exitone-test/real-{}:{}", self.service, self.number);
        Row {
            base: rows::Base::Slim,
            requirements: Some(root().join(&self.service).join("requirements.txt")),
            entrypoint: self.step.entrypoint.clone(),
            cmd: self.step.cmd.clone(),
            user: self.step.user.clone(),
            env: self.step.env.clone(),
            ..Row::new(tag, root().join(&self.service).join("app"))
        }
    }

    fn ask(&self) -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        let service = folder.path().join("service.yaml");
        std::fs::write(&service, self.step.service.to_string()).expect("written");
        let name = format!("{}-{}", self.service, self.number);
        rows::why(&self.row().tag, &[("--service", service)], ("EXITONE_SERVICE_ANSWERS", &name))
    }

    /// What is wrong with an answer: verdicts and sets first, causes apart.
    fn judge(&self, answer: &Value) -> Judged {
        let truth = &self.step.truth;
        let mut wrong = Vec::new();
        for (key, expected) in [("verdict", &truth.verdict), ("baseline", &truth.baseline)] {
            if answer[key] != expected.as_str() {
                wrong.push(format!("{key} {} instead of {expected}", answer[key]));
            }
        }
        let sets: Vec<Vec<&str>> = answer["minimal_sets"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|set| set["conditions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect())
            .collect();
        let is_listed = |condition: &str| sets.iter().any(|set| set == &[condition]);
        wrong.extend(truth.fails_under.iter().filter(|c| !is_listed(c)).map(|c| format!("{c} is not listed")));
        wrong.extend(truth.passes_under.iter().filter(|c| is_listed(c)).map(|c| format!("{c} is listed")));
        if let Some(needs) = &truth.needs
            && !answer["needs"].to_string().contains(needs)
        {
            wrong.push(format!("needs {} instead of {needs}", answer["needs"]));
        }
        let all = answer.to_string().to_lowercase();
        wrong.extend(
            truth
                .says
                .iter()
                .filter(|word| !all.contains(&word.to_lowercase()))
                .map(|word| format!("`{word}` is not said")),
        );
        let repairs: Vec<&Value> = answer["minimal_sets"][0]["repairs"].as_array().into_iter().flatten().collect();
        if let Some(repair) = &truth.repair {
            let plain = |id: &str| id.replace(' ', "");
            // Another setting that heals is as good.
            let is_good = |one: &&Value| {
                let is_it = one["id"].as_str().is_some_and(|id| plain(id) == plain(repair));
                one["verified"] == true && (is_it || one["kind"] == "fix")
            };
            if !repairs.iter().any(is_good) {
                wrong.push(format!("{repair} is not verified"));
            }
        }
        let first = &answer["minimal_sets"][0]["causes"][0];
        let needs = answer["needs"][0]["text"].as_str().unwrap_or("");
        let text = format!("{} {} {needs}", first["text"].as_str().unwrap_or(""), first["fix"].as_str().unwrap_or(""));
        let text = text.to_lowercase();
        let says = |word: &String| text.contains(&word.to_lowercase());
        wrong.extend(truth.never.iter().filter(|word| says(word)).map(|word| format!("`{word}` is blamed: {text}")));
        let cause = truth.causes.is_empty() || truth.causes.iter().any(says);
        let healed = repairs.iter().find(|one| one["verified"] == true).and_then(|one| one["id"].as_str());
        let sets: Vec<String> = sets.iter().map(|set| set.join(" + ")).filter(|set| !set.is_empty()).collect();
        let found = match (answer["needs"][0]["text"].as_str(), first["id"].as_str(), healed) {
            (Some(needs), ..) => format!("undecided: {needs}"),
            (_, Some(cause), Some(repair)) => format!("{cause}, healed by `{repair}`"),
            (_, None, Some(repair)) => format!("healed by `{repair}`"),
            (_, cause, None) if sets.is_empty() => cause.unwrap_or("nothing fails").to_owned(),
            (..) => format!("healthy; fails under {}", sets.join(", ")),
        };
        Judged { wrong, cause, said: first["id"].as_str().unwrap_or("no cause").to_owned(), found }
    }
}

struct Judged {
    wrong: Vec<String>,
    /// Whether the first cause is the right one.
    cause: bool,
    said: String,
    /// What was found, for the page.
    found: String,
}

/// The page of all services (`EXITONE_UPDATE_DOCS=1` writes it).
fn page(cases: &[Case], judged: &[Judged]) -> String {
    let mut page = "# Real services\n\n\
                    You want to see what repairing a service looks like: these are twelve from PyPI, each from the \
                    Dockerfile that people write first,\nstep by step until it is healthy \
                    (`tests/docker/services_real`).\n\nWhat is wrong was found by hand, before any answer was read. \
                    The last column is what `exitone why IMAGE --service\nservice.yaml` says. \
                    `EXITONE_UPDATE_DOCS=1 cargo test --test docker services_real::` writes this page.\n\n\
                    | service | step | problem | answer of `why` |\n|---|---|---|---|\n"
        .to_owned();
    for (case, of) in cases.iter().zip(judged) {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let (name, what) = (cell(&case.step.name), cell(&case.step.truth.what));
        let wrong = if of.wrong.is_empty() { String::new() } else { format!("**wrong**: {}; ", of.wrong.join("; ")) };
        page.push_str(&format!("| {} | {name} | {what} | {}{} |\n", case.service, cell(&wrong), cell(&of.found)));
    }
    page
}

/// One that says itself what it lacks.
const FEW: [&str; 1] = ["03-pypiserver"];

#[tokio::test]
async fn services_are_repaired_step_by_step() {
    let Some((engine, _alone)) = engine().await else { return };
    let wanted = rows::Wanted::of("EXITONE_SERVICES", &FEW);
    let cases: Vec<Case> =
        table().into_iter().filter(|case| wanted.has(&case.service) || wanted.has(&case.id())).collect();
    rows::build_database(&*engine, cases.iter().map(|case| case.step.service.to_string())).await;
    let rows: Vec<Row> = cases.iter().map(Case::row).collect();
    rows::build(&*engine, &rows).await;
    let judged = side_by_side(&cases, AT_A_TIME, |case| {
        let of = case.judge(&case.ask());
        let cause = if of.cause { "" } else { ", ANOTHER CAUSE" };
        let verdict = if of.wrong.is_empty() { "right".to_owned() } else { format!("WRONG: {}", of.wrong.join("; ")) };
        eprintln!("{} ({}): {verdict}; {}{cause}", case.name(), case.step.name, of.said);
        of
    });
    let right = judged.iter().filter(|of| of.wrong.is_empty()).count();
    let causes = judged.iter().filter(|of| of.cause).count();
    eprintln!("{right} of {} steps right, {causes} with the right cause", judged.len());
    if wanted.is_all() && std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/real-services.md");
        std::fs::write(file, page(&cases, &judged)).expect("written");
    }
    assert_eq!(right, judged.len(), "wrong answers");
}
