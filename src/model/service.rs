//! The service as the platform would be told of it: port, environment, health check, sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

/// TCP or HTTP, as the health check of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// The port accepts a connection.
    Tcp,
    /// `GET path` answers with a good status.
    Http,
}

/// The health check of a service.
///
/// Defaults and ranges: <https://docs.aws.amazon.com/apprunner/latest/api/API_HealthCheckConfiguration.html>.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HealthCheck {
    /// TCP or HTTP.
    pub protocol: Protocol,
    /// The path of an HTTP check.
    pub path: String,
    /// Seconds between two probes, 1–20.
    pub interval: u32,
    /// Seconds that a probe may take, 1–20.
    pub timeout: u32,
    /// Successive successes that make the service healthy, 1–20.
    pub healthy_threshold: u32,
    /// Successive failures that make it unhealthy, 1–20.
    pub unhealthy_threshold: u32,
}

impl HealthCheck {
    /// How long a service that never answers is given: interval × unhealthy threshold, there is no grace period.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval) * u64::from(self.unhealthy_threshold))
    }
}

/// One HTTP request that is made once the service is healthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HttpCheck {
    /// A name for the report.
    pub name: String,
    /// The request's method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// A JSON body, if one is sent.
    pub body: Option<String>,
    /// The status that is expected.
    pub status: u16,
    /// The JSON document that is expected, if one is.
    pub json: Option<serde_json::Value>,
    /// How long the answer may take.
    #[serde(serialize_with = "as_seconds")]
    pub within: Duration,
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// What the platform is told of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    /// The port that is probed and that `PORT` is set to.
    pub port: u16,
    /// The variables of the service, secrets included.
    pub env: BTreeMap<String, String>,
    /// The names whose values are secrets.
    pub secrets: BTreeSet<String>,
    /// The start command, which takes the place of CMD.
    pub start_command: Option<String>,
    /// Hosts that the candidate needs, `host:port`.
    pub upstreams: Vec<(String, u16)>,
    /// The health check.
    pub health_check: HealthCheck,
    /// Requests to make once healthy.
    pub checks: Vec<HttpCheck>,
}

/// The values of the environment stay out: they may be secrets.
impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("port", &self.port)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("health_check", &self.health_check)
            .finish_non_exhaustive()
    }
}
