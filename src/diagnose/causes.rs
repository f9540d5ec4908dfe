//! Causes: the catalogue applied to the evidence of one attempt. Pure.

use std::cmp::Reverse;

use super::facts::{Facts, Witness};
use super::sight::{Sight, Zone};
use crate::catalogue::{Basis, Catalogue, Entry, Rank, Seen};
use crate::model::observation::{Evidence, ProbeResult};
use crate::model::outcome::{Cause, Outcome};
use crate::model::service::Service;

/// Causes of a process that listens where no probe comes.
const ELSEWHERE: [&str; 3] = ["port-mismatch", "bound-to-loopback", "bound-to-host-name"];
/// Causes that add nothing to what an experiment shows.
pub(crate) const VAGUE: [&str; 3] = ["uncaught-exception", "unrecognized-error", "no-output"];

/// An entry that fired.
struct Fired<'c> {
    entry: &'c Entry,
    cause: Cause,
    /// The first line of the log that it matched, and where that is.
    at: Option<(Zone, usize)>,
    /// How much fixed text its patterns have.
    detail: usize,
}

impl Fired<'_> {
    /// Orders the entries that the log fires: a precise one first, then what stands closest to the error that ended the
    /// process, then the earlier one, then what the container confirms, then the one that names more.
    fn order(&self) -> impl Ord + use<> {
        let confirmed = self.entry.seen.iter().any(Seen::is_of_container);
        (self.is_early(), self.entry.rank, self.at, Reverse((confirmed, self.detail)))
    }

    /// Whether it stands on lines from before the error, or on what is less than one, and may have been got over.
    fn is_early(&self) -> bool {
        self.entry.rank != Rank::Root && self.at.is_some_and(|(zone, _)| zone >= Zone::Before)
    }
}

/// Every cause that the evidence supports, most certain first.
#[must_use]
pub(crate) fn causes(facts: &Facts<'_>, catalogue: &Catalogue) -> Vec<Cause> {
    if *facts.outcome == Outcome::Healthy {
        return Vec::new();
    }
    let sight = Sight::of(facts, catalogue);
    let fired: Vec<Fired<'_>> = sight.possible().filter_map(|entry| fire(&sight, entry)).collect();
    let (mut of_log, others): (Vec<Fired<'_>>, Vec<Fired<'_>>) =
        fired.into_iter().partition(|fired| fired.entry.basis == Basis::Log);
    // Where an error ended the process, a warning is not what did.
    if sight.states_an_error() {
        of_log.retain(|fired| fired.entry.rank == Rank::Root || fired.at.is_none_or(|(zone, _)| zone < Zone::Chat));
    }
    of_log.sort_by_key(Fired::order);
    let of_network = sight.network(of_log.iter().any(|fired| fired.entry.rank < Rank::Last));
    // A process that came so far as to listen, or to answer, survived what its log shows. (A refused Host is answered
    // with 400, and a program's own error with 500.)
    let is_elsewhere = others.iter().any(|fired| ELSEWHERE.contains(&fired.entry.id.as_str()));
    let last = facts.evidence.probes.last().map(|probe| &probe.result);
    let answers = *facts.outcome == Outcome::Unhealthy && matches!(last, Some(ProbeResult::Status(401..=499)));
    if is_elsewhere || answers {
        of_log.clear();
    }
    let mut all: Vec<Cause> = Vec::new();
    let (last_of_log, of_log): (Vec<_>, Vec<_>) = of_log.into_iter().partition(|fired| fired.entry.rank == Rank::Last);
    all.extend(first_of(of_log));
    let mut last_resort = last_of_log;
    for fired in others {
        if fired.entry.rank == Rank::Last {
            // A crash says more than the platform's words about its end.
            let of_platform = |other: &Fired<'_>| sight.has_crash() && other.entry.field == "platform";
            let at = last_resort.iter().position(of_platform).unwrap_or(last_resort.len());
            last_resort.insert(at, fired);
        } else if (fired.entry.basis != Basis::Network || of_network)
            && !all.iter().any(|cause| cause.is(&fired.cause.id))
        {
            all.push(fired.cause);
        }
    }
    if all.is_empty() {
        all.extend(last_resort.into_iter().next().map(|fired| fired.cause));
    }
    all
}

/// The causes that a log shows by itself. Network and ports were not observed.
#[must_use]
pub(crate) fn of_log(
    log: &str,
    outcome: &Outcome,
    exit_code: Option<i64>,
    service: &Service,
    catalogue: &Catalogue,
) -> Vec<Cause> {
    causes(&facts_of_log(log, outcome, exit_code, service, &Evidence::default()), catalogue)
}

/// What a log shows by itself.
pub(super) fn facts_of_log<'a>(
    log: &'a str,
    outcome: &'a Outcome,
    exit_code: Option<i64>,
    service: &'a Service,
    evidence: &'a Evidence,
) -> Facts<'a> {
    Facts {
        witness: Witness::ServiceLog,
        outcome,
        exit_code,
        evidence,
        log,
        service,
        own: std::net::Ipv4Addr::UNSPECIFIED,
        memory: None,
        env: None,
    }
}

/// The best cause that a log shows. What else it fires is a consequence, or the same in other words: the kinds of
/// failure among them are kept as such.
fn first_of(fired: Vec<Fired<'_>>) -> Option<Cause> {
    let mut fired = fired.into_iter();
    let mut best = fired.next()?.cause;
    best.also = fired.map(|other| other.cause.id).filter(|id| *id != best.id).collect();
    best.also.dedup();
    Some(best)
}

/// The cause that an entry states, if it fires.
fn fire<'c>(sight: &Sight<'_>, entry: &'c Entry) -> Option<Fired<'c>> {
    if entry.harmless {
        return None;
    }
    let seen = sight.look(entry)?;
    if seen.at.is_some_and(|(zone, _)| zone == Zone::Survived) {
        return None;
    }
    // Before a crash everything worked, and less than an error ends no process: only what is unmistakable counts there.
    if entry.rank > Rank::Specific && seen.at.is_some_and(|(zone, _)| zone >= Zone::Before) {
        return None;
    }
    let word = |name: &str| sight.word(&seen, name);
    let platform = sight.platform();
    Some(Fired {
        cause: Cause {
            id: entry.id.clone(),
            text: crate::catalogue::filled(&entry.cause, &word),
            fix: crate::catalogue::filled(entry.fix_for(platform), &word),
            evidence: seen.evidence.clone(),
            also: Vec::new(),
        },
        at: seen.at,
        detail: seen.detail,
        entry,
    })
}

#[cfg(test)]
mod tests;
