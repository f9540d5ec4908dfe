//! What the files say of a deployment's revision: a service file or `describe-service` output, and the update that failed.

use std::collections::BTreeMap;
use std::path::Path;

use super::describe;
use super::draft::{Draft, Store, Value};
use super::emit::{self, Values};
use super::{all_good, is_described, read};
use crate::model::deployment::{Fact, Known, Revision};
use crate::model::{Condition, Service};
use crate::profile::{Profile, is_mode};
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::service;

/// A file: its name, its text, and the folder that its paths start from.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) folder: &'a Path,
}

/// What the files of a deployment say.
#[derive(Debug)]
pub(crate) struct Told {
    /// The service, friendly: variables that the update changed have the values they had before it.
    pub(crate) service: Service,
    /// The facts of the revision, as far as known.
    pub(crate) revision: Revision,
    /// Secrets whose values are not in the files.
    pub(crate) placeholders: Vec<String>,
    /// What readers of the results must know.
    pub(crate) notes: Vec<String>,
    /// What the files do not say.
    pub(crate) details: Vec<String>,
    /// The service's ARN.
    pub(crate) arn: Option<String>,
    /// Whether the description is of the version that failed to be created, and so of no earlier one.
    pub(crate) created: bool,
    /// Whether a file is one of AWS's.
    pub(crate) described: bool,
    /// When the description says that the service was last changed, as `aws` prints it.
    pub(crate) updated: Option<String>,
}

/// A file as a service, and the draft that it was made from if it is one of AWS's.
struct Part {
    service: Service,
    image: Option<String>,
    draft: Option<Draft>,
}

/// Reads the service file and the update. `rolled_back`: a log or a list of operations shows that the deployment failed,
/// so that `describe-service` describes the version before it.
///
/// # Errors
/// Every error in each file.
pub(crate) fn told(
    file: Option<File<'_>>,
    update: Option<File<'_>>,
    rolled_back: bool,
    profile: &Profile,
) -> Result<Told, Vec<Refused>> {
    let before = file.map(|file| of_service(file, profile)).transpose();
    let update = update.map(|file| Ok::<_, Refused>((file.name, of_update(file, profile)?))).transpose();
    let (before, update) = match (before, update) {
        (Ok(before), Ok(update)) => (before, update),
        (before, update) => return Err([before.err(), update.err()].into_iter().flatten().collect()),
    };
    let name = file.map_or("", |file| file.name);
    let described = before.as_ref().is_some_and(|part| part.draft.is_some()) || update.is_some();
    let created = before.as_ref().and_then(|part| part.draft.as_ref()?.status.as_deref()) == Some("CREATE_FAILED");
    // What the update leaves out stays as it was before. A service file is what the user says of the failed revision.
    let is_of_aws = before.as_ref().is_some_and(|part| part.draft.is_some());
    let holds = !is_of_aws || !rolled_back || created || update.is_some();
    let mut told = match &before {
        Some(part) => of_part(part, name, holds),
        None => Told {
            service: service::defaults(profile),
            revision: Revision::default(),
            placeholders: Vec::new(),
            notes: Vec::new(),
            details: Vec::new(),
            arn: None,
            created,
            described,
            updated: None,
        },
    };
    (told.created, told.described) = (created, described);
    told.updated = before.as_ref().and_then(|part| part.draft.as_ref()?.updated.clone());
    if let Some((name, part)) = &update {
        overlay(&mut told, part, name);
    }
    if is_of_aws && rolled_back && update.is_none() && !created {
        told.notes.push(
            "After a rollback, describe-service shows the version before the one that failed: its variables and its \
             egress are assumed unchanged. Pass the failed update with --update."
                .to_owned(),
        );
    }
    Ok(told)
}

fn of_service(file: File<'_>, profile: &Profile) -> Result<Part, Refused> {
    if !is_described(file.text) {
        let (service, image) = service::read_file(file.name, file.text, file.folder, profile)?;
        return Ok(Part { service, image, draft: None });
    }
    of_draft(file, read(file.name, file.text)?, profile)
}

fn of_update(file: File<'_>, profile: &Profile) -> Result<Part, Refused> {
    let refuse = |problem: Problem| Err(Refused::new(file.name, "", vec![problem]));
    let document = match serde_json::from_str(file.text.trim_start_matches('\u{feff}')) {
        Ok(document) => document,
        Err(e) if file.text.trim_start().starts_with('{') => {
            let words = e.to_string();
            let words = words.split(" at line ").next().unwrap_or(&words);
            return refuse(Problem::at(e.line(), e.column(), format!("invalid JSON: {words}")));
        }
        Err(_) => match crate::scenario::yaml::tree(file.text) {
            Ok(tree) => tree.json(),
            Err(problem) => return refuse(problem),
        },
    };
    of_draft(file, describe::read_update(file.name, file.text, &document)?, profile)
}

fn of_draft(file: File<'_>, draft: Draft, profile: &Profile) -> Result<Part, Refused> {
    let lines = emit::service(&draft, Values::Real);
    let checked = service::read_file(file.name, &lines.text(), Path::new("."), profile);
    let (service, image) = all_good((file.name, &draft.shown), checked, &lines, draft.problems.clone())?;
    Ok(Part { service, image, draft: Some(draft) })
}

/// What a service file says, which is what the user says.
#[must_use]
pub(crate) fn of_service_file(service: &Service, name: &str) -> Revision {
    of_part(&Part { service: service.clone(), image: None, draft: None }, name, true).revision
}

