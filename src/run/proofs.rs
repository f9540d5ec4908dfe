//! A planted candidate for every condition, run by `exitone doctor` and the tests.
//!
//! A planted candidate is healthy in the baseline and fails under its condition. The idle one only serves and exercises
//! no condition.

use std::collections::BTreeMap;

use crate::model::condition::{Host, kinds};
use crate::model::service::{Stub, Upstream, UpstreamKind};
use crate::model::{CaseResult, ConditionSet, Service};

/// The port of every planted candidate.
pub(super) const PORT: u16 = 8000;
/// The host that planted candidates connect to.
pub(super) const HOST: &str = "planted.example";

/// A condition and the candidate that exercises it.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// The condition's name.
    pub(crate) name: &'static str,
    /// The condition to impose.
    pub(crate) condition: ConditionSet,
    /// What the planted candidate does, as its start command.
    pub(crate) meets: String,
    /// The condition for the idle candidate. Its argument differs if it names something that the idle candidate has.
    pub(crate) for_idle: ConditionSet,
    /// Whether the image alone decides, as for `arch.mismatch`.
    pub(crate) of_image: bool,
}

/// The start command of the idle candidate.
#[must_use]
pub(crate) fn idle() -> String {
    format!("serve {PORT}")
}

/// The variables of planted candidates.
fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("PLANTED".to_owned(), "yes".to_owned()), (unread(), "yes".to_owned())])
}

/// A variable that no program reads. Its name is assembled here so that it occurs in no file.
fn unread() -> String {
    ["UN", "READ", "BY", "ALL"].map(|part| part.chars().rev().collect::<String>()).join("_")
}

/// The service configuration of a planted candidate on an engine of this architecture: it is a native program there,
/// and what it proves does not depend on the platform's architecture.
#[must_use]
pub(crate) fn service(defaults: &Service, command: &str, architecture: &str) -> Service {
    let mut service = defaults.clone();
    service.platform.architecture = architecture.to_owned();
    service.port = PORT;
    service.env = env();
    service.start_command = Some(command.to_owned());
    service.health_check.interval = 1;
    service.health_check.unhealthy_threshold = 5;
    service.upstreams = HOST
        .parse::<Host>()
        .map(|host| Upstream { host, port: 80, address: None, kind: UpstreamKind::Stub(Stub::default()) })
        .into_iter()
        .collect();
    service
}

/// How a planted candidate ended, with its last log line.
#[must_use]
pub(crate) fn describe_end(result: &CaseResult) -> String {
    let last = result.evidence.log_tail.last().cloned();
    let why = last.or_else(|| result.causes.first().map(|c| c.text.clone())).or_else(|| result.notes.first().cloned());
    format!("{}: {}", result.cell(), why.unwrap_or_default())
}

/// A condition's argument, and an action that exercises it.
fn planted(name: &str) -> (String, String) {
    let (argument, action): (&str, &str) = match name {
        "egress.late" => (":3s", "connect 198.18.9.9 443 1"),
        // The limit is far above the baseline's round trip and far below the condition's.
        "latency" => (":3s", "connect 198.18.9.9 443 1.5"),
        "dns.delay" | "dns.late" => (":3s", "ask planted.example 1.5"),
        "dns.drop" => ("", "ask-tcp planted.example 1.5"),
        "upstream.slow" => (":planted.example=3s", "get planted.example 80 / 1.5"),
        "upstream.denied" => (":planted.example", "get planted.example 80 / 1.5"),
        "env.set" => (":PLANTED=no", "env PLANTED yes"),
        "arch.mismatch" => ("", ""),
        // Proved by the kernel's counters, without its own time limit.
        "cpu.limit" => (":0.05", "spin 0.2 60"),
        "memory.limit" => (":48m", "memory 100000000"),
        "nofile.limit" => (":64", "files 100"),
        "disk.full" | "rootfs.readonly" => ("", "write /tmp/planted 100000"),
        "hostname.platform" => ("", "serve-name 8000"),
        "hostname.unbindable" => ("", "bind-name 9000"),
        "command.split" => ("", "say-words 2 'a b' c"),
        "command.no-entrypoint" => ("", "idle 0.01"),
        "metadata.slow" => (":3s", "credentials 1.5"),
        "metadata.none" | "metadata.denied" => ("", "credentials 1.5"),
        "ports.privileged" => ("", "bind 0.0.0.0 80"),
        "ipv6.off" => ("", "ipv6"),
        _ if name.starts_with("egress.") => ("", "connect 198.18.9.9 443 1"),
        _ if name.starts_with("dns.") => ("", "ask planted.example 1.5"),
        _ if name.starts_with("upstream.") => (":planted.example", "connect planted.example 80 1"),
        _ if name.starts_with("env.") => (":PLANTED", "env PLANTED yes"),
        _ => ("", "(add a row to `planted` in src/run/proofs.rs)"),
    };
    (argument.to_owned(), action.to_owned())
}

/// The proofs of all conditions, in the order of the documentation. A condition that takes a name has two.
#[must_use]
pub(crate) fn proofs() -> Vec<Proof> {
    let mut proofs = Vec::new();
    for kind in kinds() {
        let (argument, action) = planted(kind.name);
        let mut texts = vec![format!("{}{argument}", kind.name)];
        if kind.name == "egress.drop" {
            texts.extend([
                format!("{}:{HOST}", kind.name),
                format!("{}:198.18.0.0/15", kind.name),
                format!("{}:except=10.0.0.0/8", kind.name),
            ]);
        } else if kind.takes_name {
            texts.push(format!("{}{argument}@{HOST}", kind.name));
        }
        for text in texts {
            let command = match action.as_str() {
                // The action includes serving.
                "serve-name 8000" => action.clone(),
                "connect 198.18.9.9 443 1" if text.contains(HOST) => format!("connect {HOST} 443 1 then serve {PORT}"),
                _ => format!("{action} then serve {PORT}"),
            };
            let set = |text: &str| {
                let parsed = text.parse().map(|c| ConditionSet::new([c]));
                parsed.ok().and_then(Result::ok).unwrap_or_default()
            };
            proofs.push(Proof {
                name: kind.name,
                condition: set(&text),
                meets: command,
                // Starting takes some CPU time, too, but the idle candidate never uses a full CPU.
                for_idle: set(&text.replace("PLANTED", &unread()).replace("cpu.limit:0.05", "cpu.limit:1")),
                of_image: kind.name == "arch.mismatch",
            });
        }
    }
    proofs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_a_proof() {
        let proofs = proofs();
        for kind in kinds() {
            assert!(proofs.iter().any(|p| p.name == kind.name), "{}", kind.name);
        }
        for proof in &proofs {
            assert_eq!(proof.condition.iter().map(|c| c.name()).collect::<Vec<_>>(), [proof.name]);
            assert_eq!(proof.for_idle.iter().count(), 1, "{}", proof.condition);
        }
    }
}
