//! What the controller and a holder say to each other: one JSON document a line over the holder's standard
//! input and output, so that it works on a remote engine and inside a desktop's virtual machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire;
use crate::model::Condition;
use crate::model::observation::{Observation, ProbeResult};
use crate::model::service::Stub;

/// Both sides must say the same number.
pub(crate) const VERSION: u32 = 4;

/// How often the controller lets each holder know that it is there.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// A holder that hears nothing for so long ends itself: the controller is gone, was stopped, or cannot be reached.
pub(crate) const SILENT_FOR: Duration = Duration::from_secs(10);

/// The address of a candidate, the one that is probed.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 61, 20);
/// A second address, which only `hostname.platform` gives to the candidate (the name's address in a field log).
pub(crate) const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 248, 213);
/// The candidate's router, and where the probes come from.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 61, 1);
/// Where a container of the platform finds its credentials.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where a virtual machine finds its metadata; nothing is there for a container of the platform.
pub(crate) const EC2_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The path of the credentials, as `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` says it.
pub const CREDENTIALS_PATH: &str = "/v2/credentials/11111111-2222-3333-4444-555555555555";
/// What `HOSTNAME` says, in the shape that App Runner gives it.
pub(crate) const HOSTNAME: &str = "ip-10-0-248-213.ec2.internal";
/// The kernel's own host name: the first part. With a domain in it, glibc would search that domain for every name
/// that fails, and a resolver that does not answer would cost 20 s instead of 10 s.
pub(crate) const SHORT_HOSTNAME: &str = "ip-10-0-248-213";
/// Where the candidate's resolver listens.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where the session's volume is mounted, in the holder and in every candidate.
pub(crate) const SHARED_DIR: &str = "/run/exitone";
/// Where a holder sees the control groups of the engine's machine.
pub(crate) const GROUPS: &str = "/cgroup";
/// The name of the session's CA certificate in that volume.
pub(crate) const CA_FILE: &str = "ca.pem";

/// From the controller to the holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum ToHolder {
    /// The first words.
    Hello(Hello),
    /// Make a namespace for a service container and be in it until the container has started.
    Place {
        /// The run that needs it.
        run: u64,
        /// Which of the run's services.
        number: u32,
    },
    /// Wait until a service serves.
    Await(Await),
    /// Make the namespace of a run.
    Prepare(Box<Prepare>),
    /// This container is about to be started: its control group is to be read.
    Watch {
        /// The run.
        run: u64,
        /// The candidate's container.
        container: String,
    },
    /// The process has been started: what comes late counts from here.
    Started {
        /// The run.
        run: u64,
    },
    /// Send one probe now.
    Probe(Probe),
    /// Send one HTTP request now; the kernel's own retry times hold from here on.
    Request(Request),
    /// Say how much the candidate is still waiting for an answer of the network.
    Pending {
        /// The run.
        run: u64,
    },
    /// Tell what was seen so far of what is otherwise told at the end.
    SoFar {
        /// The run.
        run: u64,
    },
    /// The controller is there; see [`HEARTBEAT_EVERY`].
    Heartbeat,
    /// Tell what is left to tell of a run, and take it down.
    Finish {
        /// The run.
        run: u64,
    },
}

/// The first words to a holder.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The session CA's certificate, PEM.
    pub(crate) ca_cert: String,
    /// The session CA's key, PEM.
    pub(crate) ca_key: String,
    /// The holder ends itself after so many seconds, whatever happens.
    pub(crate) lifetime_s: u64,
    /// The holder's own container: those of candidates have their control groups beside its own.
    pub(crate) container: String,
}

/// The key stays out.
impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A run's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// A number that no other run of this holder has.
    pub(crate) run: u64,
    /// True: make a fresh namespace and be in it. False: use the one that the engine gave (one run a holder).
    pub(crate) fresh: bool,
    /// The network's conditions.
    #[serde(with = "wire::list")]
    pub(crate) conditions: Vec<Condition>,
    /// True: the kernel's own retry times.
    pub(crate) real_time: bool,
    /// TCP ports on which the simulated internet must answer at once, beside the well-known ones.
    pub(crate) ports: Vec<u16>,
    /// Hosts that the candidate needs.
    pub(crate) upstreams: Vec<Upstream>,
    /// False: nothing is written down of what the candidate does (to measure what that costs).
    pub(crate) evidence: bool,
}

