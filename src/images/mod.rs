//! The bundled candidates and services, built from the sources under `images/`, with or without a registry.

mod base;
mod build;
pub mod debian;
mod host;
mod postgres;
mod recipe;
mod registry;
mod tree;

pub use base::{compile as python_compile, make as python_base, packages as python_packages};
pub(crate) use build::is_missing;
pub use build::{build, digest, has};
pub use recipe::{POSTGRES, candidate_names};
pub use registry::{Saved, take};
pub use tree::pack_folder;

use crate::engine::EngineError;

/// The label with the digest of everything that went into an image.
pub const CONTENT_LABEL: &str = "exitone.content";

/// Where base images come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// `host:port` of a registry for `python:3.12-slim` and `postgres:16`, instead of the engine's default.
    pub(crate) registry: Option<String>,
    /// Whether fetching is forbidden.
    pub(crate) offline: bool,
}

/// Why the images cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No image has this name.
    #[error("no bundled image is called `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The requested name.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// A step failed.
    #[error("{step}: {cause}")]
    Step {
        /// The step.
        step: String,
        /// What went wrong.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
}

impl BuildError {
    fn step(step: impl Into<String>, cause: impl std::fmt::Display, hint: &'static str) -> Self {
        Self::Step { step: step.into(), cause: cause.to_string(), hint }
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.hint(),
            Self::Unknown { .. } => "`exitone images build` without a name builds all candidates.",
            Self::Step { hint, .. } => hint,
        }
    }
}
