//! What all cases of a session share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::RunError;
use super::deaths::Deaths;
use super::inspector::Inspector;
use super::pool::Pool;
use super::session::Session;
use crate::engine::Engine;
use crate::model::Condition;

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a healthy candidate is watched.
    pub soak: Duration,
    /// True: the kernel's and the platform's own times.
    pub real_time: bool,
    /// True: the deployment that creates the service.
    pub first: bool,
    /// False: nothing is written down of what candidates do (to measure what that costs).
    pub evidence: bool,
    /// False: nobody asks whether a condition was met; no image is read to its last file for that.
    pub whole_images: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { soak: Duration::from_secs(1), real_time: false, first: false, evidence: true, whole_images: true }
    }
}

/// Which limits the engine's machine can set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of CPU time.
    pub(crate) cpu: bool,
    /// Of memory.
    pub(crate) memory: bool,
    /// How many CPUs there are to limit.
    pub(crate) cpus: usize,
}

impl Limits {
    /// Fails when the machine cannot impose this condition.
    ///
    /// # Errors
    /// [`RunError::CannotImpose`].
    pub(crate) fn allow(self, condition: &Condition) -> Result<(), RunError> {
        let wanted = condition.changes().container;
        let reason = match (wanted.cpu_milli, wanted.memory) {
            (Some(_), _) if !self.cpu => "this engine sets no CPU limit (cgroup cpu)",
            (Some(milli), _) if milli as usize > self.cpus * 1000 => "the engine's machine has fewer CPUs than that",
            (_, Some(_)) if !self.memory => "this engine sets no memory limit (cgroup memory)",
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
    /// The holders.
    pub pool: Arc<Pool>,
    /// Who has ended.
    pub deaths: Deaths,
    /// What is in the images.
    pub inspector: Arc<Inspector>,
    /// Which limits the engine's machine can set.
    pub limits: Limits,
    /// How cases are run.
    pub options: Options,
    /// The architecture of the engine's machine: `amd64`, `arm64`.
    pub architecture: String,
    /// True when the engine can take a variable of an image away.
    pub unsets_variables: bool,
    /// False: what the engine's machine says of a candidate's use of CPU and memory was shown to be another's.
    pub measures_usage: bool,
    /// Candidates that are being stopped and removed.
    pub leaving: Arc<Mutex<JoinSet<()>>>,
    /// True once the session ends.
    pub ending: watch::Sender<bool>,
}
