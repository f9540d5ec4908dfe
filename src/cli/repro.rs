//! `exitone repro CASE`: prints a script that reproduces a case, and stores the data for it with every run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::console::print;
use super::failure::Failure;
use crate::model::condition::nearest;
use crate::model::redact::Redactor;
use crate::model::service::{Stub, Upstream, UpstreamKind};
use crate::model::{CaseResult, Condition, Outcome, Plan, Service};
use crate::report::repro::{ReproCase, ReproValue, script};
use crate::run::session::state_dir;
use crate::run::spec;

/// Arguments of `repro`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case id as shown by `run`, `why` and `demo`; a unique prefix is enough
    #[arg(value_name = "CASE")]
    case: String,
}

/// Runs the command.
///
/// # Errors
/// When there is no such case, or it cannot be reproduced by hand.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    match load(&state_dir(), &args.case)? {
        Record::Cannot(why) => Err(Failure::usage(why)),
        Record::Case(case) => match script(&case) {
            Ok(script) => print(&script).map(|()| 0),
            Err(problems) => Err(Failure::usage(problems.join("\nerror: "))),
        },
    }
}

/// The folder with stored cases, in the state folder.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("cases")
}

/// Stores the data for each case's script, without secrets. An unwritable folder only affects `repro`.
pub(crate) fn remember<'a>(plan: &Plan, results: impl IntoIterator<Item = &'a CaseResult>) {
    let folder = folder(&state_dir());
    let kept = std::fs::create_dir_all(&folder).and_then(|()| {
        results.into_iter().try_for_each(|result| {
            let Some(record) = recorded(plan, result) else { return Ok(()) };
            std::fs::write(folder.join(format!("{}.json", result.id)), serde_json::to_vec(&record)?)
        })
    });
    if let Err(error) = kept {
        tracing::warn!(%error, folder = %folder.display(), "cannot store cases for `exitone repro`");
    }
}

/// The stored data of a case.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    /// The data of a script.
    Case(Box<ReproCase>),
    /// Why there is no script.
    Cannot(String),
}

/// The part of a service that a script cannot reproduce.
fn not_by_hand(service: &Service) -> Option<String> {
    let reason = |upstream: &Upstream| match &upstream.kind {
        UpstreamKind::Container(_) => Some("a service container"),
        UpstreamKind::Stub(stub) if *stub != Stub::default() => Some("a stub with custom answers"),
        UpstreamKind::Stub(_) => upstream.address.map(|_| "a host with a fixed address"),
    };
    let (upstream, what) = service.upstreams.iter().find_map(|u| Some((u, reason(u)?)))?;
    Some(format!("the case needs {what} ({}:{}), which a script cannot reproduce", upstream.host, upstream.port))
}

fn recorded(plan: &Plan, result: &CaseResult) -> Option<Record> {
    let Some(outcome) = result.outcome.as_ref() else {
        let why = result.notes.first().cloned().unwrap_or_else(|| "it did not run".to_owned());
        return Some(Record::Cannot(format!("the case cannot be reproduced as a script: {why}")));
    };
    if let Some(check) = result.checks.iter().find(|check| !check.passed) {
        let why = format!("the case fails its check `{}` ({}), which a script does not make", check.name, check.text);
        return Some(Record::Cannot(why));
    }
    let case = plan.cases.iter().find(|case| case.id == result.id)?;
    let candidate = plan.candidate(case)?;
    let service = &plan.part(case).service;
    if let Some(why) = not_by_hand(service) {
        return Some(Record::Cannot(why));
    }
    let env = spec::environment(candidate, service, &case.conditions);
    let (entrypoint, cmd) = spec::command(&candidate.facts, service, &case.conditions);
    let redactor = Redactor::new(env.iter().filter_map(|(n, v)| Some((n.as_str(), v.as_deref()?))), &service.secrets);
    let clean = |words: Option<Vec<String>>| words.map(|words| words.iter().map(|w| redactor.clean(w)).collect());
    let mut ports: Vec<u16> = result.evidence.connects.iter().filter(|c| c.protocol == "tcp").map(|c| c.port).collect();
    ports.extend(service.upstreams.iter().map(|u| u.port));
    let mut names: Vec<String> = result.evidence.questions().map(|q| q.name.clone()).collect();
    names.extend(service.upstreams.iter().map(|u| u.host.to_string()));
    names.sort();
    names.dedup();
    ports.sort_unstable();
    ports.dedup();
    let case = ReproCase {
        id: result.id.0.clone(),
        image: result.image.clone(),
        conditions: case.conditions.iter().cloned().collect::<Vec<Condition>>(),
        env: values(env, service),
        entrypoint: clean(entrypoint),
        cmd: clean(cmd),
        port: service.port,
        health: service.health_check.clone(),
        passing: service.platform.passing,
        names,
        ports,
        expected: match (outcome, result.exit_code) {
            (Outcome::Healthy, _) => "healthy".to_owned(),
            (_, Some(code)) => format!("exit code {code}"),
            _ => result.cell(),
        },
    };
    Some(Record::Case(Box::new(case)))
}

