//! Which conditions does a failure's evidence point to? Pure. A suspicion only says what is tried first: no answer stands
//! on it.

use crate::model::condition::{DnsFault, EnvChange};
use crate::model::observation::Fate;
use crate::model::outcome::{CaseResult, Outcome};
use crate::model::{Condition, ConditionSet};

/// How much likelier a condition is that the log or the network names.
const NAMED: f64 = 12.0;
/// How much likelier one is that merely fits.
const FITS: f64 = 8.0;
/// A part of a name or value is compared from this length on: shorter ones are everywhere.
const LEAST_WORD: usize = 4;

/// The conditions of the set that the evidence points to, each with a factor above 1.
#[must_use]
pub fn suspects(result: &CaseResult, conditions: &ConditionSet) -> Vec<(Condition, f64)> {
    let log = last_lines(&result.log);
    let scored = conditions.iter().map(|condition| (condition.clone(), factor(condition, result, &log)));
    scored.filter(|(_, factor)| *factor > 1.0).collect()
}

/// The end of a log: what came before it is of the time when all was well.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn factor(condition: &Condition, result: &CaseResult, log: &str) -> f64 {
    let cause = |ids: &[&str]| result.causes.iter().any(|c| ids.contains(&c.id.as_str()));
    let says = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let fits = |yes: bool| if yes { FITS } else { 1.0 };
    let unanswered = || {
        let outbound = result.evidence.connects.iter().filter(|c| !c.address.is_link_local());
        outbound.filter(|c| c.fate != Fate::Answered).count() > 0
    };
    match condition {
        Condition::Env(name, change) => variable(name, change, result, log),
        Condition::EgressDrop(_)
        | Condition::EgressReject
        | Condition::EgressUnreachable
        | Condition::EgressNone
        | Condition::EgressLate(_)
        | Condition::Latency(_) => {
            // Whoever asks for a name means to connect, whatever became of the question.
            let asked = result.evidence.dns.iter().any(|q| !q.own);
            fits(unanswered() || asked || result.evidence.no_route > 0)
        }
        Condition::Dns(fault, _) => {
            let failed = |answer: &str| ["SERVFAIL", "NXDOMAIN", "no answer"].contains(&answer);
            let asked = result.evidence.dns.iter().any(|q| !q.own && failed(&q.answer));
            fits(asked || (matches!(fault, DnsFault::Delay(_)) && !result.evidence.dns.is_empty()))
        }
        Condition::Upstream(_, host) => {
            if says(&[host.as_str()]) {
                NAMED
            } else {
                fits(result.evidence.connects.iter().any(|c| c.name.as_deref() == Some(host.as_str())))
            }
        }
        Condition::MemoryLimit(_) => {
            fits(result.outcome == Some(Outcome::OomKilled) || says(&["MemoryError", "out of memory"]))
        }
        Condition::NofileLimit(_) => fits(says(&["oo many open files", "EMFILE"])),
        Condition::DiskFull => fits(says(&["o space left", "ENOSPC", "ead-only file system", "EROFS"])),
        Condition::HostnamePlatform | Condition::HostnameUnbindable | Condition::Ipv6Off => {
            fits(cause(&["bind-host-name", "bound-to-host-name"]) || says(&["EADDRNOTAVAIL", "annot assign requested"]))
        }
        Condition::CommandSplit | Condition::CommandNoEntrypoint => {
            fits(says(&["unrecognized argument", "&&", "not found", "no such file", "unexpected"]))
        }
        Condition::Metadata(_) => fits(says(&["credential", "Credential", "169.254.170.2"])),
        Condition::PortsPrivileged => fits(says(&["ermission denied", "EACCES"])),
        Condition::CpuLimit(_) => fits(result.outcome == Some(Outcome::NeverListened)),
        Condition::ArchMismatch => 1.0,
    }
}

/// A variable is named by its name, by a part of its value, or by what the network was asked for.
fn variable(name: &str, change: &EnvChange, result: &CaseResult, log: &str) -> f64 {
    let low = log.to_ascii_lowercase();
    let name_low = name.to_ascii_lowercase();
    if log.contains(name) || low.contains(&name_low) || low.contains(&name_low.replace('_', " ")) {
        return NAMED;
    }
    let value = match change {
        EnvChange::Set(value) if !value.secret => value.text.as_str(),
        _ => "",
    };
    let hosts = result.evidence.dns.iter().map(|q| q.name.as_str());
    let hosts: String = hosts.chain(result.evidence.connects.iter().filter_map(|c| c.name.as_deref())).collect();
    let words = name.split(['_', '-', '.']).chain(value.split(|c: char| !c.is_ascii_alphanumeric()));
    let known = |word: &str| {
        let word = word.to_ascii_lowercase();
        word.len() >= LEAST_WORD && (low.contains(&word) || hosts.contains(&word))
    };
    let found = words.filter(|word| known(word)).count();
    if found > 0 { FITS } else { 1.0 }
}
