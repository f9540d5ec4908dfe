//! Planted candidates on the scripted engine: the actions of `exitone plant` that prove an engine.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::script::{Act, Foreign, Situation};
use crate::model::observation::{ConnectAttempt, DnsQuestion, Fate, Observation, Usage};

/// The prefix of the names of its images.
pub(super) const IMAGE: &str = "exitone/planted";
/// How long a process takes to start, and each step.
const STEP: Duration = Duration::from_millis(10);
/// Baseline memory of a process, in bytes.
const OWN_MEMORY: u64 = 8 << 20;
const ANSWER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Carries out a chain of actions.
pub(super) fn act(situation: &Situation) -> Act {
    let foreign = |part| situation.foreign.contains(&part);
    let is_dropped = situation.conditions.iter().any(|c| c.name() == "egress.drop");
    let limited =
        |limit: Option<u64>, wanted: u64| !foreign(Foreign::Limits) && limit.is_some_and(|limit| wanted > limit);
    let mut act = Act::default();
    let mut at = STEP;
    let mut memory = OWN_MEMORY;
    let mut ends = Some(0);
    for step in situation.words.split(|word| word == "then") {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        let seconds = |text: &str| Duration::from_secs(text.parse().unwrap_or(1));
        at += STEP;
        let mut fails = |limit: &str| {
            at += seconds(limit);
            act.logs.push((at, format!("{}: Connection timed out (110)", words.join(" "))));
            ends = Some(1);
        };
        match words.as_slice() {
            ["connect", address, port, limit] => {
                let fate = if is_dropped { Fate::Silent } else { Fate::Answered };
                if !foreign(Foreign::Route) {
                    act.seen.push(connected(address, port, fate));
                    if is_dropped {
                        fails(limit);
                        break;
                    }
                }
            }
            ["ask", _, limit] if foreign(Foreign::Resolver) => {
                fails(limit);
                break;
            }
            ["ask", name, _] => act.seen.push(asked(name)),
            ["memory", bytes] => {
                memory += bytes.parse::<u64>().unwrap_or_default();
                if limited(situation.memory, memory) {
                    (act.oom, ends) = (true, Some(137));
                    break;
                }
            }
            ["files", files] if limited(situation.nofile, files.parse().unwrap_or_default()) => {
                fails("0");
                break;
            }
            ["spin", _, limit] if limited(situation.cpu_milli.map(u64::from), 1000) => {
                fails(limit);
                break;
            }
            ["serve-beside", address, port] => {
                let address = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                act.listens = Some((at, address, port.parse().unwrap_or_default()));
                act.status = (at, 200);
            }
            ["serve", port] => {
                let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                act.listens = Some((at, address, port.parse().unwrap_or_default()));
                act.status = (at, 200);
                ends = None;
            }
            _ => {}
        }
    }
    act.exits = ends.map(|code| (at, code));
    if !foreign(Foreign::NoGroups) {
        let memory_peak = if foreign(Foreign::Groups) { OWN_MEMORY } else { memory };
        act.seen.push(Observation::Usage(Usage { memory_peak, cpu_ms: 20.0, ..Usage::default() }));
    }
    act
}

fn connected(address: &str, port: &str, fate: Fate) -> Observation {
    Observation::Connect(ConnectAttempt {
        at_ms: 0.0,
        protocol: "tcp".to_owned(),
        address: address.parse().unwrap_or(ANSWER),
        port: port.parse().unwrap_or_default(),
        name: None,
        fate,
        sent: 1,
    })
}

fn asked(name: &str) -> Observation {
    let (name, record) = (name.to_owned(), "A".to_owned());
    Observation::Dns(DnsQuestion { at_ms: 0.0, name, record, answer: ANSWER.to_string(), own: false })
}
