//! The protocol between the controller and a holder: one JSON document per line over the holder's standard input and
//! output, so that it works on a remote engine and in a desktop's virtual machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire;
use crate::model::Condition;
use crate::model::observation::{Observation, ProbeResult};
use crate::model::service::Stub;

/// Both sides must have the same version.
pub(crate) const VERSION: u32 = 5;

/// Interval of the controller's heartbeats to each holder.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// A holder that hears nothing for this long ends itself: the controller is gone, stopped, or unreachable.
pub(crate) const SILENT_FOR: Duration = Duration::from_secs(10);

/// The address of a candidate, which is probed.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 61, 20);
/// A second address, which only `hostname.platform` assigns to the candidate (the name's address in a field log).
pub(crate) const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 248, 213);
/// The candidate's router, and the source of the probes.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 61, 1);
/// Where a container on the platform gets its credentials:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Metadata address of a virtual machine; containers of the platform get no answer there.
pub(crate) const EC2_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The path of the credentials, as in `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
pub const CREDENTIALS_PATH: &str = "/v2/credentials/11111111-2222-3333-4444-555555555555";
/// The value of `HOSTNAME`, in App Runner's format.
pub(crate) const HOSTNAME: &str = "ip-10-0-248-213.ec2.internal";
/// The kernel's host name: the first part. With a domain in it, glibc would search that domain for every failing name,
/// and an unresponsive resolver would cost 20 s instead of 10 s.
pub(crate) const SHORT_HOSTNAME: &str = "ip-10-0-248-213";
/// Where the candidate's resolver listens.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Mount point of the session's volume, in the holder and in every candidate.
pub(crate) const SHARED_DIR: &str = "/run/exitone";
/// Mount point of the engine machine's control groups in a holder.
pub(crate) const GROUPS: &str = "/cgroup";
/// File name of the session's CA certificate in that volume.
pub(crate) const CA_FILE: &str = "ca.pem";
/// File names of the candidate's /etc/hosts in that volume: with its name at the probed address, and at another.
pub(crate) const HOSTS: &str = "hosts";
pub(crate) const HOSTS_SECOND: &str = "hosts-second";
/// File name of its /etc/resolv.conf in that volume.
pub(crate) const RESOLV_CONF: &str = "resolv.conf";

/// Where a holder accepts the controller's requests to a candidate: HTTP/2 without TLS. No candidate sees this file.
pub(crate) const RELAY_SOCKET: &str = "/relay";

/// How much one request over the relay, and all of them, may send before the other side has read it, in bytes: uploads wait
/// for the candidate, not for the way to it.
pub(crate) const RELAY_STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const RELAY_WINDOW: u32 = 8 << 20;
/// What the load balancer says when the instance does not answer: Envoy's words.
/// <https://www.envoyproxy.io/docs/envoy/latest/faq/debugging/why_is_envoy_sending_internal_responses>
pub(crate) const NO_ANSWER: &str = "upstream connect error or disconnect/reset before headers";

/// Messages from the controller to the holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum ToHolder {
    /// The first message.
    Hello(Hello),
    /// Create a namespace for a service container and stay in it until the container has started.
    Place {
        /// The run that needs it.
        run: u64,
        /// Index of the service in the run.
        number: u32,
    },
    /// Wait until a service serves.
    Await(Await),
    /// Create the namespace of a run.
    Prepare(Box<Prepare>),
    /// This container is about to start: read its control group.
    Watch {
        /// The run.
        run: u64,
        /// The candidate's container.
        container: String,
    },
    /// The process has started: delays of late conditions count from here.
    Started {
        /// The run.
        run: u64,
    },
    /// Send one probe now.
    Probe(Probe),
    /// Send one HTTP request now; the kernel's default retry times apply from here on.
    Request(Request),
    /// Accept requests to the candidate at [`RELAY_SOCKET`] until the run ends; the kernel's default retry times apply from
    /// here on.
    Relay {
        /// The run.
        run: u64,
        /// The candidate's port.
        port: u16,
    },
    /// Report what the candidate is waiting for on the network.
    Pending {
        /// The run.
        run: u64,
    },
    /// Report the observations so far that are otherwise sent at the end.
    SoFar {
        /// The run.
        run: u64,
    },
    /// The controller is alive; see [`HEARTBEAT_EVERY`].
    Heartbeat,
    /// Send the remaining observations of a run, and take it down.
    Finish {
        /// The run.
        run: u64,
    },
}

/// The first message to a holder.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The session CA's certificate, PEM.
    pub(crate) ca_cert: String,
    /// The session CA's key, PEM.
    pub(crate) ca_key: String,
    /// The holder ends itself after this many seconds, in any case.
    pub(crate) lifetime_s: u64,
    /// The holder's own container id: candidates' control groups are next to its own.
    pub(crate) container: String,
}

/// The key is not shown.
impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The namespace of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// A number unique among the runs of this holder.
    pub(crate) run: u64,
    /// Whether to create a fresh namespace and enter it; otherwise the engine's is used (one run per holder).
    pub(crate) fresh: bool,
    /// The network conditions.
    #[serde(with = "wire::list")]
    pub(crate) conditions: Vec<Condition>,
    /// Whether the kernel's default retry times apply.
    pub(crate) real_time: bool,
    /// TCP ports on which the simulated internet must answer immediately, in addition to the well-known ones.
    pub(crate) ports: Vec<u16>,
    /// Hosts the candidate needs.
    pub(crate) upstreams: Vec<Upstream>,
    /// Whether to report every HTTP request to a host.
    pub(crate) outbox: bool,
    /// Whether to record what the candidate does; without it, the cost of recording can be measured.
    pub(crate) evidence: bool,
}

/// A host of the simulated internet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upstream {
    /// Its name or address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Its fixed address, if it has one.
    pub(crate) address: Option<Ipv4Addr>,
    /// What answers.
    pub(crate) answer: Answer,
}

/// An HTTP request of the candidate to a host of the simulated internet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// The host, as the request names it.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// `GET`, `POST`, …
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// The beginning of the body.
    pub(crate) body: String,
    /// The status of the answer.
    pub(crate) status: u16,
}

/// What answers for a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A stub.
    Stub(Stub),
    /// The service container with this index.
    Service(u32),
}

/// A service that must serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Await {
    /// The run that needs it.
    pub(crate) run: u64,
    /// Index of the service in the run.
    pub(crate) number: u32,
    /// Its port.
    pub(crate) port: u16,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// The run.
    pub(crate) run: u64,
    /// Returned with the answer.
    pub(crate) seq: u64,
    /// The port.
    pub(crate) port: u16,
    /// The path of an HTTP probe; `None` for TCP.
    pub(crate) path: Option<String>,
    /// Time limit in milliseconds.
    pub(crate) timeout_ms: u64,
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The run.
    pub(crate) run: u64,
    /// Returned with the answer.
    pub(crate) seq: u64,
    /// The port.
    pub(crate) port: u16,
    /// `GET`, `POST`, …
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Headers beside those of every request.
    pub(crate) headers: BTreeMap<String, String>,
    /// A JSON body.
    pub(crate) body: Option<String>,
    /// Time limit in milliseconds.
    pub(crate) timeout_ms: u64,
}

/// Messages from the holder to the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum FromHolder {
    /// Ready for runs.
    Ready {
        /// [`VERSION`].
        version: u32,
    },
    /// A service container can join now.
    Placed {
        /// The run.
        run: u64,
        /// Index of the service in the run.
        number: u32,
    },
    /// A service serves.
    Awake {
        /// The run.
        run: u64,
        /// Index of the service in the run.
        number: u32,
    },
    /// A run's namespace exists, with every condition in force.
    Prepared {
        /// The run.
        run: u64,
        /// The time of this message, in microseconds since the epoch; times of observations count from it.
        epoch_us: i64,
        /// How long the setup took, in microseconds.
        setup_us: u64,
    },
    /// An observation. Times are milliseconds since `Prepared`.
    Observed {
        /// The run.
        run: u64,
        /// The observation.
        observation: Observation,
    },
    /// The result of a probe.
    Probed {
        /// The run.
        run: u64,
        /// The probe.
        seq: u64,
        /// Its result.
        result: ProbeResult,
        /// Where it was redirected to.
        location: Option<String>,
    },
    /// The result of a request.
    Responded {
        /// The run.
        run: u64,
        /// The request.
        seq: u64,
        /// Its result.
        result: ProbeResult,
        /// The body, at most 64 KiB.
        body: String,
    },
    /// The candidate sent a request to a host; see [`Prepare::outbox`].
    Sent {
        /// The run.
        run: u64,
        /// The request.
        request: Sent,
    },
    /// Requests to the candidate are accepted.
    Relaying {
        /// The run.
        run: u64,
    },
    /// What the candidate is waiting for.
    Pending {
        /// The run.
        run: u64,
        /// Number of unanswered connections and questions.
        open: usize,
    },
    /// The observations so far; they are repeated completely at the end.
    SoFar {
        /// The run.
        run: u64,
        /// The observations.
        seen: Vec<Observation>,
    },
    /// The run is taken down.
    Finished {
        /// The run.
        run: u64,
    },
    /// This host cannot impose a condition; the run is not prepared.
    CannotImpose {
        /// The run.
        run: u64,
        /// The condition, one of those in [`Prepare`].
        #[serde(with = "wire")]
        condition: Condition,
        /// The kernel's error.
        reason: String,
    },
    /// The holder could not carry out a message.
    Failed {
        /// The run, if it is about one.
        run: Option<u64>,
        /// What happened.
        message: String,
    },
}

/// Mount points of the directories that a keeper keeps: `/kept/0`, `/kept/1`, …
pub(crate) const KEPT_DIR: &str = "/kept";

/// Messages from the controller to a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToKeeper {
    /// Fill up all of them.
    Fill,
    /// Report the number of writes since then.
    Count,
}

/// Messages from a keeper to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// No space is left.
    Full,
    /// Number of files created or written to, successfully or not.
    Writes(u64),
    /// It could not carry out a message.
    Failed(String),
}

/// A message as one line.
///
/// # Errors
/// None of these types fails to serialise; the error is the serialiser's.
pub(crate) fn line<T: Serialize>(message: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_survives_serialisation() {
        let message = ToHolder::Prepare(Box::new(Prepare {
            run: 7,
            fresh: true,
            conditions: vec!["egress.drop".parse().expect("valid"), "dns.delay:2s".parse().expect("valid")],
            real_time: false,
            ports: vec![6543],
            upstreams: vec![Upstream {
                host: "db.internal".to_owned(),
                port: 5432,
                address: Some(OWN),
                answer: Answer::Stub(Stub::default()),
            }],
            outbox: false,
            evidence: true,
        }));
        let bytes = line(&message).expect("a line");
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<ToHolder>(&bytes).expect("read back"), message);
    }

    #[test]
    fn debug_output_hides_the_key() {
        let hello = Hello {
            version: 1,
            ca_cert: "c".to_owned(),
            ca_key: "PRIVATE".to_owned(),
            lifetime_s: 1,
            container: String::new(),
        };
        assert!(!format!("{hello:?}").contains("PRIVATE"));
    }
}
