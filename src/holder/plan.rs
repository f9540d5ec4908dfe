//! The network's part of a set of conditions, in the words of the holder.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::protocol::{OWN, SECOND};
use crate::model::Condition;
use crate::model::condition::{DnsFault, Host, MetadataFault, Reach, Target, UpstreamFault};

/// What becomes of everything that a candidate sends out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Egress {
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
    /// There is no route until so long after the start of the process.
    Late(Duration),
}

/// What becomes of packets to one host or network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// They vanish.
    Silent,
    /// They are refused.
    Refused,
    /// They are delivered, whatever becomes of the others.
    Open,
}

/// How the answers of one host differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// Every answer comes so much later.
    pub delay: Duration,
    /// The credentials are refused.
    pub denied: bool,
}

/// How the resolver fails.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsPlan {
    /// For every name.
    pub all: Option<DnsFault>,
    /// For some names; beats the former.
    pub names: BTreeMap<Host, DnsFault>,
}

impl DnsPlan {
    /// The fault that a question for this name meets.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<DnsFault> {
        let named = name.parse::<Host>().ok().and_then(|host| self.names.get(&host).copied());
        named.or(self.all)
    }
}

/// The network's part of a set of conditions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetPlan {
    /// What becomes of everything that is sent out.
    pub egress: Egress,
    /// What becomes of packets to some hosts and networks.
    pub ways: Vec<(Target, Way)>,
    /// How the answers of some hosts differ.
    pub manners: BTreeMap<Host, Manner>,
    /// How much longer a round trip takes.
    pub latency: Option<Duration>,
    /// How the resolver fails.
    pub dns: DnsPlan,
    /// What the container's own name resolves to.
    pub own_name: Ipv4Addr,
    /// True: the container has a second address, the one of its name.
    pub second_address: bool,
    /// How the endpoint of credentials fails.
    pub metadata: Option<MetadataFault>,
    /// The first port that every user may open.
    pub first_open_port: u16,
    /// True: no IPv6.
    pub ipv6_off: bool,
}

impl Default for NetPlan {
    fn default() -> Self {
        Self {
            egress: Egress::Open,
            ways: Vec::new(),
            manners: BTreeMap::new(),
            latency: None,
            dns: DnsPlan::default(),
            own_name: OWN,
            second_address: false,
            metadata: None,
            // Docker opens the low ports for every user.
            first_open_port: 0,
            ipv6_off: false,
        }
    }
}

impl NetPlan {
    /// The plan of these conditions.
    #[must_use]
    pub fn of(conditions: &[Condition]) -> Self {
        let mut plan = Self::default();
        for condition in conditions {
            plan.add(condition);
        }
        plan
    }

    fn add(&mut self, condition: &Condition) {
        match condition {
            Condition::EgressDrop(Reach::Everything) => self.egress = Egress::Drop,
            Condition::EgressDrop(Reach::Only(target)) => self.ways.push((target.clone(), Way::Silent)),
            Condition::EgressDrop(Reach::AllBut(targets)) => {
                self.egress = Egress::Drop;
                self.ways.extend(targets.iter().map(|target| (target.clone(), Way::Open)));
            }
            Condition::EgressReject => self.egress = Egress::Reject,
            Condition::EgressUnreachable => self.egress = Egress::Unreachable,
            Condition::EgressNone => self.egress = Egress::None,
            Condition::EgressLate(length) => self.egress = Egress::Late(*length),
            Condition::Latency(length) => self.latency = Some(*length),
            Condition::Dns(fault, None) => self.dns.all = Some(*fault),
            Condition::Dns(fault, Some(host)) => {
                self.dns.names.insert(host.clone(), *fault);
            }
            Condition::Upstream(fault, host) => self.upstream(*fault, host),
            Condition::HostnamePlatform => {
                self.own_name = SECOND;
                self.second_address = true;
            }
            Condition::HostnameUnbindable => self.own_name = SECOND,
            Condition::Metadata(fault) => self.metadata = Some(*fault),
            // The kernel's own number (Documentation/networking/ip-sysctl.rst, ip_unprivileged_port_start).
            Condition::PortsPrivileged => self.first_open_port = 1024,
            Condition::Ipv6Off => self.ipv6_off = true,
            // Not the network's part.
            Condition::Env(..)
            | Condition::ArchMismatch
            | Condition::CpuLimit(_)
            | Condition::MemoryLimit(_)
            | Condition::NofileLimit(_)
            | Condition::DiskFull
            | Condition::CommandSplit
            | Condition::CommandNoEntrypoint => {}
        }
    }

    fn upstream(&mut self, fault: UpstreamFault, host: &Host) {
        match fault {
            UpstreamFault::Down => self.ways.push((Target::Host(host.clone()), Way::Silent)),
            UpstreamFault::Refused => self.ways.push((Target::Host(host.clone()), Way::Refused)),
            UpstreamFault::Slow(delay) => {
                self.manners.insert(host.clone(), Manner { delay, denied: false });
            }
            UpstreamFault::Denied => {
                self.manners.insert(host.clone(), Manner { delay: Duration::ZERO, denied: true });
            }
        }
    }

    /// True when packets to some place vanish.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.egress == Egress::Drop || self.ways.iter().any(|(_, way)| *way == Way::Silent)
    }

    /// Every host that the plan names.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        let targets = self.ways.iter().filter_map(|(target, _)| match target {
            Target::Host(host) => Some(host),
            Target::Network(..) => None,
        });
        targets.chain(self.manners.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(texts: &[&str]) -> NetPlan {
        NetPlan::of(&texts.iter().map(|t| t.parse().expect("valid")).collect::<Vec<_>>())
    }

    #[test]
    fn the_friendly_plan() {
        assert_eq!(plan(&["env.unset:A", "cpu.limit:1", "arch.mismatch", "disk.full"]), NetPlan::default());
    }

    #[test]
    fn one_name_beats_all() {
        let dns = plan(&["dns.servfail", "dns.drop@a.b"]).dns;
        assert_eq!(dns.of("a.b"), Some(DnsFault::Drop));
        assert_eq!(dns.of("c.d"), Some(DnsFault::Servfail));
        assert_eq!(plan(&["dns.drop@a.b"]).dns.of("c.d"), None);
    }

    #[test]
    fn allow_lists_leave_ways_open() {
        let plan = plan(&["egress.drop:except=db.internal,10.0.0.0/8"]);
        assert_eq!(plan.egress, Egress::Drop);
        assert_eq!(plan.ways.iter().filter(|(_, way)| *way == Way::Open).count(), 2);
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
            assert_eq!(plan(texts).is_silent(), silent, "{texts:?}");
        }
    }
}
