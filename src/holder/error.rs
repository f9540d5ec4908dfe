//! What goes wrong with namespaces.

use crate::model::Condition;

/// What went wrong with a namespace.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub(crate) struct NetError {
    /// What was tried.
    action: String,
    /// What the kernel said.
    cause: String,
    /// The condition that needed it; nothing for what every run needs.
    condition: Option<Condition>,
}

impl NetError {
    /// An error with its cause.
    pub(crate) fn new(action: &str, cause: impl std::fmt::Display) -> Self {
        Self { action: action.to_owned(), cause: cause.to_string(), condition: None }
    }

    /// The same error, where only this condition needed what was tried.
    #[must_use]
    pub(crate) fn imposing(self, condition: &Condition) -> Self {
        Self { condition: Some(condition.clone()), ..self }
    }

    /// The condition that cannot be imposed here; nothing where any run would have failed.
    #[must_use]
    pub(crate) fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }
}

/// A result of what sets up namespaces.
pub(crate) type NetResult<T> = Result<T, NetError>;
