//! The service's configuration: port, environment, health check, sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Host;
use super::platform::Platform;

/// The protocol of a health check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// The port accepts a connection.
    Tcp,
    /// `GET path` answers with a passing status.
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
    /// Timeout of a probe in seconds, 1–20.
    pub timeout: u32,
    /// Consecutive successes that make the service healthy, 1–20.
    pub healthy_threshold: u32,
    /// Consecutive failures that make it unhealthy, 1–20.
    pub unhealthy_threshold: u32,
}

impl HealthCheck {
    /// How long a service may stay silent: interval × unhealthy threshold; there is no grace period.
    #[must_use]
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval) * u64::from(self.unhealthy_threshold))
    }
}

/// An HTTP request that is sent once the service is healthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HttpCheck {
    /// A name for the report.
    pub name: String,
    /// The request's method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// Headers beside those of every request.
    pub headers: BTreeMap<String, String>,
    /// A JSON body, if any.
    pub body: Option<String>,
    /// The expected status.
    pub status: u16,
    /// The expected JSON document, if any.
    pub json: Option<serde_json::Value>,
    /// Time limit of the answer.
    #[serde(serialize_with = "as_seconds")]
    pub within: Duration,
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// A host the candidate needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Its name, or its address.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// The address that its name resolves to; `None` for one from the test range.
    pub address: Option<Ipv4Addr>,
    /// What answers.
    pub kind: UpstreamKind,
}

/// What answers for an upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpstreamKind {
    /// A stub in the simulated internet.
    Stub(Stub),
    /// A container, a fresh one for every case.
    Container(ServiceContainer),
}

/// The answer of a stub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stub {
    /// The status of an HTTP answer, over TLS or not.
    pub(crate) status: u16,
    /// The body of an HTTP answer.
    pub(crate) body: String,
    /// Its content type, such as `application/json`.
    pub(crate) content_type: String,
    /// Delay of the answer.
    pub(crate) delay: Duration,
    /// The conversation over a plain TCP connection; if empty, the stub speaks HTTP, or accepts and stays silent.
    pub(crate) script: Vec<Step>,
}

impl Default for Stub {
    fn default() -> Self {
        Self {
            status: 200,
            body: "{}".to_owned(),
            content_type: "application/json".to_owned(),
            delay: Duration::ZERO,
            script: Vec::new(),
        }
    }
}

/// A step of a TCP conversation, from the stub's side.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Sends this.
    Send(String),
    /// Waits until this was received.
    Expect(String),
}

/// A real service that a candidate needs, such as a database.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceContainer {
    /// The image.
    pub(crate) image: String,
    /// Its variables.
    pub env: BTreeMap<String, String>,
    /// Replaces CMD.
    pub(crate) command: Option<Vec<String>>,
    /// Time limit for becoming ready.
    pub(crate) ready_within: Duration,
}

/// The environment's values are not shown: they may be secrets.
impl std::fmt::Debug for ServiceContainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceContainer")
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The configuration of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    /// Its platform.
    pub platform: Platform,
    /// The probed port, which is also the value of `PORT`.
    pub port: u16,
    /// The service's variables, including secrets.
    pub env: BTreeMap<String, String>,
    /// The names of variables whose values are secrets.
    pub secrets: BTreeSet<String>,
    /// The start command, which replaces CMD.
    pub start_command: Option<String>,
    /// CPU of an instance in thousandths.
    pub cpu_milli: u32,
    /// Memory of an instance in bytes.
    pub memory: u64,
    /// Whether egress goes through a VPC connector; `None` if that is not known. Not imposed by itself.
    pub(crate) vpc: Option<bool>,
    /// Whether that VPC has a NAT gateway; `None` if that is not known.
    pub(crate) nat: Option<bool>,
    /// Whether it has an instance role; `None` if that is not known.
    pub(crate) role: Option<bool>,
    /// Hosts the candidate needs.
    pub upstreams: Vec<Upstream>,
    /// The health check.
    pub health_check: HealthCheck,
    /// Requests after healthy.
    pub checks: Vec<HttpCheck>,
}

/// The environment's values are not shown: they may be secrets.
impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("port", &self.port)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("health_check", &self.health_check)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Service {
    /// A service for tests: HTTP check of /healthz on port 8000, one vCPU and 2 GB.
    pub(crate) fn some() -> Self {
        Self {
            platform: Platform::some(),
            port: 8000,
            env: BTreeMap::new(),
            secrets: BTreeSet::new(),
            start_command: None,
            vpc: None,
            nat: None,
            role: None,
            upstreams: Vec::new(),
            health_check: HealthCheck::some(),
            checks: Vec::new(),
            cpu_milli: 1000,
            memory: 2 << 30,
        }
    }
}

#[cfg(test)]
impl HealthCheck {
    /// App Runner's defaults with HTTP.
    pub(crate) fn some() -> Self {
        let (protocol, path) = (Protocol::Http, "/healthz".to_owned());
        Self { protocol, path, interval: 5, timeout: 2, healthy_threshold: 1, unhealthy_threshold: 5 }
    }
}
