//! What was observed of a candidate from outside: names resolved, connections attempted, ports opened, probes, log
//! lines.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of resolver questions and outbound attempts that are kept: the first ones matter.
pub const MOST_KEPT: usize = 512;

/// Something that the candidate did, or that happened to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Observation {
    /// A question to the resolver.
    Dns(DnsQuestion),
    /// The number of questions to the resolver that were not reported individually.
    MoreQuestions {
        /// Number of questions.
        questions: u64,
    },
    /// An outbound connection attempt and its fate.
    Connect(ConnectAttempt),
    /// A port that opened.
    Listen(Listening),
    /// A probe of the health check.
    Probe(ProbeAttempt),
    /// Packets that had no route.
    NoRoute {
        /// Their number.
        packets: u64,
    },
    /// The resource use of the process so far.
    Usage(Usage),
    /// The connections that were open at the last measurement.
    Sockets {
        /// Those that the candidate opened.
        open: Vec<OpenSocket>,
    },
    /// Writes to a full directory.
    FullDisk {
        /// Their number.
        writes: u64,
    },
    /// The sandbox answered in place of a server that nobody plays.
    StandIn(StandIn),
}

/// A question to the resolver and its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DnsQuestion {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// The name without the trailing dot.
    pub name: String,
    /// `A`, `AAAA`, …
    pub record: String,
    /// An address, `no record`, or the resolver's failure: `SERVFAIL`, `NXDOMAIN`, `no answer`, …
    pub answer: String,
    /// Whether it is the container's own name, which resolver faults do not affect.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub own: bool,
}

impl DnsQuestion {
    /// Whether the resolver failed. A name without a record of the type is not a failure.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        self.answer != "no record" && self.answer.parse::<IpAddr>().is_err()
    }
}

/// The fate of an outbound connection attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The simulated internet answered.
    Answered,
    /// A reset came back.
    Refused,
    /// A router reported the host as unreachable.
    Unreachable,
    /// Nothing came back.
    Silent,
}

/// An outbound connection attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConnectAttempt {
    /// Time of the first packet, in milliseconds since the process started.
    pub at_ms: f64,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The destination address.
    pub address: Ipv4Addr,
    /// The destination port.
    pub port: u16,
    /// The name that was resolved to this address, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Its fate.
    pub fate: Fate,
    /// How often the kernel sent the first packet.
    pub sent: u32,
}

/// A port that opened in the candidate's namespace.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listening {
    /// Milliseconds since the process started; polled every 20 ms.
    pub at_ms: f64,
    /// The bound address: `0.0.0.0`, `127.0.0.1`, `::`, …
    pub(crate) address: IpAddr,
    /// The port.
    pub port: u16,
}

/// The ports that Linux chooses from (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

impl Listening {
    /// Whether a program opened it to talk to itself: on loopback, by a port that the kernel chose.
    pub(crate) fn is_internal(&self) -> bool {
        self.address.is_loopback() && EPHEMERAL.contains(&self.port)
    }

    /// Whether a probe from outside the container can reach this socket at `own`, the probed address.
    #[must_use]
    pub(crate) fn reachable_at(&self, own: Ipv4Addr) -> bool {
        match self.address {
            IpAddr::V4(v4) => v4.is_unspecified() || v4 == own,
            IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped() == Some(own),
        }
    }
}

/// Share of a machine's CPUs from which other work counts as starving: a candidate that only competes with its own
/// threads also waits, but leaves less for others.
const STARVED_BY: f64 = 0.75;

/// A negligible time of waiting for a CPU: the platform's default interval between two probes.
const LITTLE_MS: f64 = 5000.0;

/// The resource use of a candidate as counted by the kernel's control groups, including child processes.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Peak memory use in bytes, including the page cache.
    pub memory_peak: u64,
    /// How often the memory limit was reached.
    pub memory_limit_hits: u64,
    /// Number of its processes that the kernel killed for lack of memory, as far as its group's counter was observed
    /// (v1: only with a limit).
    #[serde(default)]
    pub oom_kills: u64,
    /// Number of processes on the whole machine that the kernel killed for lack of memory between the last measurement
    /// of the group and the first that no longer found it, if it has a limit: one of them may be its own.
    #[serde(default)]
    pub oom_kills_at_end: u64,
    /// CPU time in milliseconds.
    pub cpu_ms: f64,
    /// Peak number of busy CPUs, over 100 ms.
    pub cpu_peak: f64,
    /// How long its CPU limit throttled it, in milliseconds (sum over its threads).
    pub throttled_ms: f64,
    /// Number of busy CPUs in the last second.
    pub recent_cpu: f64,
    /// What other work on the machine took from it; absent if the kernel does not report it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contention: Option<Contention>,
}

