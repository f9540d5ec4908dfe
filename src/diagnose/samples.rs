//! Holds entries of the catalogue against their own logs. Pure.

use super::causes::{VAGUE, of_log};
use crate::catalogue::{Basis, Catalogue, Entry};
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
    of_log(log, &outcome, exit_code, service, catalogue)
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
