//! Runs cases on an engine: the loop that schedules them, one case as a state machine, the pool of holders, and
//! cleanup.

pub mod case;
pub mod cleanup;
pub(crate) mod compare;
pub mod conductor;
pub mod confirm;
pub mod context;
pub(crate) mod deaths;
pub(crate) mod disk;
pub mod drivers;
pub mod engine_proof;
pub(crate) mod executor;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod holder;
mod idle;
pub(crate) mod inspect;
pub(crate) mod inspector;
pub(crate) mod lease;
pub mod lifeline;
pub(crate) mod logs;
mod named;
pub(crate) mod off_thread;
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
pub mod teardown;
pub(crate) mod watch;
pub(crate) mod watchdog;

use crate::engine::EngineError;
use crate::model::Condition;
use engine_proof::Check;

/// Why a case could not run. Never a verdict about its image.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This host cannot impose a condition; the case is skipped.
    #[error("host cannot: {}: {reason}", condition.name())]
    CannotImpose {
        /// The condition.
        condition: Condition,
        /// What is missing on this host, or what failed.
        reason: String,
    },
    /// This host cannot run the case under any conditions; the case is skipped.
    #[error("host cannot: {reason}")]
    Unsupported {
        /// What is missing on this host.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A holder failed.
    #[error("namespace holder: {0}")]
    Holder(String),
    /// A service container that the candidate needs did not start serving.
    #[error("service container {host} is not serving: {why}; its last log line: {log}")]
    Service {
        /// Its host and port.
        host: String,
        /// What went wrong.
        why: String,
        /// The last line of its log.
        log: String,
    },
    /// The case was cancelled: its result is no longer needed.
    #[error("cancelled")]
    Cancelled,
    /// The engine failed its proof; no verdict is given on it.
    #[error("this container engine failed its checks, so no verdict would be reliable{}", lines(failed))]
    Unproven {
        /// The checks that failed.
        failed: Vec<Check>,
    },
    /// An operation on this machine failed.
    #[error("{action}: {cause}")]
    Host {
        /// The operation.
        action: String,
        /// The cause.
        cause: String,
    },
}

impl RunError {
    /// An error of this machine.
    pub(crate) fn host(action: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Host { action: action.into(), cause: cause.to_string() }
    }

    /// An error of a service container.
    pub(crate) fn service(host: &str, port: u16, why: &str, log: &str) -> Self {
        let log = if log.is_empty() { "nothing" } else { log };
        Self::Service { host: format!("{host}:{port}"), why: why.to_owned(), log: log.to_owned() }
    }

    /// How to fix it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.hint(),
            Self::CannotImpose { .. } => {
                "Use another engine or change the host's settings; `exitone doctor` shows what this one supports."
            }
            Self::Unsupported { hint, .. } => hint,
            Self::Holder(_) => {
                "The holder container needs the capabilities SYS_ADMIN and NET_ADMIN; a rootless or hardened engine \
                 may not grant them. `exitone -v …` shows every step."
            }
            Self::Service { .. } => "Check the upstream's image, `env` and `ready_within` in the service file.",
            Self::Cancelled => "Run the case by itself.",
            Self::Unproven { .. } => {
                "Use Docker 20.10 or newer, or change this engine's settings; `exitone doctor` shows what it \
                 supports."
            }
            Self::Host { .. } => "`exitone -v …` shows every step.",
        }
    }
}

fn lines(failed: &[Check]) -> String {
    let line = |check: &Check| {
        format!("\n  {}: expected: {}\n  {}: seen: {}", check.claim, check.claim.expected(), check.claim, check.seen)
    };
    failed.iter().map(line).collect()
}
