//! The errors of the APIs, as clients read them.

use hyper::StatusCode;

/// An error with the name that its service model gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    /// `InvalidRequestException`, …
    pub(crate) code: &'static str,
    /// What is wrong, naming the member.
    pub(crate) message: String,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An input that is not accepted.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    /// Not in the service's present state.
    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self::new("InvalidStateException", message)
    }

    /// Nothing has this ARN, or this name.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    /// An input of CloudWatch Logs, ECR or STS that is not accepted.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// An ECR repository that exists.
    pub(crate) fn repository_exists(message: impl Into<String>) -> Self {
        Self::new("RepositoryAlreadyExistsException", message)
    }

    /// An ECR repository that does not exist.
    pub(crate) fn repository_not_found(message: impl Into<String>) -> Self {
        Self::new("RepositoryNotFoundException", message)
    }

    /// An image that an ECR repository does not have.
    pub(crate) fn image_not_found(message: impl Into<String>) -> Self {
        Self::new("ImageNotFoundException", message)
    }

    /// A body that is not what the operation takes.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// A target that no API here has.
    pub(crate) fn unknown(target: &str) -> Self {
        Self::new("UnknownOperationException", format!("there is no operation {target}"))
    }

    /// An operation of AWS that is not simulated.
    pub(crate) fn not_implemented(target: &str) -> Self {
        Self::new("NotImplementedException", format!("exitone serve does not simulate {target}"))
    }

    /// A fault of this program or of the engine.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("InternalServiceErrorException", message)
    }

    /// The status: only a fault of ours is one that clients try again.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            "NotImplementedException" => StatusCode::NOT_IMPLEMENTED,
            "InternalServiceErrorException" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
