//! Holds entries of the catalogue against their own logs. Pure.

use std::collections::BTreeMap;

use super::causes::{VAGUE, causes, facts_of_log};
use super::facts::Facts;
use super::named;
use crate::catalogue::{Basis, Catalogue, Entry, FileState, Seen, VariableState};
use crate::model::observation::{Evidence, NamedFile, Place};
use crate::model::outcome::{Cause, Outcome};
use crate::model::service::Service;

/// Which log of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    /// One that fires it: its index.
    Fires(usize),
    /// A near miss.
    Near(usize),
    /// None: it has no log.
    Missing,
}

/// The causes of a log that an entry has as a sample.
#[must_use]
pub fn causes_of(catalogue: &Catalogue, entry: &Entry, log: &str, service: &Service) -> Vec<Cause> {
    let exit_code = entry.exit_code();
    let outcome = if exit_code.is_some() { Outcome::Exited } else { Outcome::Unhealthy };
    let evidence = Evidence { user: user(entry), files: files(entry, log), ..Evidence::default() };
    let env = variables(entry, log);
    let facts = facts_of_log(log, &outcome, exit_code, service, &evidence);
    causes(&Facts { env: env.as_ref(), ..facts }, catalogue)
}

/// Who the process of an entry's logs is, if the entry asks.
fn user(entry: &Entry) -> Option<u32> {
    let asks = |seen: Seen| entry.seen.contains(&seen);
    if asks(Seen::File(FileState::NotWritable)) || asks(Seen::File(FileState::NotReadable)) {
        return Some(1000);
    }
    asks(Seen::AsRoot).then_some(0)
}

/// The files that a log names, as the entry wants them.
fn files(entry: &Entry, log: &str) -> Vec<NamedFile> {
    let asks = |state: FileState| entry.seen.contains(&Seen::File(state));
    if !entry.seen.iter().any(Seen::is_of_container) {
        return Vec::new();
    }
    let is_there = asks(FileState::There) || asks(FileState::NotReadable);
    let place = |path: &str, folder| Place { path: path.to_owned(), folder, mode: 0o700, owner: 0 };
    let named = named::files(log).into_iter().map(|named| NamedFile {
        found: is_there.then(|| place(&named, false)),
        within: place("/app", true),
        like: asks(FileState::OtherCase).then(|| "Other".to_owned()),
        named,
    });
    named.collect()
}

/// The variables that a log names, as the entry wants them; `None` if it does not ask.
fn variables(entry: &Entry, log: &str) -> Option<BTreeMap<String, String>> {
    let values = [
        (VariableState::Unset, None),
        (VariableState::Set, Some("value")),
        (VariableState::Empty, Some("")),
        (VariableState::Quoted, Some("\"value\"")),
        (VariableState::Spaced, Some("value ")),
    ];
    let (_, value) = values.into_iter().find(|(state, _)| entry.seen.contains(&Seen::Variable(*state)))?;
    let words = log.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Some(words.filter_map(|word| Some((word.to_owned(), value?.to_owned()))).collect())
}

/// What is wrong with the logs of an entry: one that fires another first, a near miss that fires it.
#[must_use]
pub fn wrong(catalogue: &Catalogue, entry: &Entry, service: &Service) -> Vec<(Sample, String)> {
    let mut all = Vec::new();
    // A crash or a socket cannot be written into a file.
    if entry.basis == Basis::Log && entry.fires.is_empty() {
        all.push((Sample::Missing, format!("`{}` has no log that fires it (`fires`)", entry.id)));
    }
    for (n, log) in entry.fires.iter().enumerate() {
        let found = causes_of(catalogue, entry, log, service);
        let first = found.first().map(|cause| cause.id.as_str());
        match (entry.harmless, first) {
            (true, None) => {}
            (true, Some(other)) if VAGUE.contains(&other) => {}
            (false, Some(first)) if first == entry.id => {}
            (true, Some(other)) => all.push((Sample::Fires(n), format!("this harmless log fires `{other}`"))),
            (false, Some(other)) => {
                all.push((Sample::Fires(n), format!("this log fires `{other}` before `{}`", entry.id)));
            }
            (false, None) => all.push((Sample::Fires(n), format!("this log does not fire `{}`", entry.id))),
        }
    }
    for (n, near) in entry.near.iter().enumerate() {
        if causes_of(catalogue, entry, &near.log, service).iter().any(|cause| cause.is(&entry.id)) {
            all.push((Sample::Near(n), format!("this near miss fires `{}`", entry.id)));
        }
    }
    all
}
