//! Which conditions does a failure's evidence point to? Pure. A suspicion says what is tried first, and
//! weighs in how sure an answer is; no set is told that did not fail.

use crate::model::condition::{DnsFault, EnvChange};
use crate::model::observation::{Evidence, Fate};
use crate::model::outcome::{Cause, Outcome};
use crate::model::{Condition, ConditionSet};

/// How much likelier a condition is that the log or the network names.
const NAMED: f64 = 12.0;
/// How much likelier one is that merely fits.
const FITS: f64 = 8.0;
/// Causes of a failure that met the network.
const NETWORK: [&str; 5] =
    ["name-not-resolved", "outbound-call-at-startup", "database-unreachable", "aws-credentials", "never-listened"];
/// A part of a name or value is compared from this length on: shorter ones are everywhere.
const LEAST_WORD: usize = 4;

/// What is looked at of a failed run.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// How it ended.
    pub outcome: Option<&'a Outcome>,
    /// What was seen.
    pub evidence: &'a Evidence,
    /// The causes that were found.
    pub causes: &'a [Cause],
    /// What it wrote.
    pub log: &'a str,
}

/// The conditions of the set that the evidence points to, each with a factor above 1.
#[must_use]
pub fn suspects(result: &Failed<'_>, conditions: &ConditionSet) -> Vec<(Condition, f64)> {
    let log = last_lines(result.log);
    let scored = conditions.iter().map(|condition| (condition.clone(), factor(condition, result, conditions, &log)));
    scored.filter(|(_, factor)| *factor > 1.0).collect()
}

/// Conditions that a healthy run points to: whoever asks for a name or connects before its port is open mostly needs the
/// answer to go on.
#[must_use]
pub fn needed_to_start<'a>(
    evidence: &Evidence,
    conditions: impl Iterator<Item = &'a Condition>,
) -> Vec<(Condition, f64)> {
    let ready = evidence.listens.first().map_or(f64::INFINITY, |listening| listening.at_ms);
    let asked = evidence.questions().any(|question| question.at_ms < ready);
    let early: Vec<_> = evidence.outbound().filter(|attempt| attempt.at_ms < ready).collect();
    let needed = |condition: &Condition| match condition {
        Condition::EgressDrop(_) | Condition::EgressReject | Condition::EgressUnreachable | Condition::EgressNone => {
            !early.is_empty()
        }
        Condition::Upstream(_, host) => early.iter().any(|attempt| attempt.name.as_deref() == Some(host.as_str())),
        Condition::Dns(DnsFault::Servfail | DnsFault::Nxdomain | DnsFault::Drop, _) => asked,
        _ => false,
    };
    conditions.filter(|condition| needed(condition)).map(|condition| (condition.clone(), NAMED)).collect()
}

/// The end of a log: what came before it is of the time when all was well.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn factor(condition: &Condition, result: &Failed<'_>, conditions: &ConditionSet, log: &str) -> f64 {
    let cause = |ids: &[&str]| result.causes.iter().any(|c| ids.contains(&c.id.as_str()));
    let says = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let fits = |yes: bool| if yes { FITS } else { 1.0 };
    // A diagnosis stands on more than a word that fits.
    let told = |ids: &[&str], fits: bool| match (cause(ids), fits) {
        (true, _) => NAMED,
        (false, true) => FITS,
        (false, false) => 1.0,
    };
    match condition {
        Condition::Env(name, change) => variable(name, change, result, log),
        Condition::EgressDrop(_)
        | Condition::EgressReject
        | Condition::EgressUnreachable
        | Condition::EgressNone
        | Condition::EgressLate(_)
        | Condition::Latency(_) => {
            let unanswered = unanswered(result);
            // Whoever asks for a name means to connect, whatever became of the question.
            let asked = result.evidence.questions().next().is_some();
            let hidden = asked && conditions.iter().any(|c| matches!(c, Condition::Dns(..)));
            if (unanswered || hidden) && cause(&NETWORK) {
                return NAMED;
            }
            fits(unanswered || asked || result.evidence.no_route > 0)
        }
        Condition::Dns(fault, _) => {
            let failed = |answer: &str| ["SERVFAIL", "NXDOMAIN", "no answer"].contains(&answer);
            let asked = result.evidence.questions().any(|q| failed(&q.answer));
            if asked && cause(&NETWORK) {
                return NAMED;
            }
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
            let killed = result.outcome == Some(&Outcome::OomKilled);
            told(&["out-of-memory", "heap-out-of-memory"], killed || says(&["MemoryError", "out of memory"]))
        }
        Condition::NofileLimit(_) => told(&["too-many-files"], says(&["oo many open files", "EMFILE"])),
        Condition::DiskFull => {
            let said = says(&["o space left", "ENOSPC", "ead-only file system", "EROFS"]);
            told(&["disk-full", "read-only-files"], said)
        }
        Condition::HostnamePlatform | Condition::HostnameUnbindable | Condition::Ipv6Off => {
            told(&["bind-host-name", "bound-to-host-name"], says(&["EADDRNOTAVAIL", "annot assign requested"]))
        }
        Condition::CommandSplit | Condition::CommandNoEntrypoint => {
            let said = says(&["unrecognized argument", "&&", "not found", "no such file", "unexpected"]);
            // Nobody but a program that was handed the word writes it.
            let split = cause(&["start-command-split"]) || says(&["&&"]);
            if split && *condition == Condition::CommandSplit { NAMED } else { fits(said) }
        }
        Condition::Metadata(_) => told(&["aws-credentials"], says(&["credential", "Credential", "169.254.170.2"])),
        Condition::PortsPrivileged => told(&["privileged-port"], says(&["ermission denied", "EACCES"])),
        Condition::CpuLimit(_) => told(&["slow-start"], result.outcome == Some(&Outcome::NeverListened)),
        Condition::ArchMismatch => 1.0,
    }
}

