//! `ports.privileged`, `ipv6.off`.

use super::super::run::Seen;
use super::hostname::cannot_bind;
use super::{Failure, Knowledge, Meaning, SWALLOWED, Undone, nothing_excludes_it};
use crate::catalogue::fix_of;
use crate::model::condition::SocketFault;
use crate::model::deployment::{Applies, Ground, Revision};

impl Knowledge for SocketFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        let mut listens = run.evidence.listens.iter();
        let (met, what) = match self {
            Self::PrivilegedPorts => (listens.any(|l| l.port < 1024), "no port below 1024 was opened"),
            Self::Ipv6Off => (listens.any(|l| l.address.is_ipv6()), "no IPv6 socket was seen"),
        };
        (run.healthy && !met).then(|| format!("{what}{SWALLOWED}"))
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        match self {
            Self::PrivilegedPorts => {
                failure.suspicion(&["privileged-port"], failure.says(&["ermission denied", "EACCES"]))
            }
            Self::Ipv6Off => cannot_bind(failure),
        }
    }

    fn standing(&self, revision: &Revision) -> Ground {
        match (self, &revision.dual_stack) {
            (Self::Ipv6Off, Some(fact)) if fact.value => {
                Ground::of(fact, Applies::RuledOut, "the service has IPv6 addresses")
            }
            (Self::Ipv6Off, Some(fact)) => Ground::of(fact, Applies::InForce, "the service has IPv4 addresses alone"),
            (Self::PrivilegedPorts | Self::Ipv6Off, _) => nothing_excludes_it(),
        }
    }

    fn undone(&self) -> Undone {
        match self {
            Self::PrivilegedPorts => Undone::proof("every process may open low ports"),
            Self::Ipv6Off => Undone::setting("there is IPv6"),
        }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::PrivilegedPorts => Meaning {
                id: "privileged-port",
                text: "The program listens on a port below 1024 without being root, which the platform does not allow."
                    .to_owned(),
                fix: fix_of("privileged-port"),
                told_by: &[],
            },
            Self::Ipv6Off => Meaning {
                id: "ipv6-needed",
                text: "The program needs IPv6, which the platform does not have: it listens on `::`, or connects to `::1`."
                    .to_owned(),
                fix: "Listen on 0.0.0.0, and connect to 127.0.0.1 instead of localhost.",
                told_by: &["bind-host-name"],
            },
        }
    }
}
