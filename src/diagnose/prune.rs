//! Which conditions can be left out of a search, because a run without them shows that they would not be met? Pure.
//!
//! A run tells this for the state that it was in: another condition may make the candidate do what it did not do, and
//! then what was left out is taken in again. So the question is always asked of every run that there is.

use super::exercise::{Seen, not_met};
use crate::model::Condition;
use crate::model::condition::{MetadataFault, Reach};
use crate::model::units::show_bytes;

/// A peak below this share of a limit leaves no doubt.
const SURE_SHARE: f64 = 0.6;

/// Why a condition would not be met by a run that went as this one; nothing where that cannot be told.
#[must_use]
pub fn would_not_meet(condition: &Condition, seen: &Seen<'_>) -> Option<String> {
    // A process that failed may have been on the way to it.
    if !seen.healthy {
        return None;
    }
    let evidence = seen.evidence;
    match condition {
        Condition::EgressNone | Condition::EgressLate(_) => not_met(&Condition::EgressDrop(Reach::Everything), seen),
        Condition::Dns(_, host) => {
            let asked = evidence.questions().any(|q| host.as_ref().is_none_or(|h| q.name == h.as_str()));
            let what = host.as_ref().map_or_else(|| "no name".to_owned(), |h| format!("the name {h} not"));
            (!asked && evidence.dns.len() < crate::model::observation::MOST_KEPT)
                .then(|| format!("{what} was asked for in a clean start"))
        }
        Condition::EgressDrop(_)
        | Condition::EgressReject
        | Condition::EgressUnreachable
        | Condition::Latency(_)
        | Condition::Upstream(..)
        | Condition::Metadata(_)
        | Condition::HostnamePlatform
        | Condition::HostnameUnbindable
        | Condition::PortsPrivileged
        | Condition::Ipv6Off
        | Condition::CommandSplit
        | Condition::CommandNoEntrypoint
        | Condition::ArchMismatch => not_met(condition, seen),
        // What a variable does cannot be seen in a run that has it, but in the files of the image.
        Condition::Env(..) => not_met(condition, seen),
        Condition::MemoryLimit(limit) => {
            let peak = evidence.usage?.memory_peak;
            let far = (peak as f64) < *limit as f64 * SURE_SHARE;
            far.then(|| format!("a clean start used {} at the most", show_bytes(peak >> 20 << 20)))
        }
        Condition::CpuLimit(milli) => {
            let peak = evidence.usage?.cpu_peak;
            // A peak is an average over some time: a limit far above every number of threads is needed to be sure.
            let far = peak < f64::from(*milli) / 1000.0 * SURE_SHARE;
            far.then(|| format!("a clean start kept {peak:.2} CPUs busy at the most"))
        }
        // Neither shows in a run that had enough of both.
        Condition::NofileLimit(_) | Condition::DiskFull => None,
    }
}

/// True when a run did what the condition is about, whether it had the condition or not. A run that failed tells this of
/// the network only: what else it would have done is not known.
#[must_use]
pub fn touches(condition: &Condition, seen: &Seen<'_>) -> bool {
    let network = match condition {
        Condition::EgressNone | Condition::EgressLate(_) => &Condition::EgressDrop(Reach::Everything),
        Condition::EgressDrop(_)
        | Condition::EgressReject
        | Condition::EgressUnreachable
        | Condition::Latency(_)
        | Condition::Dns(..)
        | Condition::Upstream(..) => condition,
        // Whoever asks at all asks for credentials.
        Condition::Metadata(_) => &Condition::Metadata(MetadataFault::Denied),
        other => return seen.healthy && would_not_meet(other, seen).is_none(),
    };
    not_met(network, seen).is_none() || (seen.evidence.no_route > 0 && matches!(network, Condition::EgressDrop(_)))
}
