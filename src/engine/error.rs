//! What can go wrong with an engine, each with a hint of what to do.

/// A result of the engine.
pub(crate) type EngineResult<T> = Result<T, EngineError>;

/// What App Runner reports for a program that the kernel cannot execute; a local engine may refuse to start it.
const EXEC_FORMAT_CODE: i64 = 1;

/// What can go wrong with an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers at the engine's address.
    #[error("no container engine answers at {host}: {cause}")]
    NoEngine {
        /// Where it was looked for.
        host: String,
        /// What the system said.
        cause: String,
    },
    /// The socket is there and may not be opened.
    #[error("the container engine's socket {host} may not be opened by this user")]
    Permission {
        /// The socket.
        host: String,
    },
    /// The engine speaks an API that is too old.
    #[error("the container engine at {host} speaks API {found}, at least {needed} is needed")]
    TooOld {
        /// The engine.
        host: String,
        /// Its API version.
        found: String,
        /// The lowest that will do.
        needed: &'static str,
    },
    /// The address or the context cannot be used.
    #[error("the container engine's address cannot be used: {problem}")]
    Address {
        /// What is wrong.
        problem: String,
    },
    /// No such image on this engine.
    #[error("no image `{name}` on this engine{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    ImageNotFound {
        /// The name that was asked for.
        name: String,
        /// The nearest name that is there.
        nearest: Option<String>,
    },
    /// The engine's disk is full.
    #[error("the container engine's disk is full ({action}): {message}")]
    DiskFull {
        /// What was tried.
        action: String,
        /// What the engine said.
        message: String,
    },
    /// The process could not be started: a missing executable, user, directory, or command.
    #[error("{message}")]
    CannotStart {
        /// 127 when it was not found, 126 when it is not executable.
        exit_code: Option<i64>,
        /// What the engine said.
        message: String,
    },
    /// It is gone.
    #[error("{action}: it is no longer there ({message})")]
    Gone {
        /// What was tried.
        action: String,
        /// What the engine said.
        message: String,
    },
    /// A container uses it.
    #[error("{action}: a container uses it ({message})")]
    InUse {
        /// What was tried.
        action: String,
        /// What the engine said.
        message: String,
    },
    /// The engine refused.
    #[error("{action}: the container engine refused ({status}): {message}")]
    Refused {
        /// What was tried.
        action: String,
        /// The HTTP status.
        status: u16,
        /// What the engine said.
        message: String,
    },
    /// The engine did not answer, or not in a way that can be understood.
    #[error("{action}: {message}")]
    Broken {
        /// What was tried.
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
                "Look at DOCKER_HOST, DOCKER_CONTEXT and `docker context ls`; unix://, tcp:// and ssh:// are understood."
            }
            Self::ImageNotFound { .. } => {
                "See `docker image ls`; pull or build the image first (the bundled ones: `exitone images build`)."
            }
            Self::DiskFull { .. } => "Free space: `docker system df`, `docker system prune`, `exitone clean`.",
            Self::CannotStart { .. } => {
                "Look at ENTRYPOINT, CMD, USER and WORKDIR of the image: `docker image inspect`."
            }
            Self::Gone { .. } => "Somebody else removed it while it was in use; run the command again.",
            Self::InUse { .. } => "End the container that uses it (`docker ps -a`), then run the command again.",
            Self::Refused { .. } | Self::Broken { .. } => {
                "See the engine's own log (`journalctl -u docker`); `exitone -v …` shows every step."
            }
        }
    }
}

/// What an engine's refusal is, by its status and its words.
pub(super) fn refused(action: String, status: u16, message: String) -> EngineError {
    if message.contains("no space left on device") {
        return EngineError::DiskFull { action, message };
    }
    match status {
        404 => EngineError::Gone { action, message },
        _ => EngineError::Refused { action, status, message },
    }
}

/// Start errors that are the image's fault, not the engine's: only the sentences in which a runtime speaks of the
/// image's own program, user, folder or command. Anything else, however alike it sounds, is the engine's.
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
        // Some runtimes name the program otherwise, or not at all.
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
