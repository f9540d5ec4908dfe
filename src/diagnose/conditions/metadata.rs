//! `metadata.*`.

use std::net::Ipv4Addr;

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone, nothing_excludes_it};
use crate::model::condition::MetadataFault;
use crate::model::deployment::{Applies, Ground, Revision};

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>, and a virtual machine's own, which
/// an SDK asks when nothing names the former.
const ENDPOINTS: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(169, 254, 169, 254)];

/// Why none of these endpoints was asked.
fn not_asked(endpoints: &[Ipv4Addr], run: &Seen<'_>) -> Option<String> {
    let met = run.evidence.connects.iter().any(|c| endpoints.contains(&c.address));
    (!met).then(|| "no credentials were asked for".to_owned())
}

impl Knowledge for MetadataFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        match self {
            // A program may give up because the variable is missing, without asking anyone.
            Self::None if !run.healthy => None,
            Self::None => not_asked(&ENDPOINTS, run),
            Self::Denied | Self::Slow(_) => not_asked(&ENDPOINTS[..1], run),
        }
    }

    /// Any request to the endpoints is for credentials.
    fn is_touched(&self, run: &Seen<'_>) -> bool {
        not_asked(&ENDPOINTS[..1], run).is_none()
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        failure.suspicion(&["aws-credentials"], failure.says(&["credential", "Credential", "169.254.170.2"]))
    }

    fn standing(&self, revision: &Revision) -> Ground {
        let Some(role) = &revision.role else { return nothing_excludes_it() };
        match (self, role.value) {
            (Self::None, true) => Ground::of(role, Applies::RuledOut, "the service has an instance role"),
            (Self::None, false) => Ground::of(role, Applies::InForce, "the service has no instance role"),
            (Self::Denied | Self::Slow(_), true) => nothing_excludes_it(),
            (Self::Denied | Self::Slow(_), false) => {
                Ground::of(role, Applies::RuledOut, "without an instance role there are no credentials to ask for")
            }
        }
    }

    fn undone(&self) -> Undone {
        match self {
            Self::None => Undone::setting("it has an instance role"),
            Self::Denied | Self::Slow(_) => Undone::proof("credentials are answered"),
        }
    }

    fn meaning(&self) -> Meaning {
        let text = match self {
            Self::None => "there is no metadata endpoint, as in a service without an instance role".to_owned(),
            Self::Denied => "the credentials endpoint refuses".to_owned(),
            Self::Slow(length) => format!("the credentials endpoint takes {} s to answer", length.as_secs_f64()),
        };
        Meaning {
            id: "aws-credentials",
            text: format!("The program needs AWS credentials to start: it fails when {text}."),
            fix: "Give the service {role}, or call AWS only after startup.",
            told_by: &["aws-region"],
        }
    }
}
