//! Runs cases: one case as a state machine, one coordinator, the pool of holders, and what keeps the engine clean.

pub mod case;
pub mod cleanup;
pub mod coordinator;
pub mod deaths;
pub mod health;
pub mod holder;
pub mod logs;
pub mod pool;
pub mod program;
pub mod result;
pub mod rig;
pub mod session;
pub mod spec;
pub mod watchdog;

use crate::engine::EngineError;

/// Why a run could not be carried out: never a verdict.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A holder did not do its part.
    #[error("the holder of the namespace: {0}")]
    Holder(String),
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
    pub fn host(action: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Host { action: action.into(), cause: cause.to_string() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.hint(),
            Self::Holder(_) => {
                "The holder needs the capabilities SYS_ADMIN and NET_ADMIN in its own container; a rootless or \
                 hardened engine may not grant them. `exitone -v …` shows every step."
            }
            Self::Host { .. } => "`exitone -v …` shows every step.",
        }
    }
}
