//! What App Runner writes about an operation, in the streams where it writes it, and beside it, in a stream of its own, what
//! exitone has to say (<https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cwl.html>).

use super::service::settings::{image, image_configuration};
use super::service::{Operation, OperationKind, Service};
use super::shared::Shared;
use crate::diagnose::transcript::{Deployment, Trigger};
use crate::holder::protocol::Sent;
use crate::model::CaseResult;
use crate::model::outcome::FailureClass;
use crate::model::service::{HealthCheck, Protocol};

/// The stream of a service's status.
const EVENTS: &str = "events";
/// The stream of what a service sends to others.
pub(crate) const OUTBOX: &str = "exitone/outbox";
/// Lines of a deployment before instances are provisioned, and before its health check is decided.
const PULLED: usize = 4;
const CHECKING: usize = 6;

/// The log group of what App Runner does.
#[must_use]
pub(crate) fn platform(service: &Service) -> String {
    format!("/aws/apprunner/{}/{}/service", service.name, service.id)
}

/// The log group of what the application writes.
#[must_use]
pub(crate) fn application(service: &Service) -> String {
    format!("/aws/apprunner/{}/{}/application", service.name, service.id)
}

fn is_deployment(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::CreateService | OperationKind::UpdateService | OperationKind::StartDeployment)
}

/// All lines of a deployment that ends so.
fn lines(service: &Service, operation: &Operation, class: Option<FailureClass>, exit_code: Option<i64>) -> Vec<String> {
    let health = service.settings.health_check_configuration.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
    let check = HealthCheck {
        protocol: if health.protocol.as_deref() == Some("HTTP") { Protocol::Http } else { Protocol::Tcp },
        path: health.path.unwrap_or_default(),
        interval: number(health.interval),
        timeout: number(health.timeout),
        healthy_threshold: number(health.healthy_threshold),
        unhealthy_threshold: number(health.unhealthy_threshold),
    };
    let port = image_configuration(&service.settings).and_then(|image| image.port.as_ref()?.parse().ok());
    let deployment = Deployment {
        id: &operation.id,
        image: image(&service.settings).unwrap_or_default(),
        check: &check,
        port: port.unwrap_or_default(),
        class,
        exit_code,
        trigger: match operation.kind {
            OperationKind::CreateService => Trigger::Create,
            OperationKind::UpdateService => Trigger::Update,
            _ => Trigger::Deploy,
        },
    };
    deployment.lines()
}

fn write(shared: &Shared, service: &Service, operation: &Operation, lines: impl IntoIterator<Item = String>) {
    if is_deployment(operation.kind) {
        shared.log(&platform(service), &format!("deployment/{}", operation.id), lines);
    }
}

/// The service has another status.
pub(crate) fn status(shared: &Shared, service: &Service) {
    let line = format!("[AppRunner] Service status is set to {}.", service.status.name());
    shared.log(&platform(service), EVENTS, [line]);
}

/// An operation begins.
pub(crate) fn begins(shared: &Shared, service: &Service, operation: &Operation) {
    status(shared, service);
    write(shared, service, operation, lines(service, operation, None, None).into_iter().take(PULLED));
}

/// Instances are provisioned.
pub(crate) fn provisions(shared: &Shared, service: &Service, operation: &Operation) {
    let all = lines(service, operation, None, None);
    write(shared, service, operation, all.into_iter().take(CHECKING).skip(PULLED));
}

/// The new version serves.
pub(crate) fn succeeds(shared: &Shared, service: &Service, operation: &Operation) {
    write(shared, service, operation, lines(service, operation, None, None).into_iter().skip(CHECKING));
}

/// It failed. Without a class something but the image did: only the last line is true then.
pub(crate) fn fails(
    shared: &Shared,
    service: &Service,
    operation: &Operation,
    class: Option<FailureClass>,
    exit_code: Option<i64>,
) {
    let written = if class == Some(FailureClass::A) { PULLED } else { CHECKING };
    let all = lines(service, operation, class.or(Some(FailureClass::A)), exit_code);
    let skipped = if class.is_some() { written } else { all.len() - 1 };
    write(shared, service, operation, all.into_iter().skip(skipped));
}

/// Writes what exitone knows, in a stream of its own.
pub(crate) fn explains(shared: &Shared, service: &Service, operation: Option<&Operation>, lines: &[String]) {
    let stream =
        operation.map_or_else(|| "exitone/restart".to_owned(), |operation| format!("exitone/{}", operation.id));
    shared.log(&platform(service), &stream, lines.iter().cloned());
}

/// Writes a request of the service to a host of the simulated internet.
pub(crate) fn sent(shared: &Shared, service: &Service, request: &Sent) {
    if let Ok(line) = serde_json::to_string(request) {
        shared.log(&platform(service), OUTBOX, [line]);
    }
}

/// Why an instance did not serve: its causes and their fixes.
#[must_use]
pub(crate) fn diagnosis(result: &CaseResult) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in &result.causes {
        lines.push(format!("cause: {} [{}]", cause.text, cause.id));
        lines.push(format!("fix: {}", cause.fix));
    }
    let findings = result.findings.iter().filter(|_| result.causes.is_empty());
    lines.extend(findings.map(|finding| format!("found: {}", finding.cause.text)));
    lines.extend(result.skipped.iter().cloned());
    lines.extend(result.notes.iter().map(|note| format!("note: {note}")));
    lines
}
