//! Platforms as data, embedded.

mod battery;

use serde::Deserialize;

pub use battery::{Battery, battery};

use crate::model::service::{HealthCheck, Protocol};

/// What a platform does where a service says nothing, and what it accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The health check.
    pub health_check: HealthDefaults,
    /// The port.
    pub port: u16,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    /// GB of memory.
    pub memory: String,
    /// What differs there, the most frequent cause first; no two exclude each other. `*` stands for each variable,
    /// secret, upstream or the size of the instance.
    pub battery: Vec<String>,
    /// Other forms of these.
    pub forms: Vec<String>,
}

/// The health check's defaults and range.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthDefaults {
    protocol: String,
    path: String,
    interval: u32,
    timeout: u32,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    /// The lowest number that is accepted.
    pub lowest: u32,
    /// The highest.
    pub highest: u32,
}

impl HealthDefaults {
    /// The health check of a service that says nothing of one.
    #[must_use]
    pub fn check(&self) -> HealthCheck {
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

/// The text of the App Runner profile; [`crate::scenario`] reads it.
pub const APPRUNNER: &str = include_str!("apprunner.yaml");
