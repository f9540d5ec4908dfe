//! What is scripted: what images do, and what the engine does wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::EngineError;
use crate::model::Condition;
use crate::model::observation::Observation;

/// What a script is told.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The image's ENV with the container's over it.
    pub env: BTreeMap<String, String>,
    /// The conditions of the namespace.
    pub conditions: Vec<Condition>,
    /// ENTRYPOINT and CMD, where they are not the image's.
    pub words: Vec<String>,
    /// What of its world is not ours.
    pub foreign: Vec<Foreign>,
    /// The memory limit in bytes.
    pub memory: Option<u64>,
}

/// What a process does: at times from its start.
#[derive(Clone, Debug, Default)]
pub struct Act {
    /// What it writes to standard error.
    pub logs: Vec<(Duration, String)>,
    /// When it opens which address and port.
    pub listens: Option<(Duration, std::net::IpAddr, u16)>,
    /// The status that it answers probes with, from when on.
    pub status: (Duration, u16),
    /// When it exits, and with which code.
    pub exits: Option<(Duration, i64)>,
    /// True when the kernel kills it for its memory.
    pub oom: bool,
    /// True when it does not end at SIGTERM.
    pub deaf: bool,
    /// True when it waits for an answer of the network as long as it lives.
    pub waits: bool,
    /// What holders tell of it when they are asked, and at a run's end.
    pub seen: Vec<Observation>,
}

/// What an image does.
pub type Script = Arc<dyn Fn(&Situation) -> Act + Send + Sync>;

/// A part of a candidate's world that an engine may keep to itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// The image's own resolv.conf counts.
    Resolver,
    /// Connections go past the simulated internet.
    Route,
    /// Ports on loopback answer probes.
    Probe,
    /// The control group of another process is measured.
    Groups,
    /// No control group can be read.
    NoGroups,
}

/// What the engine does wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The error of an operation, by its name (`create`, `start`, `inspect_image` …).
    pub errors: HashMap<&'static str, EngineError>,
    /// Holders refuse to prepare, with these words.
    pub holder: Option<String>,
    /// Conditions that holders cannot impose.
    pub cannot_impose: Vec<Condition>,
    /// Holders end when they are told to prepare.
    pub holder_ends: bool,
    /// Holders do not answer probes.
    pub holder_silent: bool,
    /// What of a planted candidate's world is not ours.
    pub foreign: Vec<Foreign>,
    /// Service containers never serve.
    pub services_asleep: bool,
    /// The engine answers no question about itself.
    pub hangs: bool,
    /// Events of ends come this much later.
    pub late_events: Duration,
}
