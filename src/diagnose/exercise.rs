//! Did the candidate meet a condition at all? A pass under a fault that was never met says nothing about the fault.

use super::conditions::known;
use super::run::Seen;
use crate::model::Condition;

/// Why a condition was not met; nothing where it was, or where that cannot be told.
#[must_use]
pub(crate) fn not_met(condition: &Condition, seen: &Seen<'_>) -> Option<String> {
    known(condition).not_exercised(seen)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::*;
    use crate::model::condition::kinds;
    use crate::model::files::ImageFiles;
    use crate::model::observation::{ConnectAttempt, DnsQuestion, Evidence, Fate, Listening, Usage};
    use crate::model::service::{HealthCheck, Protocol};
    use crate::model::{ImageFacts, Service};

    fn service() -> Service {
        let health_check = HealthCheck { protocol: Protocol::Tcp, path: "/".to_owned(), ..HealthCheck::some() };
        let (env, start_command) = ([("A".to_owned(), "1".to_owned())].into(), Some("run 'a b'".to_owned()));
        Service { env, start_command, health_check, ..Service::some() }
    }

    fn because(condition: &str, evidence: &Evidence) -> Option<String> {
        let facts = ImageFacts { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..ImageFacts::default() };
        let files = ImageFiles { mentions: ["A".to_owned()].into(), scanned: true, ..ImageFiles::default() };
        let service = service();
        let condition: Condition = condition.parse().expect("a condition");
        let before =
            BTreeMap::from([("A".to_owned(), Some("1".to_owned())), ("PORT".to_owned(), Some("8000".to_owned()))]);
        let mut after = before.clone();
        if let Some(env) = condition.variable() {
            let value = env.change.apply(&env.name, before.get(&env.name).cloned().flatten());
            after.remove(&env.name);
            after.extend(value.map(|value| (env.name.clone(), Some(value))));
        }
        let seen = Seen {
            evidence,
            facts: &facts,
            service: &service,
            log: "",
            healthy: true,
            files: Some(&files),
            values: [&before, &after],
            words: Some((vec!["run".to_owned(), "a b".to_owned()], vec!["run".to_owned()])),
        };
        not_met(&condition, &seen)
    }

    fn attempt(name: &str, address: [u8; 4], at_ms: f64) -> ConnectAttempt {
        ConnectAttempt {
            at_ms,
            protocol: "tcp".to_owned(),
            address: address.into(),
            port: 443,
            name: Some(name.to_owned()),
            fate: Fate::Answered,
            sent: 1,
        }
    }

    #[test]
    fn who_does_nothing_meets_nothing() {
        let nothing = Evidence { usage: Some(Usage::default()), ..Evidence::default() };
        for kind in kinds() {
            let text = kind.example().replace("NAME=VALUE", "B=x").replace("NAME=10s", "a.b=10s");
            let because = because(&text, &nothing);
            // Its start command does differ.
            assert_eq!(because.is_none(), kind.name == "command.split", "{text}: {because:?}");
        }
    }

    #[test]
    fn what_is_met() {
        let question = |name: &str, at_ms: f64| DnsQuestion {
            at_ms,
            name: name.to_owned(),
            record: "A".to_owned(),
            answer: if at_ms < 10.0 { "no answer" } else { "198.18.0.1" }.to_owned(),
            own: false,
        };
        let listening = |address: &str, port| Listening { at_ms: 1.0, address: address.parse().expect("one"), port };
        let evidence = Evidence {
            dns: vec![question("a.b", 5.0)],
            connects: vec![attempt("a.b", [198, 18, 0, 1], 9.0), attempt("m", [169, 254, 170, 2], 9.0)],
            listens: vec![listening("::", 80), listening("10.0.61.20", 8000)],
            usage: Some(Usage { throttled_ms: 1.0, memory_limit_hits: 1, ..Usage::default() }),
            no_route: 1,
            full_disk_writes: 1,
            ..Evidence::default()
        };
        assert!(matches!(evidence.listens[0].address, IpAddr::V6(_)));
        for met in [
            "egress.drop",
            "egress.drop:a.b",
            "egress.drop:198.18.0.0/15",
            "egress.drop:except=c.d",
            "egress.none",
            "egress.late:1s",
            "latency:1s",
            "dns.servfail",
            "dns.drop@a.b",
            "dns.late:1s",
            "upstream.down:a.b",
            "upstream.slow:a.b=1s",
            "env.unset:A",
            "env.unset:PORT",
            "env.set:A=2",
            "cpu.limit:1",
            "memory.limit:64m",
            "disk.full",
            "hostname.platform",
            "command.split",
            "metadata.none",
            "metadata.denied",
            "ports.privileged",
            "ipv6.off",
        ] {
            let because = because(met, &evidence);
            // The name PORT occurs in no file of this image.
            assert_eq!(because.is_none(), met != "env.unset:PORT", "{met}: {because:?}");
        }
        for not in [
            "egress.drop:c.d",
            "egress.drop:10.0.0.0/8",
            "egress.drop:except=a.b",
            "dns.drop@c.d",
            "upstream.refused:c.d",
            "env.set:A=1",
            "env.json:B",
            "command.no-entrypoint",
            "arch.mismatch",
        ] {
            assert!(because(not, &evidence).is_some(), "{not}");
        }
    }
}