/// What other work on the machine may have taken from a candidate.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Contention {
    /// Upper limit of the time for which something of it waited for a CPU, in milliseconds: according to its control
    /// group (v2), else of the whole machine (Documentation/accounting/psi.rst).
    pub waited_ms: f64,
    /// For how long it had used less than a tenth of a CPU at the last measurement, in milliseconds.
    pub quiet_ms: f64,
    /// Share of the machine's CPU time that other work took, from 0 to 1.
    pub others: f64,
}

impl Usage {
    /// Whether the kernel killed one of its processes for lack of memory. `killed`: it ended by SIGKILL, which exitone
    /// did not send.
    #[must_use]
    pub(crate) fn out_of_memory(&self, killed: bool) -> bool {
        self.oom_kills > 0 || (killed && self.oom_kills_at_end > 0)
    }
}

impl Contention {
    /// Whether it would have behaved the same with the machine to itself, having been watched for this long
    /// (milliseconds): what it did before it fell silent was delayed at most by its waiting time, which is short, and it
    /// has been silent for longer than that. Who is silent does not wait for a CPU.
    #[must_use]
    pub(crate) fn changed_nothing(&self, of_ms: f64) -> bool {
        let waited_ms = self.waited_ms.min((of_ms - self.quiet_ms).max(0.0));
        waited_ms <= LITTLE_MS && self.quiet_ms >= waited_ms
    }

    /// Whether others kept it from the CPUs for most of this time (milliseconds).
    #[must_use]
    pub(crate) fn starved(&self, of_ms: f64) -> bool {
        of_ms > 0.0 && !self.changed_nothing(of_ms) && self.waited_ms * 2.0 >= of_ms && self.others >= STARVED_BY
    }
}

/// An open TCP connection that the candidate opened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenSocket {
    /// The destination address.
    pub address: Ipv4Addr,
    /// The destination port.
    pub port: u16,
    /// The name that was resolved to this address, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Whether the other side has accepted it.
    pub(crate) accepted: bool,
}

/// A protocol whose opening the sandbox speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spoken {
    /// AMQP 0-9-1.
    Amqp,
    /// MongoDB's wire protocol.
    Mongodb,
    /// MySQL's client/server protocol.
    Mysql,
    /// PostgreSQL's protocol, version 3.
    Postgresql,
    /// RESP.
    Redis,
    /// SMTP.
    Smtp,
}

/// What the sandbox does in place of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// It accepts the connection and the login.
    Opening(Spoken),
    /// It answers every request with 200.
    Http,
    /// It accepts the connection and stays silent.
    Nothing,
}

/// A server that nobody plays, and what the sandbox did in its place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StandIn {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// The server's address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The name that was resolved to this address, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// What the sandbox did.
    pub(crate) reply: Reply,
    /// The first command that only the real server can answer, without its arguments.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) refused: Option<String>,
}

impl StandIn {
    /// Its name, or its address.
    #[must_use]
    pub(crate) fn host(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address.to_string())
    }
}

/// One probe of the health check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProbeAttempt {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// Its result.
    pub(crate) result: ProbeResult,
    /// Whether the platform counts it as a success.
    pub(crate) passed: bool,
    /// Whether it was sent before the platform's schedule, because the port had opened.
    pub(crate) early: bool,
    /// Where it was redirected to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) location: Option<String>,
}

/// What a candidate that does nothing any more answered to a request that the health check does not make.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The port.
    pub(crate) port: u16,
    /// The path.
    pub(crate) path: String,
    /// The answer.
    pub(crate) result: ProbeResult,
}

/// The result of a probe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProbeResult {
    /// The connection was accepted (TCP check).
    Accepted,
    /// The status of the answer (HTTP check).
    Status(u16),
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The connection was closed, or the answer was not HTTP.
    Broken(String),
}

impl ProbeResult {
    /// Whether the platform would count this probe as a success; `passing` are the lowest and the highest accepted
    /// status.
    #[must_use]
    pub(crate) fn good(&self, passing: [u16; 2]) -> bool {
        match self {
            Self::Accepted => true,
            Self::Status(status) => (passing[0]..=passing[1]).contains(status),
            Self::Refused | Self::TimedOut | Self::Broken(_) => false,
        }
    }
}

