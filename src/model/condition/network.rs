//! The network's part of a set of conditions: what a holder imposes, and a script by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DnsFault, Host, HostnameFault, MetadataFault, Target};

/// What becomes of everything that a candidate sends out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Egress {
    /// The simulated internet answers.
    #[default]
    Open,
    /// It vanishes.
    Drop,
    /// It is refused.
    Reject,
    /// A router says that the host cannot be reached. It vanishes, and the holder says so itself (see
    /// `packets::unreachable`): an unreachable route answers only five packets at once.
    Unreachable,
    /// There is no route.
    None,
    /// There is no route until this long after the start of the process.
    Late(Duration),
}

/// What becomes of packets to one host or network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RouteFault {
    /// They vanish.
    Silent,
    /// They are refused.
    Refused,
    /// They are delivered, whatever becomes of the others.
    Open,
}

/// How the answers of one host differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ResponseFault {
    /// Every answer comes this much later.
    pub(crate) delay: Duration,
    /// The credentials are refused.
    pub(crate) denied: bool,
}

/// How the resolver fails.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct DnsPlan {
    /// For every name.
    pub(crate) all: Option<DnsFault>,
    /// For some names; beats the former.
    pub(crate) names: BTreeMap<Host, DnsFault>,
}

impl DnsPlan {
    /// The fault that a question for this name meets.
    #[must_use]
    pub(crate) fn of(&self, name: &str) -> Option<DnsFault> {
        let named = name.parse::<Host>().ok().and_then(|host| self.names.get(&host).copied());
        named.or(self.all)
    }
}

/// The network's part of a set of conditions. The default is the baseline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct NetworkPlan {
    /// What becomes of everything that is sent out.
    pub(crate) egress: Egress,
    /// What becomes of packets to some hosts and networks.
    pub(crate) routes: Vec<(Target, RouteFault)>,
    /// How the answers of some hosts differ.
    pub(crate) responses: BTreeMap<Host, ResponseFault>,
    /// How much longer a round trip takes.
    pub(crate) latency: Option<Duration>,
    /// How the resolver fails.
    pub(crate) dns: DnsPlan,
    /// What the container's own name resolves to; `None`: its one address, which is probed.
    pub(crate) hostname: Option<HostnameFault>,
    /// How the endpoint of credentials fails.
    pub(crate) metadata: Option<MetadataFault>,
    /// The first port that every user may open. Docker opens the low ports for every user: 0.
    pub(crate) first_open_port: u16,
    /// True: no IPv6.
    pub(crate) ipv6_off: bool,
    /// True: some connection is answered by nobody ([`Wait::Silence`](super::Wait::Silence)), and may be given up early.
    pub(crate) silent: bool,
}

impl NetworkPlan {
    /// Every host that the plan names.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        let targets = self.routes.iter().filter_map(|(target, _)| match target {
            Target::Host(host) => Some(host),
            Target::Network(..) => None,
        });
        targets.chain(self.responses.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::condition::Changes;

    fn network(texts: &[&str]) -> NetworkPlan {
        let conditions: Vec<_> = texts.iter().map(|t| t.parse().expect("valid")).collect();
        Changes::of(&conditions).network
    }

    #[test]
    fn what_is_not_of_the_network_leaves_the_plan_alone() {
        assert_eq!(network(&["env.unset:A", "cpu.limit:1", "arch.mismatch", "disk.full"]), NetworkPlan::default());
    }

    #[test]
    fn one_name_beats_all() {
        let dns = network(&["dns.servfail", "dns.drop@a.b"]).dns;
        assert_eq!(dns.of("a.b"), Some(DnsFault::Drop));
        assert_eq!(dns.of("c.d"), Some(DnsFault::Servfail));
        assert_eq!(network(&["dns.drop@a.b"]).dns.of("c.d"), None);
    }

    #[test]
    fn allow_lists_leave_routes_open() {
        let plan = network(&["egress.drop:except=db.internal,10.0.0.0/8"]);
        assert_eq!(plan.egress, Egress::Drop);
        assert_eq!(plan.routes.iter().filter(|(_, fault)| *fault == RouteFault::Open).count(), 2);
        assert_eq!(plan.hosts().count(), 1);
    }

    #[test]
    fn silence_is_known() {
        for (silent, texts) in [
            (true, &["egress.drop"][..]),
            (true, &["egress.drop:db.internal"]),
            (true, &["upstream.down:db.internal"]),
            (false, &["egress.reject", "dns.drop"]),
            (false, &["upstream.refused:db.internal", "egress.late:20s"]),
        ] {
            assert_eq!(network(texts).silent, silent, "{texts:?}");
        }
    }
}
