//! Failures that look alike in the log (`look_alikes/cases.yaml`): real programs, each beside another that prints the same
//! line for another reason. What the container shows decides which cause is named.
//!
//! Some rows only: `EXITONE_LOOK_ALIKES=L01,L02`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::rows::{self, Base, Row, side_by_side};
use super::support::{engine, exitone};

/// Rows that run at the same time.
const AT_A_TIME: usize = 2;

/// A row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    happened: String,
    /// The row whose line it prints.
    #[allow(dead_code)]
    #[serde(default)]
    imitates: String,
    #[serde(default)]
    base: Base,
    cmd: Vec<String>,
    #[serde(default)]
    user: String,
    /// The condition that it runs under.
    #[serde(default)]
    under: Option<String>,
    /// One of these is named first; none if any may be.
    #[serde(default)]
    causes: Vec<String>,
    /// None of these is named.
    #[serde(default)]
    never: Vec<String>,
}

impl Case {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/look_alikes").join(&self.id)
    }

    fn row(&self) -> Row {
        Row {
            left_out: &["service.yaml"],
            base: self.base,
            cmd: self.cmd.clone(),
            user: self.user.clone(),
            ..Row::new(format!("exitone-test/look-alike-{}:latest", self.id.to_lowercase()), self.folder())
        }
    }

    /// What is wrong with the causes of a run, if anything.
    fn wrong(&self) -> Option<String> {
        let mut command = exitone();
        command.args(["run", "--format", "json", "--image", &self.row().tag, "--service"]);
        command.arg(self.folder().join("service.yaml"));
        command.args(self.under.iter().flat_map(|condition| ["--with", condition]));
        let output = command.output().expect("it runs");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let case = &document["cases"][0];
        let causes: Vec<&str> =
            case["causes"].as_array().into_iter().flatten().filter_map(|cause| cause["id"].as_str()).collect();
        let is_first = self.causes.is_empty() || causes.first().is_some_and(|id| self.causes.iter().any(|c| c == id));
        let is_fail = case["verdict"] == "fail";
        let is_never = causes.iter().any(|id| self.never.iter().any(|never| never == id));
        eprintln!("{}: {causes:?}", self.id);
        (!is_first || is_never || !is_fail)
            .then(|| format!("{} ({}): {} {causes:?}: {}", self.id, self.happened, case["verdict"], case["log"]))
    }
}

/// A pair of each kind: files, and variables.
const FEW: [&str; 4] = ["L01", "L03", "L09", "L11"];

#[tokio::test]
async fn what_the_container_shows_tells_look_alikes_apart() {
    let Some((engine, _one)) = engine().await else { return };
    let all: Vec<Case> = serde_saphyr::from_str(include_str!("look_alikes/cases.yaml")).expect("the table");
    let wanted = rows::Wanted::of("EXITONE_LOOK_ALIKES", &FEW);
    let cases: Vec<Case> = all.into_iter().filter(|case| wanted.has(&case.id)).collect();
    let rows: Vec<Row> = cases.iter().map(Case::row).collect();
    rows::build(&*engine, &rows).await;
    let wrong: Vec<String> = side_by_side(&cases, AT_A_TIME, Case::wrong).into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