fn of_part(part: &Part, name: &str, holds: bool) -> Told {
    let service = &part.service;
    let source = || name.to_owned();
    let draft = part.draft.as_ref();
    let variables = draft.map_or_else(|| of_user(service), variables);
    let revision = Revision {
        image: part.image.clone().map(|value| Fact { value, source: source(), holds }),
        vpc: service.vpc.map(|value| Fact { value, source: source(), holds }),
        nat: service.nat.map(|value| Fact { value, source: source(), holds }),
        role: service.role.map(|value| Fact { value, source: source(), holds }),
        dual_stack: draft.and_then(|draft| draft.dual_stack).map(|value| Fact { value, source: source(), holds }),
        start_command: Some(Fact { value: service.start_command.is_some(), source: source(), holds }),
        variables: Some(Fact { value: variables, source: source(), holds }),
        changed: Vec::new(),
        written: draft.is_none(),
    };
    Told {
        service: service.clone(),
        revision,
        placeholders: draft.map(placeholders).unwrap_or_default(),
        notes: Vec::new(),
        details: draft.map(Draft::details_of_service).unwrap_or_default(),
        arn: draft.and_then(|draft| draft.arn.clone()),
        created: false,
        described: false,
        updated: None,
    }
}

/// The variables of the user's own service file.
fn of_user(service: &Service) -> BTreeMap<String, Known> {
    service.env.iter().map(|(name, value)| (name.clone(), Known::Plain(value.clone()))).collect()
}

fn variables(draft: &Draft) -> BTreeMap<String, Known> {
    let known = |value: &Value| match value {
        Value::Plain(value) => Known::Plain(value.clone()),
        Value::Secret(store) => Known::Secret { whole: matches!(store, Store::SecretsManager { whole: true }) },
    };
    draft.env.iter().map(|variable| (variable.name.clone(), known(&variable.value))).collect()
}

fn placeholders(draft: &Draft) -> Vec<String> {
    draft.secrets().into_iter().map(str::to_owned).collect()
}

/// Puts an update on top of what was before.
fn overlay(told: &mut Told, part: &Part, name: &str) {
    let Part { service: new, image, draft } = part;
    let Some(draft) = draft else { return };
    let service = &mut told.service;
    let fact = |value: bool| Some(Fact { value, source: name.to_owned(), holds: true });
    if draft.port.is_some() {
        service.port = new.port;
    }
    if draft.start_command.is_some() {
        service.start_command.clone_from(&new.start_command);
        told.revision.start_command = fact(true);
    }
    if draft.cpu.is_some() || draft.memory.is_some() {
        (service.cpu_milli, service.memory) = (new.cpu_milli, new.memory);
    }
    if !draft.health.is_empty() {
        service.health_check.clone_from(&new.health_check);
    }
    if let Some(vpc) = new.vpc {
        service.vpc = Some(vpc);
        told.revision.vpc = fact(vpc);
    }
    if let Some(role) = draft.role {
        told.revision.role = fact(role);
    }
    if let Some(dual_stack) = draft.dual_stack {
        told.revision.dual_stack = fact(dual_stack);
    }
    if let Some(image) = image {
        told.revision.image = Some(Fact { value: image.clone(), source: name.to_owned(), holds: true });
    }
    if draft.maps != [false; 2] {
        overlay_variables(told, part, draft, name);
    }
    told.arn = told.arn.take().or_else(|| draft.arn.clone());
    told.revision.written = false;
}

/// A map of an update replaces the whole map. The baseline stays friendly: it keeps what the update took away and the
/// values that it changed, and these changes become conditions that were in force.
fn overlay_variables(told: &mut Told, part: &Part, draft: &Draft, name: &str) {
    let before = told.revision.variables.take().map(|fact| fact.value).unwrap_or_default();
    let mut after = variables(draft);
    let is_secret = |known: &Known| matches!(known, Known::Secret { .. });
    // The map that the update does not have stays.
    for (variable, known) in &before {
        if !draft.maps[usize::from(is_secret(known))] {
            after.entry(variable.clone()).or_insert_with(|| known.clone());
        }
    }
    let service = &mut told.service;
    let mut changed: Vec<Condition> = Vec::new();
    for variable in before.keys().filter(|variable| !after.contains_key(*variable)) {
        changed.extend(format!("env.unset:{variable}").parse().ok());
    }
    for (variable, known) in &after {
        let value = part.service.env.get(variable);
        match (before.get(variable), known) {
            (Some(Known::Plain(old)), Known::Plain(new)) if old == new => {}
            (Some(Known::Plain(_)), Known::Plain(new)) => {
                changed.extend(format!("env.set:{variable}={new}").parse().ok())
            }
            // A new one that selects a mode leads the program elsewhere.
            (None, Known::Plain(new)) if is_mode(variable) => {
                changed.extend(format!("env.set:{variable}={new}").parse().ok())
            }
            _ => service.env.extend(value.map(|value| (variable.clone(), value.clone()))),
        }
    }
    service.secrets.extend(part.service.secrets.iter().cloned());
    told.placeholders.retain(|name| after.get(name).is_some_and(is_secret));
    told.placeholders.extend(placeholders(draft));
    told.placeholders.sort();
    told.placeholders.dedup();
    let secrets = service.secrets.clone();
    told.revision.changed = changed.into_iter().map(|condition| condition.with_secrets(&secrets)).collect();
    told.revision.variables = Some(Fact { value: after, source: name.to_owned(), holds: true });
}

#[cfg(test)]
mod tests;
