//! Did the candidate meet a condition at all? A pass under a fault that was never met says nothing about the fault.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::condition::{DnsFault, Host, MetadataFault, Reach, Target, UpstreamFault, is_in};
use crate::model::files::ImageFiles;
use crate::model::observation::{ConnectAttempt, DnsQuestion, Evidence, Fate, MOST_KEPT};
use crate::model::units::show_bytes;
use crate::model::{Condition, ImageFacts, Service};

/// What is looked at.
pub struct Seen<'a> {
    /// What was seen.
    pub evidence: &'a Evidence,
    /// The image's own configuration.
    pub facts: &'a ImageFacts,
    /// What the platform is told.
    pub service: &'a Service,
    /// The whole log.
    pub log: &'a str,
    /// True when it became and stayed healthy.
    pub healthy: bool,
    /// What is in the image, where it was looked at.
    pub files: Option<&'a ImageFiles>,
    /// What the container is given: in the baseline, and under the conditions (`None` takes the image's own away).
    pub values: [&'a BTreeMap<String, Option<String>>; 2],
    /// The start command in words: as a shell reads it, and as the platform does.
    pub words: Option<(Vec<String>, Vec<String>)>,
}

/// What a rule cannot know that looks for what succeeded.
const SWALLOWED: &str = " (a failure that the program got over in silence cannot be seen from outside)";

/// Why a condition was not met; nothing where it was, or where that cannot be told.
#[must_use]
pub fn not_met(condition: &Condition, seen: &Seen<'_>) -> Option<String> {
    match condition {
        Condition::EgressDrop(reach) => egress(reach, seen),
        Condition::EgressReject | Condition::EgressUnreachable => egress(&Reach::Everything, seen),
        Condition::EgressNone => (seen.evidence.no_route == 0).then(|| "nothing was sent out".to_owned()),
        Condition::EgressLate(_) if seen.evidence.no_route > 0 => None,
        Condition::EgressLate(_) => Some(match seen.evidence.outbound().next() {
            Some(first) => format!("the first connection was tried at {:.1} s, after that", first.at_ms / 1000.0),
            None => "nothing was sent out".to_owned(),
        }),
        Condition::Latency(_) => {
            let met = seen.evidence.outbound().next().is_some();
            (!met).then(|| "no connection to the internet was made".to_owned())
        }
        Condition::Dns(fault, host) => dns(*fault, host.as_ref(), seen),
        Condition::Upstream(fault, host) => upstream(*fault, host, seen),
        Condition::Env(name, _) => env(name, seen),
        Condition::ArchMismatch => Some(format!("the image is {}", seen.facts.platform())),
        // What is known of a process that has ended may be older than its end.
        Condition::CpuLimit(_) | Condition::MemoryLimit(_) if !seen.healthy => None,
        Condition::CpuLimit(_) => {
            let usage = seen.evidence.usage?;
            let idle = usage.throttled_ms <= 0.0;
            idle.then(|| format!("it was never held back: at most {:.2} CPUs were busy", usage.cpu_peak))
        }
        Condition::MemoryLimit(limit) => {
            let usage = seen.evidence.usage?;
            // A group that was filled to its limit may not count the moment as one of failure.
            if usage.memory_peak >= limit - limit / 20 {
                return None;
            }
            let most = show_bytes(usage.memory_peak >> 20 << 20);
            (usage.memory_limit_hits == 0).then(|| format!("the limit was never met: at most {most} were used"))
        }
        Condition::NofileLimit(_) => unseen(seen, &["oo many open files", "EMFILE"], "files ran out"),
        Condition::DiskFull if seen.evidence.full_disk_writes > 0 => None,
        Condition::DiskFull => {
            let words = ["o space left", "ENOSPC", "ead-only file system", "EROFS"];
            unseen(seen, &words, "something was written")
        }
        Condition::HostnamePlatform | Condition::HostnameUnbindable => host_name(seen),
        Condition::CommandSplit => command_split(seen),
        Condition::CommandNoEntrypoint => no_entrypoint(seen),
        Condition::Metadata(fault) => metadata(*fault, seen),
        Condition::PortsPrivileged => {
            let low = seen.evidence.listens.iter().any(|l| l.port < 1024);
            (seen.healthy && !low).then(|| format!("no port below 1024 was opened{SWALLOWED}"))
        }
        Condition::Ipv6Off => {
            let six = seen.evidence.listens.iter().any(|l| l.address.is_ipv6());
            (seen.healthy && !six).then(|| format!("no IPv6 socket was seen{SWALLOWED}"))
        }
    }
}

/// What cannot be seen from outside shows in the log; a healthy process that says nothing of it has not met it.
fn unseen(seen: &Seen<'_>, words: &[&str], what: &str) -> Option<String> {
    let said = words.iter().any(|word| seen.log.contains(word));
    (seen.healthy && !said)
        .then(|| format!("it stayed healthy, and nothing that can be seen from outside shows that {what}"))
}

fn goes_to(attempt: &ConnectAttempt, target: &Target) -> bool {
    match target {
        Target::Host(host) => attempt.name.as_deref() == Some(host.as_str()) || host.address() == Some(attempt.address),
        Target::Network(network, bits) => is_in(attempt.address, (*network, *bits)),
    }
}

