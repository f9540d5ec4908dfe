//! Rules about the observed network traffic.

use super::{Basis, Rule, Seen, VPC, fixes};
use crate::model::observation::Fate;

const FAILED: &[Fate] = &[Fate::Silent, Fate::Refused, Fate::Unreachable];

/// The rules, most certain first.
pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "name-not-resolved",
        basis: Basis::Network,
        seen: &[Seen::Name],
        unless: &[],
        also: &[],
        text: "While it starts the process asks for {name}, and the name cannot be resolved ({answer})[; it does so in {where}].",
        fix: fixes::RESOLVE_LATER,
        reference: "https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html",
        alone: false,
    },
    Rule {
        id: "database-unreachable",
        basis: Basis::Network,
        seen: &[Seen::Connect(FAILED), Seen::DatabasePort],
        unless: &[],
        also: &[],
        text: "While it starts the process connects to the {database_kind} at {host}:{target_port}, and that fails \
               ({fate})[; it does so in {where}].",
        fix: fixes::DATABASE_LATER,
        reference: VPC,
        alone: false,
    },
    Rule {
        id: "outbound-call-at-startup",
        basis: Basis::Network,
        seen: &[Seen::Connect(FAILED)],
        unless: &[Seen::DatabasePort],
        also: &[],
        text: "While it starts the process opens a connection to {host}:{target_port}, and that fails ({fate})[; it does \
               so in {where}].",
        fix: "Make the client lazily, in the route that needs it, with a time-out and retries; or give the subnets of \
              {network} a NAT gateway (or a VPC endpoint) so that the host can be reached.",
        reference: VPC,
        alone: false,
    },
];