fn values(env: BTreeMap<String, Option<String>>, service: &Service) -> BTreeMap<String, ReproValue> {
    // One variable's secret may be part of another's value.
    let own = service.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let given = env.iter().filter_map(|(n, v)| Some((n.as_str(), v.as_deref()?)));
    let given = given.filter(|(_, v)| *v != crate::holder::protocol::CREDENTIALS_PATH);
    let all = Redactor::new(own.chain(given), &service.secrets);
    let value = |name: &str, value: Option<String>| match value {
        None => ReproValue::Unset,
        Some(text) if service.secrets.contains(name) && !text.is_empty() => ReproValue::Secret,
        Some(text) => {
            // A value that looks like a credential is one, listed or not.
            let shown = all.clean(&text);
            if shown == text || text == crate::holder::protocol::CREDENTIALS_PATH {
                ReproValue::Text(text)
            } else {
                ReproValue::Secret
            }
        }
    };
    env.clone().into_iter().map(|(name, text)| (name.clone(), value(&name, text))).collect()
}

fn load(state: &Path, wanted: &str) -> Result<Record, Failure> {
    let entries = std::fs::read_dir(folder(state)).into_iter().flatten().flatten();
    let known: Vec<String> =
        entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".json")?.to_owned())).collect();
    let matching: Vec<&String> = match known.iter().find(|id| *id == wanted) {
        Some(id) => vec![id],
        None => known.iter().filter(|id| id.starts_with(wanted)).collect(),
    };
    let id = match matching.as_slice() {
        [one] => *one,
        [] => {
            let near = nearest(wanted, known.iter().map(String::as_str));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            let message = format!("unknown case `{wanted}`: no such case has run on this machine{near}");
            return Err(Failure::usage(message).with_hint("`exitone run`, `why` and `demo` print the id of each case."));
        }
        several => {
            let list: String =
                several.iter().take(MOST_LISTED).map(|id| format!("\n  {}", described(state, id))).collect();
            let more = several.len().saturating_sub(MOST_LISTED);
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            return Err(Failure::usage(format!("`{wanted}` matches several cases:{list}{more}")));
        }
    };
    stored(state, id)
}

/// Most cases that are listed when several match.
const MOST_LISTED: usize = 8;

/// A stored case in a line: its id, its image, its conditions and its outcome.
fn described(state: &Path, id: &str) -> String {
    match stored(state, id) {
        Ok(Record::Case(case)) => format!("{id}: {}", case.in_short()),
        Ok(Record::Cannot(_)) | Err(_) => id.to_owned(),
    }
}

fn stored(state: &Path, id: &str) -> Result<Record, Failure> {
    let path = folder(state).join(format!("{id}.json"));
    let text = std::fs::read(&path).map_err(|e| Failure::internal(format!("{}: {e}", path.display())))?;
    let wrong = |e| Failure::usage(format!("{}: {e}; run the case again", path.display()));
    serde_json::from_slice(&text).map_err(wrong)
}