fn egress(reach: &Reach, seen: &Seen<'_>) -> Option<String> {
    // Beyond what is kept, an attempt that is missing may have been there.
    if seen.evidence.connects.len() >= MOST_KEPT {
        return None;
    }
    let mut tried = seen.evidence.outbound();
    match reach {
        Reach::Everything => tried.next().is_none().then(|| "no outbound connection was tried".to_owned()),
        Reach::Only(target) => {
            (!tried.any(|c| goes_to(c, target))).then(|| format!("no connection to {target} was tried"))
        }
        Reach::AllBut(spared) => {
            let met = tried.any(|c| !spared.iter().any(|target| goes_to(c, target)));
            (!met).then(|| "no outbound connection to anything else was tried".to_owned())
        }
    }
}

fn dns(fault: DnsFault, host: Option<&Host>, seen: &Seen<'_>) -> Option<String> {
    if seen.evidence.dns.len() >= MOST_KEPT {
        return None;
    }
    let about = |q: &&DnsQuestion| host.is_none_or(|host| q.name == host.as_str());
    let Some(first) = seen.evidence.questions().find(about) else {
        return Some(match host {
            Some(host) => format!("the name {host} was not asked for"),
            None => "no name was asked for".to_owned(),
        });
    };
    let silent = seen.evidence.questions().filter(about).any(|q| q.answer == "no answer");
    let late = matches!(fault, DnsFault::Late(_)) && !silent;
    late.then(|| format!("the first question came at {:.1} s, after that", first.at_ms / 1000.0))
}

fn upstream(fault: UpstreamFault, host: &Host, seen: &Seen<'_>) -> Option<String> {
    if seen.evidence.connects.len() >= MOST_KEPT {
        return None;
    }
    let target = Target::Host(host.clone());
    let tried = seen.evidence.outbound().any(|c| {
        let reached = matches!(fault, UpstreamFault::Down | UpstreamFault::Refused) || c.fate == Fate::Answered;
        reached && goes_to(c, &target)
    });
    (!tried).then(|| format!("no connection to {host} was made"))
}

fn env(name: &str, seen: &Seen<'_>) -> Option<String> {
    let [before, after] = seen.values.map(|env| env.get(name).cloned().flatten());
    // What the image itself has counts where the container is given nothing.
    let image =
        |given: Option<String>, taken: bool| given.or_else(|| seen.facts.env.get(name).filter(|_| !taken).cloned());
    let taken = seen.values.map(|env| env.get(name) == Some(&None));
    if image(before, taken[0]) == image(after, taken[1]) {
        return Some("its value is the same without the condition".to_owned());
    }
    // A process that failed may have read it in a way that no search finds.
    if !seen.healthy || seen.log.contains(name) {
        return None;
    }
    let command = seen.service.start_command.as_deref().unwrap_or_default();
    let named = !seen.files.is_some_and(|files| files.never_mentions(name)) || command.contains(name);
    // The kernel and the C library read some by themselves.
    let of_the_system = ["PATH", "HOME", "TZ", "LANG", "LD_", "LC_", "MALLOC_", "GODEBUG"];
    let system = of_the_system.iter().any(|s| name.starts_with(s));
    (!named && !system).then(|| {
        "the name occurs in no file of the image (one that is put together from parts would not be found)".to_owned()
    })
}

fn host_name(seen: &Seen<'_>) -> Option<String> {
    let own = |l: &crate::model::observation::Listening| !l.address.is_unspecified() && !l.address.is_loopback();
    let bound = seen.evidence.listens.iter().any(own);
    (seen.healthy && !bound).then(|| format!("nothing was bound to the host name's address{SWALLOWED}"))
}

fn command_split(seen: &Seen<'_>) -> Option<String> {
    match &seen.words {
        None => Some("there is no start command".to_owned()),
        Some((shell, platform)) if shell == platform => {
            Some("a shell reads the start command in the same words".to_owned())
        }
        Some(_) => None,
    }
}

fn no_entrypoint(seen: &Seen<'_>) -> Option<String> {
    if seen.words.is_none() {
        return Some("there is no start command".to_owned());
    }
    seen.facts.entrypoint.is_empty().then(|| "the image has no ENTRYPOINT".to_owned())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>, and a virtual machine's own, which
/// an SDK asks when nothing names the former.
const ENDPOINTS: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(169, 254, 169, 254)];

fn metadata(fault: MetadataFault, seen: &Seen<'_>) -> Option<String> {
    let asked = match fault {
        MetadataFault::None => &ENDPOINTS[..],
        MetadataFault::Denied | MetadataFault::Slow(_) => &ENDPOINTS[..1],
    };
    // A program may give up because the variable is missing, and ask nobody.
    if fault == MetadataFault::None && !seen.healthy {
        return None;
    }
    let met = seen.evidence.connects.iter().any(|c| asked.contains(&c.address));
    (!met).then(|| "no credentials were asked for".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::EnvChange;
    use crate::model::observation::{Listening, Usage};
    use crate::model::service::{HealthCheck, Protocol};

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
        if let Condition::Env(name, change) = &condition {
            let now = before.get(name).cloned().flatten();
            let value = match change {
                EnvChange::Unset => None,
                EnvChange::Set(value) => Some(value.text.clone()),
                EnvChange::Empty => Some(String::new()),
                _ => now.map(|value| format!("{value}!")),
            };
            after.remove(name);
            after.extend(value.map(|value| (name.clone(), Some(value))));
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
        for known in &crate::model::condition::KNOWN {
            let text = known.example().replace("NAME=VALUE", "B=x").replace("NAME=10s", "a.b=10s");
            let because = because(&text, &nothing);
            // Its start command does differ.
            assert_eq!(because.is_none(), known.name == "command.split", "{text}: {because:?}");
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
