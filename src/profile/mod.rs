//! Embedded platform definitions.

mod battery;

use serde::Deserialize;

pub(crate) use battery::is_mode;
pub use battery::{Battery, battery};

use crate::model::Platform;
use crate::model::service::{HealthCheck, Protocol};

/// A platform's defaults, and what it accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The part that cases need.
    pub platform: Platform,
    /// The health check.
    pub health_check: HealthDefaults,
    /// The port.
    pub port: u16,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    /// GB of memory.
    pub memory: String,
    /// What differs there, most frequent cause first; the conditions are compatible. `*` stands for each variable,
    /// secret or upstream, or for the size of the instance.
    pub battery: Vec<String>,
    /// Further forms of these.
    pub forms: Vec<String>,
}

/// The health check's defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthDefaults {
    protocol: String,
    path: String,
    interval: u32,
    timeout: u32,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
}

impl HealthDefaults {
    /// The health check of a service that does not configure one.
    #[must_use]
    pub(crate) fn check(&self) -> HealthCheck {
        HealthCheck {
            protocol: if self.protocol == "HTTP" { Protocol::Http } else { Protocol::Tcp },
            path: self.path.clone(),
            interval: self.interval,
            timeout: self.timeout,
            healthy_threshold: self.healthy_threshold,
            unhealthy_threshold: self.unhealthy_threshold,
        }
    }
}

/// The platforms by name, each with the text of its profile, which [`crate::scenario`] reads. The first is the default.
pub(crate) const PROFILES: [(&str, &str); 2] =
    [("apprunner", include_str!("apprunner.yaml")), ("ecs-express", include_str!("ecs-express.yaml"))];

/// The names of the platforms.
pub const NAMES: [&str; PROFILES.len()] = [PROFILES[0].0, PROFILES[1].0];
