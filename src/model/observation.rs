//! What was seen of a candidate from outside: names asked, connections tried, ports opened, probes, last lines.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Questions to the resolver beyond this number are not kept: the first ones tell.
const MOST_QUESTIONS: usize = 512;

/// Something that the candidate did, or that was done to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Observation {
    /// A question to the resolver.
    Dns(DnsQuestion),
    /// An outbound connection attempt, and what became of it.
    Connect(ConnectAttempt),
    /// A port that opened.
    Listen(Listening),
    /// A probe of the health check.
    Probe(ProbeAttempt),
}

/// A question to the resolver and its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DnsQuestion {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// The name, without the last dot.
    pub name: String,
    /// `A`, `AAAA`, …
    pub record: String,
    /// An address, `no record`, `SERVFAIL`, `NXDOMAIN`, `no answer`.
    pub answer: String,
}

/// What became of an outbound connection attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Listening {
    /// Milliseconds since the process started; read every 20 ms.
    pub at_ms: f64,
    /// The address that it is bound to: `0.0.0.0`, `127.0.0.1`, `::`, …
    pub address: IpAddr,
    /// Which port.
    pub port: u16,
}

impl Listening {
    /// True when a probe from outside of the container can reach this socket at `own`, the probed address.
    #[must_use]
    pub fn reachable_at(&self, own: Ipv4Addr) -> bool {
        match self.address {
            IpAddr::V4(v4) => v4.is_unspecified() || v4 == own,
            IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped() == Some(own),
        }
    }
}

/// One probe of the health check.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProbeAttempt {
    /// Milliseconds since the process started.
    pub at_ms: f64,
    /// What came back.
    pub result: ProbeResult,
    /// True for a probe that was sent ahead of the platform's schedule because the port had opened.
    pub early: bool,
}

/// What a probe met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeResult {
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
    /// True when the platform would count this probe as a success.
    ///
    /// Which statuses App Runner passes is not documented; 401 and 404 failed in the field, 200 passes.
    #[must_use]
    pub fn good(&self) -> bool {
        match self {
            Self::Accepted => true,
            Self::Status(status) => (200..400).contains(status),
            Self::Refused | Self::TimedOut | Self::Broken(_) => false,
        }
    }
}

/// Everything that was seen in one attempt.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// Questions to the resolver.
    pub dns: Vec<DnsQuestion>,
    /// Outbound connection attempts.
    pub connects: Vec<ConnectAttempt>,
    /// Ports that opened.
    pub listens: Vec<Listening>,
    /// Probes of the health check.
    pub probes: Vec<ProbeAttempt>,
    /// The last lines of the log, secrets taken out.
    pub log_tail: Vec<String>,
}

impl Evidence {
    /// Puts an observation where it belongs.
    pub fn add(&mut self, observation: Observation) {
        match observation {
            // A client that asks in a loop says nothing new after so many times.
            Observation::Dns(_) if self.dns.len() >= MOST_QUESTIONS => {}
            Observation::Dns(q) => self.dns.push(q),
            Observation::Connect(c) => self.connects.push(c),
            Observation::Listen(l) => self.listens.push(l),
            Observation::Probe(p) => self.probes.push(p),
        }
    }

    /// Moves every time by this many milliseconds: the holder counts from the set-up, a reader from the start.
    pub fn shift(&mut self, by_ms: f64) {
        let times = (self.dns.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.connects.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.listens.iter_mut().map(|x| &mut x.at_ms))
            .chain(self.probes.iter_mut().map(|x| &mut x.at_ms));
        times.for_each(|at| *at = ((*at + by_ms).max(0.0) * 10.0).round() / 10.0);
    }
}
