//! Scripts: what images do, and the engine's faults.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::EngineError;
use crate::model::Condition;
use crate::model::observation::Observation;

/// The input of a script.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The image's ENV with the container's on top.
    pub env: BTreeMap<String, String>,
    /// The conditions of the namespace.
    pub conditions: Vec<Condition>,
    /// ENTRYPOINT and CMD if they override the image's.
    pub words: Vec<String>,
    /// Parts of its environment that are not ours.
    pub foreign: Vec<Foreign>,
    /// The memory limit in bytes.
    pub memory: Option<u64>,
    /// The limit of open files.
    pub nofile: Option<u64>,
    /// The limit of CPU time, in thousandths of a CPU.
    pub cpu_milli: Option<u32>,
}

/// What a process does, with times from its start.
#[derive(Clone, Debug, Default)]
pub struct Act {
    /// What it writes to standard error.
    pub logs: Vec<(Duration, String)>,
    /// When it opens which address and port.
    pub listens: Option<(Duration, std::net::IpAddr, u16)>,
    /// The status that it answers probes with, and from when on.
    pub status: (Duration, u16),
    /// How long it takes to answer a request that is passed on to it.
    pub takes: Duration,
    /// When it exits, and with which code.
    pub exits: Option<(Duration, i64)>,
    /// Whether the kernel kills it for exceeding its memory.
    pub oom: bool,
    /// Whether it ignores SIGTERM.
    pub deaf: bool,
    /// Whether it waits for a network answer for its whole life.
    pub waits: bool,
    /// What holders report of it on request, and at the end of a run.
    pub seen: Vec<Observation>,
}

/// The behaviour of an image.
pub type Script = Arc<dyn Fn(&Situation) -> Act + Send + Sync>;

/// A part of a candidate's environment that an engine may fail to share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// The image's own resolv.conf applies.
    Resolver,
    /// Connections bypass the simulated internet.
    Route,
    /// Ports on loopback answer probes.
    Probe,
    /// The control group of another process is measured.
    Groups,
    /// No control group can be read.
    NoGroups,
    /// Limits are accepted and not set.
    Limits,
}

/// Faults of the engine.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Errors by operation (`create`, `start`, `inspect_image` …).
    pub errors: HashMap<&'static str, EngineError>,
    /// Holders refuse to prepare, with this message.
    pub holder: Option<String>,
    /// Conditions that holders cannot impose.
    pub cannot_impose: Vec<Condition>,
    /// Whether holders end when they are told to prepare.
    pub holder_ends: bool,
    /// Whether holders do not answer probes.
    pub holder_silent: bool,
    /// Parts of a planted candidate's environment that are not ours.
    pub foreign: Vec<Foreign>,
    /// Whether service containers never serve.
    pub services_asleep: bool,
    /// Whether the engine answers no question about itself.
    pub hangs: bool,
    /// Delay of events about ended containers.
    pub late_events: Duration,
    /// Whether such an event says nothing of the container's state.
    pub bare_events: bool,
}