/// True when a connection to elsewhere failed.
fn unanswered(result: &Failed<'_>) -> bool {
    result.evidence.outbound().any(|attempt| attempt.fate != Fate::Answered)
}

/// A variable is named by its name, by a part of its value, or by what the network was asked for.
fn variable(name: &str, change: &EnvChange, result: &Failed<'_>, log: &str) -> f64 {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::observation::{ConnectAttempt, DnsQuestion, Listening};

    fn asked(answer: &str) -> Evidence {
        let question = DnsQuestion {
            at_ms: 1.0,
            name: "api.example.com".to_owned(),
            record: "A".to_owned(),
            answer: answer.to_owned(),
            own: false,
        };
        Evidence { dns: vec![question], ..Evidence::default() }
    }

    #[test]
    fn what_is_asked_before_the_port_is_open_is_needed_to_start() {
        let battery: Vec<Condition> =
            ["egress.drop", "dns.servfail", "dns.late:10s", "env.unset:A"].map(|c| c.parse().expect("valid")).into();
        let named = |evidence: &Evidence| {
            let found = needed_to_start(evidence, battery.iter());
            found.iter().map(|(condition, _)| condition.to_string()).collect::<Vec<_>>().join(" ")
        };
        let opened = |at_ms| vec![Listening { at_ms, address: Ipv4Addr::UNSPECIFIED.into(), port: 8000 }];
        assert_eq!(named(&Evidence { listens: opened(500.0), ..asked("198.18.0.1") }), "dns.servfail");
        assert_eq!(named(&Evidence { listens: opened(0.5), ..asked("198.18.0.1") }), "", "a thread in the background");
        assert_eq!(named(&Evidence::default()), "");
    }

    #[test]
    fn evidence_names_conditions_or_merely_fits_them() {
        let dropped = ConnectAttempt {
            address: Ipv4Addr::new(198, 18, 0, 1),
            at_ms: 2.0,
            protocol: "tcp".to_owned(),
            port: 443,
            name: None,
            fate: Fate::Silent,
            sent: 2,
        };
        let silent = Evidence { connects: vec![dropped], ..asked("198.18.0.1") };
        let network = "egress.drop + dns.servfail + nofile.limit:1024";
        // What is behind a name that is not resolved is wanted as well.
        let table: [(&[&str], &str, Evidence, &str, &str); 7] = [
            (&["name-not-resolved"], "", asked("SERVFAIL"), network, "egress.drop! dns.servfail!"),
            (&["uncaught-exception"], "", asked("SERVFAIL"), network, "egress.drop dns.servfail"),
            (&["outbound-call-at-startup"], "", silent, network, "egress.drop!"),
            (&[], "EMFILE", Evidence::default(), network, "nofile.limit:1024"),
            (
                &["start-command-split"],
                "",
                Evidence::default(),
                "command.split + command.no-entrypoint",
                "command.split!",
            ),
            (
                &["missing-variable"],
                "KeyError: 'A_KEY'",
                Evidence::default(),
                "env.unset:A_KEY + env.unset:B",
                "env.unset:A_KEY!",
            ),
            (&["uncaught-exception"], "boom", Evidence::default(), network, ""),
        ];
        for (causes, log, evidence, conditions, wanted) in table {
            let set =
                ConditionSet::new(conditions.split(" + ").map(|c| c.parse().expect("a condition"))).expect("a set");
            let cause =
                |id: &&str| Cause { id: (*id).to_owned(), text: String::new(), fix: String::new(), evidence: vec![] };
            let seen: Vec<Cause> = causes.iter().map(cause).collect();
            let failed = Failed { outcome: Some(&Outcome::Exited), evidence: &evidence, causes: &seen, log };
            let found = suspects(&failed, &set);
            let shown = |(c, factor): &(Condition, f64)| format!("{c}{}", if *factor >= NAMED { "!" } else { "" });
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>().join(" "), wanted, "{causes:?} {log}");
        }
    }
}
