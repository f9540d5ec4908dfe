//! Errors of an engine, each with a hint.

/// A result of the engine.
pub(crate) type EngineResult<T> = Result<T, EngineError>;

/// The exit code that App Runner reports for a program the kernel cannot execute; a local engine may refuse to start
/// it.
const EXEC_FORMAT_CODE: i64 = 1;

/// An error of an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nothing answers at the engine's address.
    #[error("cannot connect to the container engine at {host}: {cause}")]
    NoEngine {
        /// The address that was tried.
        host: String,
        /// The system's error.
        cause: String,
    },
    /// The socket exists, but this user may not open it.
    #[error("permission denied: this user may not open the container engine's socket {host}")]
    Permission {
        /// The socket.
        host: String,
    },
    /// The engine's API is too old.
    #[error("the container engine at {host} has API {found}; {needed} or later is required")]
    TooOld {
        /// The engine's address.
        host: String,
        /// Its API version.
        found: String,
        /// The lowest supported version.
        needed: &'static str,
    },
    /// The address or the context is unusable.
    #[error("invalid address of the container engine: {problem}")]
    Address {
        /// What is wrong.
        problem: String,
    },
    /// The engine has no such image.
    #[error("no image `{name}` on this engine{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    ImageNotFound {
        /// The requested name.
        name: String,
        /// The nearest existing name.
        nearest: Option<String>,
    },
    /// An image could not be pulled from its registry.
    #[error("cannot pull `{name}`: {message}")]
    NotPulled {
        /// The image.
        name: String,
        /// The registry's answer, in the engine's words.
        message: String,
        /// Whether Docker's configuration has credentials for the registry.
        has_credentials: bool,
    },
    /// The engine's disk is full.
    #[error("the container engine's disk is full ({action}): {message}")]
    DiskFull {
        /// The operation.
        action: String,
        /// The engine's message.
        message: String,
    },
    /// The process could not be started: a missing executable, user, directory, or command.
    #[error("{message}")]
    CannotStart {
        /// 127 if it was not found, 126 if it is not executable.
        exit_code: Option<i64>,
        /// The engine's message.
        message: String,
    },
    /// It no longer exists.
    #[error("{action}: it no longer exists ({message})")]
    Gone {
        /// The operation.
        action: String,
        /// The engine's message.
        message: String,
    },
    /// A container uses it.
    #[error("{action}: a container uses it ({message})")]
    InUse {
        /// The operation.
        action: String,
        /// The engine's message.
        message: String,
    },
    /// The engine refused.
    #[error("{action}: the container engine refused ({status}): {message}")]
    Refused {
        /// The operation.
        action: String,
        /// The HTTP status.
        status: u16,
        /// The engine's message.
        message: String,
    },
    /// The engine did not answer, or its answer was not understood.
    #[error("{action}: {message}")]
    Broken {
        /// The operation.
        action: String,
        /// What happened.
        message: String,
    },
}

impl EngineError {
    /// What to do about it, in one sentence.
    #[must_use]
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoEngine { .. } => {
                "Start Docker (Docker Desktop, `systemctl start docker`, `colima start` …), or point DOCKER_HOST or \
                 `docker context use` at an engine that runs."
            }
            Self::Permission { .. } => {
                "Add the user to the `docker` group (`sudo usermod -aG docker $USER`, then log in again), or use a \
                 rootless engine."
            }
            Self::TooOld { .. } => "Update the engine: Docker 20.10 or newer, or Podman 4 or newer.",
            Self::Address { .. } => {
                "Check DOCKER_HOST, DOCKER_CONTEXT and `docker context ls`; unix://, tcp:// and ssh:// are supported."
            }
            Self::ImageNotFound { .. } => {
                "See `docker image ls`; build the image first, or pull it (`run`, `why` and `bisect` do with --pull; the \
                 bundled ones: `exitone images build`)."
            }
            Self::NotPulled { has_credentials: false, .. } => {
                "If the registry is private: `docker login REGISTRY`; for ECR, `aws ecr get-login-password | docker login \
                 --username AWS --password-stdin REGISTRY`, or the helper docker-credential-ecr-login."
            }
            Self::NotPulled { has_credentials: true, .. } => {
                "Docker's configuration has credentials for this registry: check that they are still valid (those of ECR \
                 expire after 12 hours), and that the image exists for linux/amd64."
            }
            Self::DiskFull { .. } => "Free space: `docker system df`, `docker system prune`, `exitone clean`.",
            Self::CannotStart { .. } => "Check ENTRYPOINT, CMD, USER and WORKDIR of the image: `docker image inspect`.",
            Self::Gone { .. } => "Something else removed it while it was in use; run the command again.",
            Self::InUse { .. } => "Stop the container that uses it (`docker ps -a`), then run the command again.",
            Self::Refused { .. } | Self::Broken { .. } => {
                "See the engine's own log (`journalctl -u docker`); `exitone -v …` shows every step."
            }
        }
    }
}

/// Classifies an engine's refusal by its status and message.
pub(super) fn refused(action: String, status: u16, message: String) -> EngineError {
    if message.contains("no space left on device") {
        return EngineError::DiskFull { action, message };
    }
    match status {
        404 => EngineError::Gone { action, message },
        _ => EngineError::Refused { action, status, message },
    }
}

/// Start errors caused by the image, not by the engine: only messages in which a runtime names the image's own program,
/// user, directory or command. Everything else, however similar, is the engine's.
pub(super) fn start_error(error: EngineError) -> EngineError {
    let EngineError::Refused { message, .. } = &error else { return error };
    let lower = message.to_ascii_lowercase();
    // runc: `exec: "/app": stat /app: no such file or directory`; crun: "executable file `app` not found in $PATH".
    let program = lower
        .find("exec: \"")
        .map(|at| &lower[at..])
        .or_else(|| lower.find("executable file `").map(|at| &lower[at..]));
    let exit_code = match program {
        Some(text) if text.contains("exec format error") => Some(EXEC_FORMAT_CODE),
        Some(text) if text.contains("permission denied") || text.contains("is a directory") => Some(126),
        Some(text) if text.contains("not found") || text.contains("no such file or directory") => Some(127),
        // Some runtimes name the program differently, or not at all.
        _ if lower.contains("exec format error") => Some(EXEC_FORMAT_CODE),
        _ if ["unable to find user", "unable to find group", "no command specified", "chdir to cwd"]
            .iter()
            .any(|words| lower.contains(words)) =>
        {
            None
        }
        _ => return error,
    };
    EngineError::CannotStart { exit_code, message: message.clone() }
}
