//! Sightings about what a line names: a file of the container, or a variable.

use super::{Facts, Found};
use crate::catalogue::{FileState, VariableState};
use crate::model::observation::{NamedFile, Place};

/// Bits of others: write, read.
const WRITE: u32 = 0o2;
const READ: u32 = 0o4;

/// Whether the file that the word `path` names is as an entry wants it. Known only where a container was looked into.
pub(super) fn file(state: FileState, facts: &Facts<'_>, found: &mut Found) -> bool {
    let Some(path) = found.words.get("path") else { return false };
    let Some(file) = facts.evidence.files.iter().find(|file| file.named == *path || is_at(file, path)) else {
        return false;
    };
    let user = facts.evidence.user;
    let kept_out = |place: &Place, bits| user.is_some_and(|user| place.keeps_out(user, bits));
    let at = file.found.as_ref();
    // What is not there would have to be made.
    let place = at.unwrap_or(&file.within);
    let holds = match state {
        FileState::Missing => at.is_none(),
        FileState::There => at.is_some(),
        FileState::OtherCase => file.like.is_some(),
        FileState::NotReadable => at.is_some_and(|place| kept_out(place, READ)),
        FileState::NotWritable => kept_out(place, WRITE),
    };
    if !holds {
        return false;
    }
    found.words.insert("place".to_owned(), place.path.clone());
    found.words.insert("owner".to_owned(), user_name(place.owner));
    found.words.insert("mode".to_owned(), format!("{:o}", place.mode));
    if let Some(user) = user {
        found.words.insert("user".to_owned(), user_name(user));
        found.words.insert("uid".to_owned(), user.to_string());
    }
    if let Some(like) = &file.like {
        found.words.insert("like".to_owned(), like.clone());
    }
    found.evidence.push(said(file, user));
    true
}

fn is_at(file: &NamedFile, path: &str) -> bool {
    file.found.as_ref().is_some_and(|place| place.path == path)
}

fn user_name(id: u32) -> String {
    if id == 0 { "root".to_owned() } else { format!("user {id}") }
}

/// `file: /app/data: mode 755, owned by root; the process is user 1000`.
fn said(file: &NamedFile, user: Option<u32>) -> String {
    let of = |place: &Place| format!("{}: mode {:o}, owned by {}", place.path, place.mode, user_name(place.owner));
    let process = user.map(|id| format!("; the process is {}", user_name(id))).unwrap_or_default();
    match (&file.found, &file.like) {
        (Some(place), _) => format!("file: {}{process}", of(place)),
        (None, Some(like)) => format!("file: {} is not there; {} has {like}", file.named, file.within.path),
        (None, None) => format!("file: {} is not there; {}{process}", file.named, of(&file.within)),
    }
}

/// Whether the variable that the word `variable` names has such a value. What was seen of it becomes the word `state`;
/// the value is not shown.
pub(super) fn variable(state: VariableState, facts: &Facts<'_>, found: &mut Found) -> bool {
    let (Some(env), Some(name)) = (facts.env, found.words.get("variable")) else { return false };
    let value = env.get(name);
    let is = |holds: fn(&str) -> bool| value.is_some_and(|value| holds(value));
    let (holds, what) = match state {
        VariableState::Unset => (value.is_none(), "is not set"),
        VariableState::Set => (is(|value| !value.trim().is_empty()), "is set"),
        VariableState::Empty => (is(|value| value.trim().is_empty()), "is empty"),
        VariableState::Quoted => (is(is_quoted), "has quotes around its value"),
        VariableState::Spaced => {
            (is(|value| value.trim() != value && !value.trim().is_empty()), "begins or ends with white space")
        }
    };
    if !holds {
        return false;
    }
    found.evidence.push(format!("variable: {name} {what}"));
    found.words.insert("state".to_owned(), what.to_owned());
    true
}

fn is_quoted(value: &str) -> bool {
    let value = value.trim();
    value.len() >= 2 && ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
}
