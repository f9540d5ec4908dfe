//! Runs cases: one case as a state machine, one coordinator, the pool of holders, and what keeps the engine clean.

pub(crate) mod alone;
pub mod case;
pub mod cleanup;
pub(crate) mod compare;
pub mod conductor;
pub mod context;
pub(crate) mod deaths;
pub(crate) mod disk;
pub mod drivers;
pub mod engine_proof;
mod executor;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod holder;
pub(crate) mod inspect;
pub(crate) mod inspector;
pub(crate) mod leaving;
pub mod lifeline;
pub(crate) mod logs;
pub mod pool;
pub(crate) mod program;
pub(crate) mod proofs;
pub(crate) mod proven;
mod recorder;
pub(crate) mod result;
pub mod rig;
pub mod schedule;
pub(crate) mod services;
pub mod session;
pub(crate) mod spec;
pub(crate) mod watch;
pub(crate) mod watchdog;

use crate::engine::EngineError;
use crate::model::Condition;
use engine_proof::Check;

/// Why a run could not be carried out: never a verdict.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This host cannot impose a condition: the case is skipped.
    #[error("host cannot: {}: {reason}", condition.name())]
    CannotImpose {
        /// The condition.
        condition: Condition,
        /// What is missing here, or failed.
        reason: String,
    },
    /// This host cannot do what the case needs, whatever its conditions: the case is skipped.
    #[error("host cannot: {reason}")]
    Unsupported {
        /// What is missing here.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A holder did not do its part.
    #[error("the holder of the namespace: {0}")]
    Holder(String),
    /// A service container that the candidate needs does not serve.
    #[error("the service {host} does not serve: {why}; the last it wrote: {log}")]
    Service {
        /// Its host and port.
        host: String,
        /// What went wrong.
        why: String,
        /// The last line of its log.
        log: String,
    },
    /// The case was cancelled: nobody needs its result any more.
    #[error("cancelled")]
    Cancelled,
    /// What must be true of an engine was not shown of this one: nothing is judged on it.
    #[error("nothing can be judged on this container engine{}", each(failed))]
    Unproven {
        /// The claims.
        failed: Vec<Check>,
    },
    /// This machine.
    #[error("{action}: {cause}")]
    Host {
        /// What was tried.
        action: String,
        /// What happened.
        cause: String,
    },
}

impl RunError {
    /// An error of this machine.
    pub(crate) fn host(action: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Host { action: action.into(), cause: cause.to_string() }
    }

    /// A service container's trouble.
    pub(crate) fn service(host: &str, port: u16, why: &str, log: &str) -> Self {
        let log = if log.is_empty() { "nothing" } else { log };
        Self::Service { host: format!("{host}:{port}"), why: why.to_owned(), log: log.to_owned() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.hint(),
            Self::CannotImpose { .. } => {
                "Another engine, or another setting of its machine, can; `exitone doctor` shows what this one can."
            }
            Self::Unsupported { hint, .. } => hint,
            Self::Holder(_) => {
                "The holder needs the capabilities SYS_ADMIN and NET_ADMIN in its own container; a rootless or \
                 hardened engine may not grant them. `exitone -v …` shows every step."
            }
            Self::Service { .. } => "Look at the upstream's image, `env` and `ready_within` in the service file.",
            Self::Cancelled => "Run the case by itself.",
            Self::Unproven { .. } => {
                "Use another engine (Docker 20.10 or newer has all of this), or another setting of this one; `exitone \
                 doctor` shows more."
            }
            Self::Host { .. } => "`exitone -v …` shows every step.",
        }
    }
}

fn each(failed: &[Check]) -> String {
    let line = |check: &Check| {
        format!("\n  {}: expected: {}\n  {}: seen: {}", check.claim, check.claim.expected(), check.claim, check.seen)
    };
    failed.iter().map(line).collect()
}
