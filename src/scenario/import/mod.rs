//! Converts existing configuration to a scenario: `aws apprunner describe-service`, `apprunner.yaml`, env files.
//!
//! Each reader creates a `Draft`; `emit` writes it as a scenario, whose text is then read like any other: App Runner's
//! ranges and combinations are checked in one place. An error in a written line is reported at the origin of the line.

mod apprunner_yaml;
mod describe;
mod draft;
mod emit;
mod env;
mod hide;
mod json;
pub(crate) mod operations;
pub(crate) mod revision;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use draft::Draft;
use emit::Lines;

use super::file;
use super::problem::{Problem, Refused};
use super::text::LARGEST;
use super::yaml;
use crate::profile::Profile;

/// The detected kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `aws apprunner describe-service`, as JSON or as YAML.
    Describe,
    /// The input of `aws apprunner update-service`, or its event in CloudTrail.
    Update,
    /// The configuration file of a service that App Runner builds from source.
    AppRunnerYaml,
    /// `NAME=VALUE` lines.
    EnvFile,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe => "the output of `aws apprunner describe-service`",
            Self::Update => "the input of `aws apprunner update-service`",
            Self::AppRunnerYaml => "an apprunner.yaml",
            Self::EnvFile => "an env file",
        })
    }
}

/// A scenario created from a file.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// The detected kind of the file.
    pub(crate) kind: Kind,
    /// The scenario file.
    pub(crate) text: String,
}

/// Converts a file to a scenario. `images` replace the one in the file.
///
/// # Errors
/// The file is of no known kind, or has errors.
pub(crate) fn scenario(file: &str, text: &str, images: &[String], profile: &Profile) -> Result<Imported, Refused> {
    let draft = read(file, text)?;
    let lines = emit::scenario(&draft, file, images);
    let checked = file::read(file, &lines.text(), Path::new("."), Some(profile));
    all_good((file, &draft.shown), checked, &lines, draft.problems)
        .map(|_| Imported { kind: draft.kind, text: lines.text() })
}

/// Whether the text is, or was meant to be, `describe-service` output.
fn is_described(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('{') {
        return has_key(text, &DESCRIBE_KEYS);
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(document) => DESCRIBE_KEYS.iter().any(|key| document.contains_key(*key)),
        Err(_) => text.contains("\"SourceConfiguration\""),
    }
}

/// Top-level keys of `describe-service` output in YAML.
const DESCRIBE_KEYS: [&str; 2] = ["Service", "SourceConfiguration"];

fn read(file: &str, text: &str) -> Result<Draft, Refused> {
    let text = text.trim_start_matches('\u{feff}');
    let refuse = |message: String| Err(Refused::new(file, "", vec![Problem::of_file(message)]));
    if text.len() > LARGEST {
        return refuse(format!("the file has {} bytes (the limit is {LARGEST})", text.len()));
    }
    let start = text.trim_start();
    if start.starts_with('{') || start.starts_with('[') {
        return match serde_json::from_str(text) {
            Ok(value) => describe::read(file, text, &value),
            Err(e) => {
                let words = e.to_string();
                // The library appends the place to its message.
                let words = words.split(" at line ").next().unwrap_or(&words);
                let problem = Problem::at(e.line(), e.column(), format!("invalid JSON: {words}"));
                Err(Refused::new(file, "", vec![problem]))
            }
        };
    }
    // `aws --output yaml`. No excerpt is shown: any line may contain the value of a variable.
    if has_key(text, &DESCRIBE_KEYS) {
        let tree = yaml::tree(text).map_err(|problem| Refused::new(file, "", vec![problem]))?;
        return describe::read(file, text, &tree.json());
    }
    if has_key(text, &["candidates", "service", "conditions"]) {
        return refuse("this is already a scenario: exitone run FILE".to_owned());
    }
    if has_key(text, &["run", "runtime", "build"]) {
        return apprunner_yaml::read(file, text);
    }
    if has_key(text, &["port", "health_check", "env", "image", "env_file"]) {
        return refuse("this is already a service file: exitone run --image IMAGE --service FILE".to_owned());
    }
    if text.lines().any(env::is_assignment) {
        return env::read(file, text);
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return refuse("the file is empty".to_owned());
    }
    refuse(
        "this is neither the output of `aws apprunner describe-service` (JSON or YAML), nor an apprunner.yaml \
         (`runtime:`, `run:`), nor an env file (NAME=VALUE lines)"
            .to_owned(),
    )
}

/// Whether one of the keys is at the left margin, like a top-level key of YAML.
fn has_key(text: &str, keys: &[&str]) -> bool {
    text.lines().any(|line| {
        let key = line.split_once(':').map(|(key, rest)| (key.trim_matches('"').trim_end(), rest));
        key.is_some_and(|(key, rest)| keys.contains(&key) && (rest.is_empty() || rest.starts_with([' ', '\t', '\r'])))
    })
}

/// The result for the written lines, unless something is wrong: with the file (`problems`), or with a line, which is
/// reported at the line's origin.
fn all_good<T>(
    (file, shown): (&str, &str),
    checked: Result<T, Refused>,
    lines: &Lines,
    mut problems: Vec<Problem>,
) -> Result<T, Refused> {
    let checked = match checked {
        Ok(checked) if problems.is_empty() => return Ok(checked),
        Ok(_) => Vec::new(),
        Err(refused) => refused.problems,
    };
    for problem in checked {
        let origin = problem.line.and_then(|line| lines.origin(line));
        let moved = origin.map_or_else(|| Problem::of_file(&problem.message), |o| o.problem(&problem.message));
        if !problems.contains(&moved) {
            problems.push(moved);
        }
    }
    problems.sort_by_key(|p| (p.line, p.column));
    Err(Refused::new(file, shown, problems))
}
