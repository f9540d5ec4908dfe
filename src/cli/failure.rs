//! Why a command fails, with the exit code of each reason (docs/reference.md).

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::engine::EngineError;
use crate::images::BuildError;
use crate::run::RunError;
use crate::scenario::Refused;

/// The exit code of an invalid command line.
pub(crate) const USAGE: u8 = 2;
const BAD_SCENARIO: u8 = 3;
const NO_ENGINE: u8 = 4;
const NO_REPORT: u8 = 6;
/// The exit code of an internal error.
pub(crate) const INTERNAL: u8 = 70;

/// Why a command has no result.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// An invalid command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into(), hint: None }
    }

    /// A report could not be written.
    pub(crate) fn unwritten(message: impl Into<String>) -> Self {
        Self { code: NO_REPORT, message: message.into(), hint: None }
    }

    /// An internal error.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: INTERNAL, message: message.into(), hint: None }
    }

    /// An invalid scenario, service or environment file.
    pub(crate) fn file(message: impl Into<String>) -> Self {
        Self { code: BAD_SCENARIO, message: message.into(), hint: None }
    }

    /// A result, or a requested file, cannot be written.
    pub(crate) fn unwritable(message: impl Into<String>) -> Self {
        Self { code: NO_REPORT, message: message.into(), hint: None }
    }

    /// The engine cannot be used.
    pub(crate) fn no_engine(message: impl Into<String>) -> Self {
        Self { code: NO_ENGINE, message: message.into(), hint: None }
    }

    /// The user interrupted the command; `code` is the signal's.
    pub(crate) fn interrupted(code: u8) -> Self {
        Self { code, message: "interrupted".to_owned(), hint: None }
    }

    /// Adds a hint.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds what becomes of the work that waited for the command.
    pub(crate) fn past(self, words: &str) -> Self {
        Self { message: format!("{}\n{words}", self.message.trim_end()), ..self }
    }

    /// Whether the engine is unusable, so that nothing is known about any image.
    pub(crate) fn is_of_engine(&self) -> bool {
        self.code == NO_ENGINE
    }

    /// The message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints it and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let mut text =
            if self.message.starts_with("error") { self.message } else { format!("error: {}", self.message) };
        if let Some(hint) = self.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        let _ = writeln!(anstream::stderr(), "{}", text.trim_end());
        ExitCode::from(self.code)
    }
}

/// Fails when a run ended because the engine was `lost`; `folder` has what it found out, if anything does.
///
/// # Errors
/// The loss, with how to go on.
pub(super) fn unless_engine_lost(lost: Option<&str>, folder: Option<&Path>) -> Result<(), Failure> {
    let Some(why) = lost else { return Ok(()) };
    let again = match folder {
        Some(folder) => {
            let folder = folder.display();
            format!("the results so far are kept; to continue, add `--resume {folder}` once the engine answers again")
        }
        None => "once the engine answers again, run the command again".to_owned(),
    };
    Err(Failure::no_engine(format!("the container engine stopped answering: {why}")).with_hint(again))
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = if matches!(error, EngineError::ImageNotFound { .. }) { USAGE } else { NO_ENGINE };
        Self { code, hint: Some(error.hint().to_owned()), message: error.to_string() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Engine(e) => e.into(),
            other => Self { code: NO_ENGINE, hint: Some(other.hint().to_owned()), message: other.to_string() },
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Engine(e) => e.into(),
            other => {
                let code = if matches!(other, BuildError::Unknown { .. }) { USAGE } else { NO_ENGINE };
                Self { code, hint: Some(other.hint().to_owned()), message: other.to_string() }
            }
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::file(refused.to_string())
    }
}

/// Combines all errors, those of the command line first.
///
/// # Errors
/// When there is an error.
pub(super) fn or_errors<T>(asked: T, wrong: &[String], refusals: Vec<String>) -> Result<T, Failure> {
    match (wrong.is_empty(), refusals.is_empty()) {
        (true, true) => Ok(asked),
        (true, false) => Err(Failure::file(refusals.join("\n"))),
        (false, _) => {
            let wrong = wrong.iter().map(|text| format!("error: {text}"));
            Err(Failure::usage(wrong.chain(refusals).collect::<Vec<_>>().join("\n")))
        }
    }
}
