//! What was seen of a candidate from outside: names asked, connections tried, ports opened, probes, last lines.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Questions to the resolver and outbound attempts beyond this number are not kept: the first ones tell.
pub const MOST_KEPT: usize = 512;

/// Something that the candidate did, or that was done to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Observation {
    /// A question to the resolver.
    Dns(DnsQuestion),
    /// More questions to the resolver than are told: how many.
    MoreQuestions {
        /// How many.
        questions: u64,
    },
    /// An outbound connection attempt, and what became of it.
    Connect(ConnectAttempt),
    /// A port that opened.
    Listen(Listening),
    /// A probe of the health check.
    Probe(ProbeAttempt),
    /// Packets that had no route: how many there were in all.
    NoRoute {
        /// How many.
        packets: u64,
    },
    /// What the process needed of the machine, up to now.
    Usage(Usage),
    /// The connections that were open when the process was last looked at.
    Sockets {
        /// Those of its own making.
        open: Vec<OpenSocket>,
    },
    /// Something in a full folder was written to.
    FullDisk {
        /// How many times.
        writes: u64,
    },
}

/// A question to the resolver and its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DnsQuestion {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// The name, without the last dot.
    pub name: String,
    /// `A`, `AAAA`, …
    pub record: String,
    /// An address, `no record`, or how the resolver failed: `SERVFAIL`, `NXDOMAIN`, `no answer`, …
    pub answer: String,
    /// True for the container's own name, which no fault of the resolver touches.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub own: bool,
}

impl DnsQuestion {
    /// True when the resolver failed. A name without a record of the kind is not a failure.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        self.answer != "no record" && self.answer.parse::<IpAddr>().is_err()
    }
}

/// What became of an outbound connection attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The simulated internet answered.
    Answered,
    /// A reset came back.
    Refused,
    /// A router said that the host cannot be reached.
    Unreachable,
    /// Nothing came back.
    Silent,
}

/// An outbound connection attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConnectAttempt {
    /// Milliseconds since the process started, of the first packet.
    pub at_ms: f64,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where to.
    pub address: Ipv4Addr,
    /// Which port.
    pub port: u16,
    /// The name that this address was the answer to, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// How many times the kernel sent the first packet.
    pub sent: u32,
}

/// A port that opened in the candidate's namespace.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listening {
    /// Milliseconds since the process started; read every 20 ms.
    pub(crate) at_ms: f64,
    /// The address that it is bound to: `0.0.0.0`, `127.0.0.1`, `::`, …
    pub(crate) address: IpAddr,
    /// Which port.
    pub(crate) port: u16,
}

impl Listening {
    /// True when a probe from outside of the container can reach this socket at `own`, the probed address.
    #[must_use]
    pub(crate) fn reachable_at(&self, own: Ipv4Addr) -> bool {
        match self.address {
            IpAddr::V4(v4) => v4.is_unspecified() || v4 == own,
            IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped() == Some(own),
        }
    }
}

/// Other work takes a machine's CPUs when it uses this part of them: a candidate that competes with its own threads only
/// waits as well, but leaves the others little.
const STARVED_BY: f64 = 0.75;

/// Waiting for a CPU that changes little: the platform's usual time between two probes.
const LITTLE_MS: f64 = 5000.0;

/// What a candidate needed of the machine, as the kernel's control groups count it, children included.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The highest memory use in bytes, page cache included.
    pub memory_peak: u64,
    /// How often the memory limit was met.
    pub memory_limit_hits: u64,
    /// How many of its processes the kernel killed for want of memory, as far as its group was seen to count them (version 1:
    /// only where it has a limit).
    #[serde(default)]
    pub oom_kills: u64,
    /// How many processes of the whole machine the kernel killed so between the last look at the group and the first that
    /// did not find it any more, where it has a limit: one of them may be its own.
    #[serde(default)]
    pub oom_kills_at_end: u64,
    /// CPU time in milliseconds.
    pub cpu_ms: f64,
    /// The most CPUs that were busy at a time, over 100 ms.
    pub cpu_peak: f64,
    /// How long it was held back by its CPU limit, in milliseconds (of all its threads together).
    pub throttled_ms: f64,
    /// The CPUs that were busy in the last second.
    pub recent_cpu: f64,
    /// What other work on the machine took from it; nothing: the kernel does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contention: Option<Contention>,
}

/// What other work on the machine may have taken from a candidate.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Contention {
    /// For so long, in milliseconds and at the most, something of it waited for a CPU: as its control group counts it
    /// (version 2), else the whole machine (Documentation/accounting/psi.rst).
    pub waited_ms: f64,
    /// For so long, in milliseconds until it was last looked at, it used less than a tenth of a CPU.
    pub quiet_ms: f64,
    /// The part of the machine's CPU time that other work took, from 0 to 1.
    pub others: f64,
}

impl Usage {
    /// True when the kernel killed a process of it for want of memory. `killed`: it ended by SIGKILL, which nobody here sent.
    #[must_use]
    pub(crate) fn out_of_memory(&self, killed: bool) -> bool {
        self.oom_kills > 0 || (killed && self.oom_kills_at_end > 0)
    }
}

