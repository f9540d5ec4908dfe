//! The service as the platform would be told of it: port, environment, health check, sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Host;
use super::platform::Platform;

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
    pub(crate) fn limit(&self) -> Duration {
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

/// A host that the candidate needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Its name, or its address.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// What its name resolves to; nothing: an address that is set aside for tests.
    pub address: Option<Ipv4Addr>,
    /// What answers.
    pub kind: UpstreamKind,
}

/// What answers for an upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpstreamKind {
    /// A stub in the simulated internet.
    Stub(Stub),
    /// A container of its own, a fresh one for every case.
    Container(ServiceContainer),
}

/// What a stub answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stub {
    /// The status of an HTTP answer, over TLS or not.
    pub(crate) status: u16,
    /// The body of an HTTP answer.
    pub(crate) body: String,
    /// Its type, such as `application/json`.
    pub(crate) content_type: String,
    /// How long it takes.
    pub(crate) delay: Duration,
    /// What is said over a plain TCP connection, step by step; empty: HTTP, or listening patiently.
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

/// A step of a TCP conversation, seen from the stub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Says this.
    Send(String),
    /// Waits until this has been said.
    Expect(String),
}

/// A real service that a candidate needs, such as a database.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceContainer {
    /// The image.
    pub(crate) image: String,
    /// Its variables.
    pub(crate) env: BTreeMap<String, String>,
    /// Instead of CMD.
    pub(crate) command: Option<Vec<String>>,
    /// It must serve within this time.
    pub(crate) ready_within: Duration,
}

/// The values of the environment stay out: they may be secrets.
impl std::fmt::Debug for ServiceContainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceContainer")
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What the platform is told of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it runs.
    pub platform: Platform,
    /// The port that is probed and that `PORT` is set to.
    pub port: u16,
    /// The variables of the service, secrets included.
    pub env: BTreeMap<String, String>,
    /// The names whose values are secrets.
    pub secrets: BTreeSet<String>,
    /// The start command, which takes the place of CMD.
    pub start_command: Option<String>,
    /// Thousandths of a CPU that an instance has.
    pub cpu_milli: u32,
    /// Bytes of memory that an instance has.
    pub memory: u64,
    /// Hosts that the candidate needs.
    pub upstreams: Vec<Upstream>,
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

#[cfg(test)]
impl Service {
    /// A service for tests: an HTTP check of /healthz on port 8000, one vCPU and 2 GB.
    pub(crate) fn some() -> Self {
        Self {
            platform: Platform::some(),
            port: 8000,
            env: BTreeMap::new(),
            secrets: BTreeSet::new(),
            start_command: None,
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
    /// App Runner's numbers, by HTTP.
    pub(crate) fn some() -> Self {
        let (protocol, path) = (Protocol::Http, "/healthz".to_owned());
        Self { protocol, path, interval: 5, timeout: 2, healthy_threshold: 1, unhealthy_threshold: 5 }
    }
}
