//! `apprunner.yaml`: the configuration of a service that App Runner builds from source.
//!
//! Keys: <https://docs.aws.amazon.com/apprunner/latest/dg/config-file-ref.html>.

use serde::Deserialize;

use super::Kind;
use super::draft::{Draft, Field, Origin, Store, Value, Variable};
use super::env::surroundings;
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::yaml::{self, Placed, Text, problem};

// Unknown keys are passed over: the file is App Runner's, and its format grows.

#[derive(Deserialize)]
struct File {
    runtime: Option<Placed<Text>>,
    run: Option<Run>,
}

#[derive(Deserialize)]
struct Run {
    #[serde(rename = "runtime-version")]
    runtime_version: Option<Text>,
    command: Option<Placed<Text>>,
    #[serde(rename = "pre-run")]
    pre_run: Option<Vec<Text>>,
    network: Option<Network>,
    #[serde(default)]
    env: Option<Vec<Entry>>,
    #[serde(default)]
    secrets: Option<Vec<SecretEntry>>,
}

#[derive(Deserialize)]
struct Network {
    port: Option<Placed<Text>>,
    env: Option<Placed<Text>>,
}

#[derive(Deserialize)]
struct Entry {
    name: Placed<Text>,
    value: Option<Text>,
}

#[derive(Deserialize)]
struct SecretEntry {
    name: Placed<Text>,
    #[serde(rename = "value-from")]
    value_from: Text,
}

/// Where a value stands.
fn origin<T>(path: &str, at: &Placed<T>) -> Origin {
    let place = problem(at, "");
    Origin { path: path.to_owned(), place: place.line.map(|line| (line, place.column)) }
}

fn field(path: &str, text: Placed<Text>) -> Field {
    Field { from: origin(path, &text), text: text.value.0 }
}

/// Reads it.
///
/// # Errors
/// When its form is wrong; what is wrong with its values is kept beside what is good.
pub fn read(file: &str, text: &str) -> Result<Draft, Refused> {
    // No excerpt is shown: the value of a variable may stand in any line.
    let hidden = |refused: Refused| Refused::new(file, "", refused.problems);
    let read: File = yaml::read(file, text).map_err(hidden)?;
    let mut draft = Draft::new(Kind::AppRunnerYaml);
    let mut problems = Vec::new();
    draft.notes.push(
        "The image: App Runner builds this service from source, and exitone runs images. Build one (a Dockerfile that \
         does what `build:` and `pre-run:` do) and name it under `candidates`."
            .to_owned(),
    );
    if let Some(runtime) = read.runtime {
        let version = read.run.as_ref().and_then(|run| run.runtime_version.as_ref()).map(|v| format!(" {}", v.0));
        let whole = runtime.value.0 + &version.unwrap_or_default();
        let shown: String = whole.chars().filter(|c| c.is_ascii_alphanumeric() || " _.-".contains(*c)).collect();
        draft.notes.push(format!("What App Runner's runtime {shown} brings along: the image must have it."));
    }
    match read.run {
        Some(run) => take(run, &mut draft, &mut problems),
        None => problems.push(Problem::of_file("the key `run` is missing: there is nothing to start")),
    }
    draft.notes.push("The health check and the size: they are no part of an apprunner.yaml.".to_owned());
    surroundings(&mut draft);
    Ok(draft.finish(problems))
}

fn take(run: Run, draft: &mut Draft, problems: &mut Vec<Problem>) {
    match run.command {
        Some(command) => draft.start_command = Some(field("run.command", command)),
        None => problems.push(Problem::of_file("the key `run.command` is missing: there is nothing to start")),
    }
    if run.pre_run.is_some_and(|commands| !commands.is_empty()) {
        draft.notes.push(
            "`pre-run:` commands are run before the start there, in the image that runs; here nothing runs them."
                .to_owned(),
        );
    }
    let network = run.network.unwrap_or(Network { port: None, env: None });
    let port = network.port.map(|port| field("run.network.port", port));
    for entry in run.env.into_iter().flatten() {
        let from = origin("run.env", &entry.name);
        // `value:` with nothing behind it is an empty value.
        let value = Value::Plain(entry.value.map(|text| text.0).unwrap_or_default());
        draft.add(Variable { name: entry.name.value.0, value, from }, problems);
    }
    for entry in run.secrets.into_iter().flatten() {
        let from = origin("run.secrets", &entry.name);
        let value = Value::Secret(Store::of(&entry.value_from.0));
        draft.add(Variable { name: entry.name.value.0, value, from }, problems);
    }
    // The port's number is passed under this name as well as under PORT.
    if let Some(name) = network.env.filter(|name| name.value.0 != "PORT") {
        let from = origin("run.network.env", &name);
        let value = Value::Plain(port.as_ref().map_or_else(|| "8080".to_owned(), |port| port.text.clone()));
        draft.add(Variable { name: name.value.0, value, from }, problems);
    }
    draft.port = port;
}
