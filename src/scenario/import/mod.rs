//! From what AWS and people already have to a scenario: `aws apprunner describe-service`, `apprunner.yaml`, env files.
//!
//! Each reader makes a `Draft`; `emit` writes it as a scenario, whose text is then read as any other scenario:
//! the ranges and pairs that App Runner accepts are checked in one place. A mistake in a line that was written is one
//! in the place that the line came from.

mod apprunner_yaml;
mod describe;
mod draft;
mod emit;
mod env;
mod hide;
mod json;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use draft::Draft;
use emit::{Lines, Values};

use super::problem::{Problem, Refused};
use super::text::LARGEST;
use super::yaml;
use super::{file, service};
use crate::model::Service;
use crate::profile::Profile;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `aws apprunner describe-service`, as JSON or as YAML.
    Describe,
    /// The configuration file of a service that App Runner builds from source.
    AppRunnerYaml,
    /// `NAME=VALUE` lines.
    EnvFile,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe => "the output of `aws apprunner describe-service`",
            Self::AppRunnerYaml => "an apprunner.yaml",
            Self::EnvFile => "an env file",
        })
    }
}

/// A scenario that was made of a file.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// What the file was taken for.
    pub(crate) kind: Kind,
    /// The scenario file.
    pub(crate) text: String,
}

/// A service that was made of `describe-service`'s output.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// What the platform is told.
    pub(crate) service: Service,
    /// The image that it runs.
    pub(crate) image: Option<String>,
    /// What a reader of the results must know.
    pub(crate) notes: Vec<String>,
}

/// Makes a scenario of a file. `images` take the place of the one that the file names.
///
/// # Errors
/// When the file is none of the kinds, and everything that is wrong with it.
pub(crate) fn scenario(file: &str, text: &str, images: &[String], profile: &Profile) -> Result<Imported, Refused> {
    let draft = read(file, text)?;
    let lines = emit::scenario(&draft, file, images);
    let checked = file::read(file, &lines.text(), Path::new("."), Some(profile));
    all_good((file, &draft.shown), checked, &lines, draft.problems)
        .map(|_| Imported { kind: draft.kind, text: lines.text() })
}

/// Reads a service file that is `describe-service`'s output; nothing when it is not. Here values are what they are:
/// they go to the candidate and are written nowhere.
///
/// # Errors
/// Everything that is wrong with it.
#[must_use]
pub(crate) fn service(file: &str, text: &str, profile: &Profile) -> Option<Result<Described, Refused>> {
    if !is_described(text) {
        return None;
    }
    let draft = match read(file, text) {
        Ok(draft) => draft,
        Err(refused) => return Some(Err(refused)),
    };
    let lines = emit::service(&draft, Values::Real);
    let notes = draft.notes_of_service();
    let checked = service::read_file(file, &lines.text(), Path::new("."), profile);
    let checked = all_good((file, &draft.shown), checked, &lines, draft.problems);
    Some(checked.map(|(service, image)| Described { service, image, notes }))
}

/// True for what is, or was meant to be, `describe-service`'s output.
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

/// Keys of `describe-service`'s output, of which one stands at the left margin where it is YAML.
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
                // The library adds the place to its words.
                let words = words.split(" at line ").next().unwrap_or(&words);
                let problem = Problem::at(e.line(), e.column(), format!("invalid JSON: {words}"));
                Err(Refused::new(file, "", vec![problem]))
            }
        };
    }
    // `aws --output yaml`. No excerpt is shown: a value of a variable may stand in any line.
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

/// True when one of the keys stands at the left margin, as a key of YAML does.
fn has_key(text: &str, keys: &[&str]) -> bool {
    text.lines().any(|line| {
        let key = line.split_once(':').map(|(key, rest)| (key.trim_matches('"').trim_end(), rest));
        key.is_some_and(|(key, rest)| keys.contains(&key) && (rest.is_empty() || rest.starts_with([' ', '\t', '\r'])))
    })
}

/// What was read of the lines, unless something is wrong: with the file (`problems`), or with a line, which is said as
/// a mistake in what the line was made of.
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
