//! `egress.*` and `latency`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, NAMED, NETWORK, Start, Undone, if_fits, nothing_excludes_it};
use crate::model::Condition;
use crate::model::condition::{EgressFault, Reach, Target, is_in};
use crate::model::deployment::{Applies, Ground, Revision};
use crate::model::observation::{ConnectAttempt, Fate, MOST_KEPT};

/// Whether the attempt went to this host or network.
pub(super) fn goes_to(attempt: &ConnectAttempt, target: &Target) -> bool {
    match target {
        Target::Host(host) => attempt.name.as_deref() == Some(host.as_str()) || host.address() == Some(attempt.address),
        Target::Network(network, bits) => is_in(attempt.address, (*network, *bits)),
    }
}

/// Why nothing in scope was tried.
fn not_tried(reach: &Reach, run: &Seen<'_>) -> Option<String> {
    // Evidence beyond the limit is not kept, so an attempt that is missing may have happened.
    if run.evidence.connects.len() >= MOST_KEPT {
        return None;
    }
    let mut tried = run.evidence.outbound();
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

const NAT: &str = "Do not depend on the network at startup: connect when the first request needs it, with a timeout \
                   and retries; or give the subnets of {network} a NAT gateway (or a VPC endpoint of the service that \
                   is called).";
const COVERED_BY: &[&str] =
    &["outbound-call-at-startup", "database-unreachable", "never-listened", "name-not-resolved"];

impl Knowledge for EgressFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        match self {
            Self::Drop(reach) => not_tried(reach, run),
            Self::Reject | Self::Unreachable => not_tried(&Reach::Everything, run),
            Self::None => (run.evidence.no_route == 0).then(|| "nothing was sent out".to_owned()),
            Self::Late(_) if run.evidence.no_route > 0 => None,
            Self::Late(_) => Some(match run.evidence.outbound().next() {
                Some(first) => format!("the first connection was tried at {:.1} s, after that", first.at_ms / 1000.0),
                None => "nothing was sent out".to_owned(),
            }),
            Self::Latency(_) => {
                let met = run.evidence.outbound().next().is_some();
                (!met).then(|| "no connection to the internet was made".to_owned())
            }
        }
    }

    fn ruled_out(&self, clean: &Seen<'_>) -> Option<String> {
        match self {
            Self::None | Self::Late(_) => not_tried(&Reach::Everything, clean),
            other => other.not_exercised(clean),
        }
    }

    fn is_touched(&self, run: &Seen<'_>) -> bool {
        match self {
            Self::None | Self::Late(_) => run.evidence.no_route > 0 || not_tried(&Reach::Everything, run).is_none(),
            Self::Drop(reach) => run.evidence.no_route > 0 || not_tried(reach, run).is_none(),
            other => other.not_exercised(run).is_none(),
        }
    }

    fn is_needed_to_start(&self, start: &Start<'_>) -> bool {
        match self {
            Self::Drop(_) | Self::Reject | Self::Unreachable | Self::None => !start.early.is_empty(),
            Self::Late(_) | Self::Latency(_) => false,
        }
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        let evidence = failure.run.evidence;
        let unanswered = evidence.outbound().any(|attempt| attempt.fate != Fate::Answered);
        // A program that resolves a name intends to connect, whatever the answer.
        let asked = evidence.questions().next().is_some();
        let hidden = asked && failure.conditions.iter().any(|c| matches!(c, Condition::Dns(_)));
        if (unanswered || hidden) && failure.has_cause(&NETWORK) {
            return NAMED;
        }
        if_fits(unanswered || asked || evidence.no_route > 0)
    }

    fn standing(&self, revision: &Revision) -> Ground {
        // A single host may be dead, and the network late or slow, with any kind of egress.
        let of_one = matches!(self, Self::Drop(Reach::Only(_)) | Self::Late(_) | Self::Latency(_));
        let Some(vpc) = revision.vpc.as_ref().filter(|_| !of_one) else { return nothing_excludes_it() };
        if !vpc.value {
            return Ground::of(vpc, Applies::RuledOut, "egress is DEFAULT, the public internet");
        }
        match &revision.nat {
            Some(nat) if nat.value => Ground::of(nat, Applies::RuledOut, "the VPC has a NAT gateway"),
            Some(nat) if matches!(self, Self::Drop(_)) => {
                Ground::of(nat, Applies::InForce, "egress goes through a VPC that has no NAT gateway")
            }
            _ => Ground::of(vpc, Applies::Possible, "egress goes through a VPC connector"),
        }
    }

    fn undone(&self) -> Undone {
        match self {
            Self::Drop(Reach::Only(target)) => Undone::setting(format!("{target} can be reached")),
            Self::Drop(_) | Self::Reject | Self::Unreachable | Self::None => Undone::setting("egress is open"),
            Self::Late(_) | Self::Latency(_) => Undone::proof("the network is there at once"),
        }
    }

    fn meaning(&self) -> Meaning {
        let needed = |text: String| Meaning { id: "egress-needed", text, fix: NAT, told_by: COVERED_BY };
        match self {
            Self::Drop(reach) => {
                let (what, how) = match reach {
                    Reach::Everything => ("the internet".to_owned(), "is dropped, as in a VPC without a NAT gateway"),
                    Reach::Only(target) => (target.to_string(), "is dropped"),
                    Reach::AllBut(targets) => {
                        let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
                        (format!("everything but {}", names.join(", ")), "is dropped")
                    }
                };
                needed(format!(
                    "The program needs to reach the network to start: it fails when traffic to {what} {how}."
                ))
            }
            Self::Reject | Self::Unreachable | Self::None => needed(
                "The program needs to reach the network to start: it fails when its connections cannot go out."
                    .to_owned(),
            ),
            Self::Late(length) => Meaning {
                id: "network-not-ready",
                text: format!(
                    "The program needs the network immediately: it fails if the network is ready only after {} s.",
                    length.as_secs_f64()
                ),
                fix: "Retry with exponential backoff instead of giving up after the first attempt.",
                told_by: &[],
            },
            Self::Latency(length) => Meaning {
                id: "slow-network",
                text: format!(
                    "The program gives up too soon: it fails when every packet takes {} ms longer.",
                    length.as_millis()
                ),
                fix: "Use longer timeouts for remote connections, and make fewer round trips before the port opens.",
                told_by: &[],
            },
        }
    }
}