/// A host of the simulated internet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upstream {
    /// Its name or address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// What the name resolves to, where that is fixed.
    pub(crate) address: Option<Ipv4Addr>,
    /// What answers.
    pub(crate) answer: Answer,
}

/// What answers for a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A stub.
    Stub(Stub),
    /// The service container of this number.
    Service(u32),
}

/// A service that must serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Await {
    /// The run that needs it.
    pub(crate) run: u64,
    /// Which of the run's services.
    pub(crate) number: u32,
    /// Its port.
    pub(crate) port: u16,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// The run.
    pub(crate) run: u64,
    /// Comes back with the answer.
    pub(crate) seq: u64,
    /// The port.
    pub(crate) port: u16,
    /// The path of an HTTP probe; nothing for TCP.
    pub(crate) path: Option<String>,
    /// How long it may take.
    pub(crate) timeout_ms: u64,
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The run.
    pub(crate) run: u64,
    /// Comes back with the answer.
    pub(crate) seq: u64,
    /// The port.
    pub(crate) port: u16,
    /// `GET`, `POST`, …
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// A JSON body.
    pub(crate) body: Option<String>,
    /// How long it may take.
    pub(crate) timeout_ms: u64,
}

/// From the holder to the controller.
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
        /// Which of its services.
        number: u32,
    },
    /// A service serves.
    Awake {
        /// The run.
        run: u64,
        /// Which of its services.
        number: u32,
    },
    /// A run's namespace is there, every condition in force.
    Prepared {
        /// The run.
        run: u64,
        /// The time of this line, microseconds since the epoch; times of observations count from it.
        epoch_us: i64,
        /// How long the set-up took.
        setup_us: u64,
    },
    /// Something was seen. Times are milliseconds since `Prepared`.
    Observed {
        /// The run.
        run: u64,
        /// What.
        observation: Observation,
    },
    /// What a probe met.
    Probed {
        /// The run.
        run: u64,
        /// The probe.
        seq: u64,
        /// What it met.
        result: ProbeResult,
    },
    /// What a request met.
    Responded {
        /// The run.
        run: u64,
        /// The request.
        seq: u64,
        /// What it met.
        result: ProbeResult,
        /// The body, at most 64 KiB.
        body: String,
    },
    /// How much the candidate is waiting for.
    Pending {
        /// The run.
        run: u64,
        /// Connections and questions that nobody has answered yet.
        open: usize,
    },
    /// What was seen so far of what is told again, and whole, at the end.
    SoFar {
        /// The run.
        run: u64,
        /// What.
        seen: Vec<Observation>,
    },
    /// The run is taken down.
    Finished {
        /// The run.
        run: u64,
    },
    /// This host cannot impose a condition of a run, which is not prepared.
    CannotImpose {
        /// The run.
        run: u64,
        /// The condition, one of those in [`Prepare`].
        #[serde(with = "wire")]
        condition: Condition,
        /// What the kernel refused.
        reason: String,
    },
    /// The holder could not do what it was told.
    Failed {
        /// The run, if it was about one.
        run: Option<u64>,
        /// What happened.
        message: String,
    },
}

/// Where a keeper has the folders that it keeps: `/kept/0`, `/kept/1`, …
pub(crate) const KEPT_DIR: &str = "/kept";

/// From the controller to a keeper of full folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToKeeper {
    /// Leave no space in any of them.
    Fill,
    /// Say how often they were written to since.
    Count,
}

/// From a keeper to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// No space is left.
    Full,
    /// So many files were made or written to, or tried to be.
    Writes(u64),
    /// It could not do what it was told.
    Failed(String),
}

/// One line.
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
    fn a_line_is_read_back() {
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
            evidence: true,
        }));
        let bytes = line(&message).expect("a line");
        assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<ToHolder>(&bytes).expect("read back"), message);
    }

    #[test]
    fn the_key_is_not_shown() {
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
