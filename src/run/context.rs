//! What all cases of a session share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::RunError;
use super::deaths::Deaths;
use super::inspector::Inspector;
use super::lifeline::Lifeline;
use super::pool::Pool;
use super::session::Session;
use crate::engine::Engine;
use crate::model::Condition;

/// Options that apply to every case.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to watch a candidate after it becomes healthy.
    pub soak: Duration,
    /// Whether to keep the kernel's and the platform's real time limits.
    pub real_time: bool,
    /// Whether this is the deployment that creates the service.
    pub first: bool,
    /// Whether to record evidence; off only to measure its cost.
    pub evidence: bool,
    /// Whether to read every file of an image to tell which conditions it can exercise.
    pub whole_images: bool,
    /// A holder, and with it its candidate, ends after this time, whatever happens.
    pub lifetime: Duration,
}

/// Long enough for any run: nothing is left for ever, whatever goes wrong.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

impl Default for Options {
    fn default() -> Self {
        Self {
            soak: Duration::from_secs(1),
            real_time: false,
            first: false,
            evidence: true,
            whole_images: true,
            lifetime: LIFETIME,
        }
    }
}

/// Which limits the engine's machine can set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// CPU time.
    pub(crate) cpu: bool,
    /// Memory.
    pub(crate) memory: bool,
    /// Whether it can make the root file system read-only as a whole.
    pub(crate) read_only_root: bool,
    /// Number of CPUs.
    pub(crate) cpus: usize,
    /// What this engine was not shown to impose.
    pub(crate) ineffective: Ineffective,
}

/// Kinds of conditions that an engine was not shown to impose, each with the reason.
pub(crate) type Ineffective = BTreeMap<String, String>;

impl Limits {
    /// Fails when the machine cannot impose this condition.
    ///
    /// # Errors
    /// [`RunError::CannotImpose`].
    pub fn allow(&self, condition: &Condition) -> Result<(), RunError> {
        if let Some(reason) = self.ineffective.get(condition.name()).cloned() {
            return Err(RunError::CannotImpose { condition: condition.clone(), reason });
        }
        let wanted = condition.changes().container;
        let reason = match (wanted.cpu_milli, wanted.memory) {
            (Some(_), _) if !self.cpu => "this engine does not support CPU limits (cgroup cpu)",
            (Some(milli), _) if milli as usize > self.cpus * 1000 => "the engine's machine has fewer CPUs",
            (_, Some(_)) if !self.memory => "this engine does not support memory limits (cgroup memory)",
            _ if wanted.read_only && !self.read_only_root => {
                "with a read-only root file system this engine keeps /tmp, /run and /var/tmp writable"
            }
            _ => return Ok(()),
        };
        Err(RunError::CannotImpose { condition: condition.clone(), reason: reason.to_owned() })
    }
}

/// What all cases of a session share.
#[derive(Clone)]
pub struct Context {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The session.
    pub session: Arc<Session>,
    /// The pool of holders.
    pub pool: Arc<Pool>,
    /// The ends of the session's containers.
    pub deaths: Deaths,
    /// Whether the engine still answers.
    pub lifeline: Arc<Lifeline>,
    /// Reads the files of images.
    pub inspector: Arc<Inspector>,
    /// Which limits the engine's machine can set.
    pub limits: Limits,
    /// Options that apply to every case.
    pub options: Options,
    /// The architecture of the engine's machine: `amd64`, `arm64`.
    pub architecture: String,
    /// Whether the engine can unset a variable of an image.
    pub unsets_variables: bool,
    /// Where the session's volume is on the engine's machine, if candidates must be given the name files that it has.
    pub names: Option<String>,
    /// Whether an empty volume is filled when a container that mounts it is created.
    pub fills_at_create: bool,
    /// Whether CPU and memory figures are the candidate's own; the engine proof may show that they are not.
    pub measures_usage: bool,
    /// Containers that are being stopped and removed.
    pub teardowns: Arc<Mutex<JoinSet<()>>>,
    /// Set to true when the session ends.
    pub ending: watch::Sender<bool>,
}