impl Contention {
    /// True when it would hardly have done anything else with the machine to itself: whatever it did before it fell silent
    /// came later by no more than the time that it waited, which is little, and it has been silent for longer than that.
    #[must_use]
    pub(crate) fn changed_nothing(&self) -> bool {
        self.waited_ms <= LITTLE_MS && self.quiet_ms >= self.waited_ms
    }

    /// True when others kept it from the CPUs for most of so long a time (milliseconds).
    #[must_use]
    pub(crate) fn starved(&self, of_ms: f64) -> bool {
        of_ms > 0.0 && !self.changed_nothing() && self.waited_ms * 2.0 >= of_ms && self.others >= STARVED_BY
    }
}

/// A TCP connection of the candidate's own making that is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenSocket {
    /// Where to.
    pub(crate) address: Ipv4Addr,
    /// Which port.
    pub(crate) port: u16,
    /// The name that this address was the answer to, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) name: Option<String>,
    /// True when the other side has accepted it.
    pub(crate) accepted: bool,
}

/// One probe of the health check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProbeAttempt {
    /// Milliseconds since the process started.
    pub(crate) at_ms: f64,
    /// What came back.
    pub(crate) result: ProbeResult,
    /// True when the platform counts it as a success.
    pub(crate) passed: bool,
    /// True for a probe that was sent ahead of the platform's schedule because the port had opened.
    pub(crate) early: bool,
}

/// What a probe met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProbeResult {
    /// The connection was accepted (TCP check).
    Accepted,
    /// The status of the answer (HTTP check).
    Status(u16),
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The connection ended, or what came back was no HTTP.
    Broken(String),
}

impl ProbeResult {
    /// True when the platform would count this probe as a success: `passing` are the lowest and the highest status that
    /// it takes for one.
    #[must_use]
    pub(crate) fn good(&self, passing: [u16; 2]) -> bool {
        match self {
            Self::Accepted => true,
            Self::Status(status) => (passing[0]..=passing[1]).contains(status),
            Self::Refused | Self::TimedOut | Self::Broken(_) => false,
        }
    }
}

/// Everything that was seen in one attempt.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// Questions to the resolver: the first 512.
    pub dns: Vec<DnsQuestion>,
    /// How many more questions there were.
    pub more_questions: u64,
    /// Outbound connection attempts.
    pub connects: Vec<ConnectAttempt>,
    /// Ports that opened.
    pub listens: Vec<Listening>,
    /// Probes of the health check.
    pub probes: Vec<ProbeAttempt>,
    /// The last lines of the log, secrets taken out.
    pub log_tail: Vec<String>,
    /// When each of these lines came, milliseconds since the process started.
    pub log_tail_ms: Vec<f64>,
    /// Packets that had no route.
    pub no_route: u64,
    /// Writes into a folder that was full.
    pub full_disk_writes: u64,
    /// What the process needed of the machine; nothing where the engine's machine does not let it be read.
    pub usage: Option<Usage>,
    /// Connections that were open at the end.
    pub sockets: Vec<OpenSocket>,
    /// What the process was waiting for at the end; of a process that never served only.
    pub waiting_for: Vec<String>,
}

impl Evidence {
    /// Puts an observation where it belongs.
    pub(crate) fn add(&mut self, observation: Observation) {
        match observation {
            Observation::Dns(q) => self.dns.push(q),
            Observation::MoreQuestions { questions } => self.more_questions = questions,
            Observation::Connect(c) => self.connects.push(c),
            Observation::Listen(l) => self.listens.push(l),
            Observation::Probe(p) => self.probes.push(p),
            Observation::NoRoute { packets } => self.no_route = packets,
            Observation::FullDisk { writes } => self.full_disk_writes = writes,
            Observation::Usage(usage) => self.usage = Some(usage),
            Observation::Sockets { open } => self.sockets = open,
        }
    }

    /// Connections to elsewhere: the platform's own services have link-local addresses (RFC 3927).
    pub(crate) fn outbound(&self) -> impl Iterator<Item = &ConnectAttempt> + Clone {
        self.connects.iter().filter(|attempt| !attempt.address.is_link_local())
    }

    /// What the candidate asked its resolver, but for its own name.
    pub(crate) fn questions(&self) -> impl Iterator<Item = &DnsQuestion> + Clone {
        self.dns.iter().filter(|question| !question.own)
    }

    /// Moves every time by this many milliseconds: the holder counts from the set-up, a reader from the start.
    pub(crate) fn shift(&mut self, by_ms: f64) {
        let times = (self.dns.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.connects.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.listens.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.probes.iter_mut().map(|x| &mut x.at_ms));
        times.for_each(|at| *at = ((*at + by_ms).max(0.0) * 10.0).round() / 10.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observation_is_written_and_read() {
        let socket = OpenSocket { address: Ipv4Addr::LOCALHOST, port: 1, name: None, accepted: true };
        for observation in [
            Observation::NoRoute { packets: 1 },
            Observation::MoreQuestions { questions: 1 },
            Observation::Usage(Usage::default()),
            Observation::Sockets { open: vec![socket] },
            Observation::FullDisk { writes: 1 },
            Observation::Listen(Listening { at_ms: 1.0, address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1 }),
        ] {
            let text = serde_json::to_string(&observation).expect("written");
            assert_eq!(serde_json::from_str::<Observation>(&text).expect("read"), observation);
        }
    }
}
