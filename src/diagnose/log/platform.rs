//! The lines that a platform writes about a deployment, and what they mean.

use crate::model::outcome::FailureClass;

/// The prefix of App Runner's lines.
pub(super) const PREFIX: &str = "[AppRunner] ";

/// The meaning of a platform line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PlatformLine {
    /// A deployment begins.
    Started(String),
    /// The image that is deployed.
    Image(String),
    /// The process never started.
    NeverStarted,
    /// The deployment failed; without another line that says how, the process never started.
    NotDeployed,
    /// The process exited with this code.
    Exited(Option<i64>),
    /// It never became healthy.
    Unhealthy,
    /// The access role is reported invalid: false in the field when it follows another failure.
    Role,
    /// The deployment succeeded.
    Succeeded,
    /// Anything else.
    Other,
}

impl PlatformLine {
    pub(crate) fn class(&self) -> Option<FailureClass> {
        match self {
            Self::NeverStarted | Self::NotDeployed => Some(FailureClass::A),
            Self::Exited(_) => Some(FailureClass::B),
            Self::Unhealthy => Some(FailureClass::C),
            _ => None,
        }
    }

    pub(crate) fn exit_code(&self) -> Option<i64> {
        if let Self::Exited(code) = self { *code } else { None }
    }

    /// Parses a platform line without its prefix.
    pub(super) fn of(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix("Deployment with ID : ") {
            let (id, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            return if rest.starts_with("started") { Self::Started(id.to_owned()) } else { Self::Other };
        }
        if let Some(artifact) = text.strip_prefix("Deployment Artifact:") {
            let part = |key: &str| Some(artifact.split_once(&format!("[{key}: "))?.1.split_once(']')?.0);
            if let (Some(url), Some(tag)) = (part("Image URL"), part("Image Tag")) {
                let between = if tag.starts_with("sha256:") { '@' } else { ':' };
                return Self::Image(format!("{url}{between}{tag}"));
            }
        }
        if let Some(rest) = text.strip_prefix("Pulling image ") {
            return Self::Image(rest.split(' ').next().unwrap_or_default().to_owned());
        }
        let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
        if starts(&["Your application stopped or failed to start"]) {
            let code =
                text.rsplit_once("exit code:").and_then(|(_, code)| code.trim().trim_end_matches('.').parse().ok());
            Self::Exited(code)
        } else if starts(&["Health check failed"]) {
            Self::Unhealthy
        } else if starts(&["Failed to deploy your application"]) {
            Self::NotDeployed
        } else if starts(&[
            "Failed to pull",
            "Failed to copy",
            "Failed to provision",
            "Failed to build your application",
            "Failed to start the build",
            "Failed to clone",
            "Error in configuration file",
        ]) {
            Self::NeverStarted
        } else if text.contains("Invalid Access Role") {
            Self::Role
        } else if starts(&["Service update completed successfully", "Successfully routed incoming traffic"]) {
            Self::Succeeded
        } else {
            Self::Other
        }
    }
}