/// What a path in a container refers to; links are followed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The absolute path.
    pub path: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// The permission bits.
    pub mode: u32,
    /// The owner's user id.
    pub owner: u32,
}

impl Place {
    /// Whether its permissions certainly keep this user out; `bits` for others, as in `0o2` (write). Whether the user is
    /// in its group is not known.
    #[must_use]
    pub(crate) fn keeps_out(&self, user: u32, bits: u32) -> bool {
        let denies = |shift: u32| self.mode & (bits << shift) == 0;
        match user {
            0 => false,
            user if user == self.owner => denies(6),
            _ => denies(3) && denies(0),
        }
    }
}

/// A file that the log of a failed attempt names, as the container had it at the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NamedFile {
    /// The path as the log has it.
    pub named: String,
    /// What is there, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub found: Option<Place>,
    /// The nearest folder above it that exists.
    pub within: Place,
    /// If nothing is there: a name in that folder that differs in upper and lower case only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub like: Option<String>,
}

/// Everything observed in one attempt.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// The first 512 questions to the resolver.
    pub dns: Vec<DnsQuestion>,
    /// Number of further questions.
    pub more_questions: u64,
    /// Outbound connection attempts.
    pub connects: Vec<ConnectAttempt>,
    /// Ports that opened.
    pub listens: Vec<Listening>,
    /// Probes of the health check.
    pub probes: Vec<ProbeAttempt>,
    /// The last lines of the log without secrets.
    pub log_tail: Vec<String>,
    /// Time of each of these lines, in milliseconds since the process started.
    pub log_tail_ms: Vec<f64>,
    /// Packets that had no route.
    pub no_route: u64,
    /// Writes to a full directory.
    pub full_disk_writes: u64,
    /// The resource use of the process; null if the engine's machine does not allow reading it.
    pub usage: Option<Usage>,
    /// Connections open at the end.
    pub sockets: Vec<OpenSocket>,
    /// What the process was waiting for at the end, if it never served.
    pub waiting_for: Vec<String>,
    /// Answers to requests that the health check does not make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) asked: Vec<Asked>,
    /// Servers that nobody plays, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stand_ins: Vec<StandIn>,
    /// The id of the user that the process was started as; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<u32>,
    /// Files that the log of a failed attempt names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<NamedFile>,
}

impl Evidence {
    /// Files an observation.
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
            Observation::StandIn(new) => self.add_stand_in(new),
        }
    }

    fn add_stand_in(&mut self, new: StandIn) {
        let same = |known: &&mut StandIn| (known.address, known.port) == (new.address, new.port);
        let is_full = self.stand_ins.len() >= MOST_KEPT;
        match self.stand_ins.iter_mut().find(same) {
            Some(known) if known.reply == Reply::Nothing || (known.refused.is_none() && new.refused.is_some()) => {
                *known = StandIn { at_ms: known.at_ms, ..new };
            }
            None if !is_full => self.stand_ins.push(new),
            _ => {}
        }
    }

    /// Connections to other hosts: the platform's own services have link-local addresses (RFC 3927).
    pub(crate) fn outbound(&self) -> impl Iterator<Item = &ConnectAttempt> + Clone {
        self.connects.iter().filter(|attempt| !attempt.address.is_link_local())
    }

    /// The candidate's questions to the resolver, except for its own name.
    pub(crate) fn questions(&self) -> impl Iterator<Item = &DnsQuestion> + Clone {
        self.dns.iter().filter(|question| !question.own)
    }

    /// Shifts every time by this many milliseconds: the holder counts from the setup, readers from the start.
    pub(crate) fn shift(&mut self, by_ms: f64) {
        let times = (self.dns.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.connects.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.listens.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.probes.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.stand_ins.iter_mut().map(|x| &mut x.at_ms));
        times.for_each(|at| *at = ((*at + by_ms).max(0.0) * 10.0).round() / 10.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observation_survives_serialisation() {
        let socket = OpenSocket { address: Ipv4Addr::LOCALHOST, port: 1, name: None, accepted: true };
        let stand_in = StandIn {
            at_ms: 1.0,
            address: Ipv4Addr::LOCALHOST,
            port: 5432,
            name: None,
            reply: Reply::Opening(Spoken::Postgresql),
            refused: None,
        };
        for observation in [
            Observation::StandIn(stand_in),
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
