//! Which conditions does a failure's evidence point to? Pure. A suspicion says what is tried first, and
//! weighs in how sure an answer is; no set is told that did not fail.

use std::time::Duration;

use super::conditions::{Failure, NAMED, Start, known};
use super::run::Failed;
use crate::model::observation::Evidence;
use crate::model::{Condition, ConditionSet};

/// The conditions of the set that the evidence points to, each with a factor above 1.
#[must_use]
pub(crate) fn suspects(result: &Failed<'_>, conditions: &ConditionSet) -> Vec<(Condition, f64)> {
    let log = last_lines(result.log);
    let failure = Failure { run: result, conditions, log: &log };
    let scored = conditions.iter().map(|condition| (condition.clone(), known(condition).suspicion(&failure)));
    scored.filter(|(_, factor)| *factor > 1.0).collect()
}

/// Conditions that a healthy run points to: whoever asks for a name or connects before its port is open mostly needs the
/// answer to go on, and whoever used more than a limit allows `within` the health check's time needs more.
#[must_use]
pub(crate) fn needed_to_start<'a>(
    evidence: &Evidence,
    within: Duration,
    conditions: impl Iterator<Item = &'a Condition>,
) -> Vec<(Condition, f64)> {
    let start = Start::of(evidence);
    let is_short = |limit: &Condition| evidence.usage.and_then(|used| limit.is_short_of(&used, within)) == Some(true);
    let needed = conditions.filter(|condition| known(condition).is_needed_to_start(&start) || is_short(condition));
    needed.map(|condition| (condition.clone(), NAMED)).collect()
}

/// The end of a log: what came before it is of the time when all was well.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::observation::{ConnectAttempt, DnsQuestion, Fate, Listening, Usage};
    use crate::model::outcome::{Cause, Outcome};

    const WITHIN: Duration = Duration::from_secs(25);

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
            let found = needed_to_start(evidence, WITHIN, battery.iter());
            found.iter().map(|(condition, _)| condition.to_string()).collect::<Vec<_>>().join(" ")
        };
        let opened = |at_ms| vec![Listening { at_ms, address: Ipv4Addr::UNSPECIFIED.into(), port: 8000 }];
        assert_eq!(named(&Evidence { listens: opened(500.0), ..asked("198.18.0.1") }), "dns.servfail");
        assert_eq!(named(&Evidence { listens: opened(0.5), ..asked("198.18.0.1") }), "", "a thread in the background");
        assert_eq!(named(&Evidence::default()), "");
    }

    #[test]
    fn limits_below_what_a_start_used_are_suspected() {
        let battery: Vec<Condition> = ["cpu.limit:0.25", "cpu.limit:1", "memory.limit:64m", "memory.limit:2g"]
            .map(|c| c.parse().expect("valid"))
            .into();
        let usage = Usage { cpu_ms: 12_000.0, memory_peak: 100 << 20, ..Usage::default() };
        let evidence = Evidence { usage: Some(usage), ..Evidence::default() };
        let found = needed_to_start(&evidence, WITHIN, battery.iter());
        let found: Vec<String> = found.iter().map(|(condition, _)| condition.to_string()).collect();
        assert_eq!(found, ["cpu.limit:0.25", "memory.limit:64m"]);
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
            let cause = |id: &&str| Cause {
                id: (*id).to_owned(),
                text: String::new(),
                fix: String::new(),
                evidence: vec![],
                ..Cause::default()
            };
            let seen: Vec<Cause> = causes.iter().map(cause).collect();
            let failed = Failed { outcome: Some(&Outcome::Exited), evidence: &evidence, causes: &seen, log };
            let found = suspects(&failed, &set);
            let shown = |(c, factor): &(Condition, f64)| format!("{c}{}", if *factor >= NAMED { "!" } else { "" });
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>().join(" "), wanted, "{causes:?} {log}");
        }
    }
}
