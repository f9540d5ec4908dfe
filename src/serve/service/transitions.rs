//! The life cycle of a service as a table of calls and their outcomes.

use super::settings::{is_image, merged, with_defaults};
use super::{Begun, Change, Operation, OperationKind, OperationStatus, Service, State, Status, Work};
use crate::serve::api::error::{ApiError, ApiResult};
use crate::serve::api::shapes::{CreateServiceRequest, Settings, UpdateServiceRequest};

/// Who and when: what a new service or operation is made of.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// The time in milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// The id of a new operation: 32 hexadecimal digits.
    pub(crate) operation: String,
}

/// The identity of a new service.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its ARN.
    pub(crate) arn: String,
    /// Its id.
    pub(crate) id: String,
    /// Its public address.
    pub(crate) url: String,
}

fn begun(mut service: Service, kind: OperationKind, stamp: &Stamp, work: Work) -> Begun {
    service.status = Status::OperationInProgress;
    service.updated_ms = stamp.now_ms;
    let operation = Operation::begin(kind, &stamp.operation, stamp.now_ms);
    let changes = vec![
        Change::Service(Box::new(service.clone())),
        Change::Operation { arn: service.arn.clone(), operation: operation.clone() },
    ];
    Begun { changes, service, operation: Some(operation), work }
}

/// A service that is in a state already, or is on the way to it.
fn nothing(service: &Service) -> Begun {
    Begun { changes: Vec::new(), service: service.clone(), operation: None, work: Work::Nothing }
}

/// Creates a service. A name is free again when its service is deleted.
///
/// # Errors
/// When the name is taken, with App Runner's words.
pub(crate) fn create(
    state: &State,
    request: CreateServiceRequest,
    identity: Identity,
    stamp: &Stamp,
) -> ApiResult<Begun> {
    let name = request.service_name;
    let is_taken = |known: &Service| known.name == name && known.status != Status::Deleted;
    if state.services.values().any(is_taken) {
        return Err(ApiError::invalid(format!("Service with the provided name already exists: {name}.")));
    }
    let tags = request.tags.into_iter().flatten().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())));
    let service = Service {
        arn: identity.arn,
        name,
        id: identity.id,
        url: identity.url,
        status: Status::OperationInProgress,
        created_ms: stamp.now_ms,
        updated_ms: stamp.now_ms,
        deleted_ms: None,
        settings: with_defaults(request.settings),
        before: None,
        encryption: request.encryption_configuration,
        tags: tags.collect(),
    };
    Ok(begun(service, OperationKind::CreateService, stamp, Work::Deploy))
}

/// Deploys another configuration. What is left out stays as it is; a service whose creation failed is built again
/// (<https://aws.amazon.com/about-aws/whats-new/2023/06/aws-app-runner-update-rebuild-failed-service/>).
///
/// # Errors
/// When the service is neither RUNNING nor CREATE_FAILED, or its kind of source would change.
pub(crate) fn update(service: &Service, request: UpdateServiceRequest, stamp: &Stamp) -> ApiResult<Begun> {
    // PAUSED: https://docs.aws.amazon.com/apprunner/latest/dg/manage-pause.html
    if !matches!(service.status, Status::Running | Status::CreateFailed) {
        return Err(not_in("updated", service.status));
    }
    let settings = merged(&service.settings, request.settings);
    if is_image(&service.settings) != is_image(&settings) {
        let from_to = if is_image(&settings) { "REPOSITORY to API" } else { "API to REPOSITORY" };
        return Err(ApiError::invalid(format!("ConfigurationSource cannot be changed from {from_to}.")));
    }
    let before = (service.status == Status::Running).then(|| service.settings.clone());
    let next = Service { settings, before, ..service.clone() };
    Ok(begun(next, OperationKind::UpdateService, stamp, Work::Deploy))
}

/// Deploys the same configuration again.
///
/// # Errors
/// When the service is not RUNNING.
pub(crate) fn deploy(service: &Service, stamp: &Stamp) -> ApiResult<Begun> {
    if service.status != Status::Running {
        let message = "Can't start a deployment on the specified service, because it isn't in RUNNING state.";
        return Err(ApiError::invalid(message));
    }
    let next = Service { before: Some(service.settings.clone()), ..service.clone() };
    Ok(begun(next, OperationKind::StartDeployment, stamp, Work::Deploy))
}

/// Stops the instances.
///
/// # Errors
/// When the service is neither RUNNING nor PAUSED.
pub(crate) fn pause(service: &Service, stamp: &Stamp) -> ApiResult<Begun> {
    match service.status {
        Status::Running => Ok(begun(service.clone(), OperationKind::PauseService, stamp, Work::Stop)),
        Status::Paused => Ok(nothing(service)),
        _ => Err(not_in("paused", service.status)),
    }
}

/// Starts the instances of a paused service.
///
/// # Errors
/// When the service is neither PAUSED nor RUNNING.
pub(crate) fn resume(service: &Service, stamp: &Stamp) -> ApiResult<Begun> {
    match service.status {
        Status::Paused => Ok(begun(service.clone(), OperationKind::ResumeService, stamp, Work::Deploy)),
        Status::Running => Ok(nothing(service)),
        _ => Err(not_in("resumed", service.status)),
    }
}

/// Deletes a service in any state but in an operation.
///
/// # Errors
/// When an operation is under way.
pub(crate) fn delete(service: &Service, stamp: &Stamp) -> ApiResult<Begun> {
    match service.status {
        Status::OperationInProgress => Err(not_in("deleted", service.status)),
        Status::Deleted => Ok(nothing(service)),
        _ => Ok(begun(service.clone(), OperationKind::DeleteService, stamp, Work::Stop)),
    }
}

/// The refusal of an update in App Runner's words; those of the other operations were not found, and are taken to be alike.
fn not_in(done: &str, status: Status) -> ApiError {
    ApiError::state(format!("Service cannot be {done} in the current state: {}.", status.name()))
}

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// As it should.
    Well,
    /// It failed.
    Badly,
}

/// What comes of the end of the operation under way: the service is restored after a failed update.
#[must_use]
pub(crate) fn end(service: &Service, operation: &Operation, ended: Ended, now_ms: i64) -> Vec<Change> {
    let restored = |status| Service {
        settings: service.before.clone().unwrap_or_else(|| service.settings.clone()),
        before: None,
        status,
        updated_ms: now_ms,
        ..service.clone()
    };
    let kept = |status| Service { before: None, status, updated_ms: now_ms, ..service.clone() };
    let (next, progress) = match (operation.kind, ended) {
        (OperationKind::DeleteService, Ended::Well) => {
            (Service { deleted_ms: Some(now_ms), ..kept(Status::Deleted) }, OperationStatus::Succeeded)
        }
        (OperationKind::DeleteService, Ended::Badly) => (kept(Status::DeleteFailed), OperationStatus::Failed),
        (OperationKind::PauseService, Ended::Well) => (kept(Status::Paused), OperationStatus::Succeeded),
        (OperationKind::PauseService, Ended::Badly) => (kept(Status::Running), OperationStatus::Failed),
        (OperationKind::ResumeService, Ended::Badly) => (kept(Status::Paused), OperationStatus::Failed),
        (_, Ended::Well) => (kept(Status::Running), OperationStatus::Succeeded),
        (_, Ended::Badly) if service.before.is_some() => {
            (restored(Status::Running), OperationStatus::RollbackSucceeded)
        }
        (_, Ended::Badly) => (kept(Status::CreateFailed), OperationStatus::Failed),
    };
    vec![
        Change::Service(Box::new(next)),
        Change::Operation { arn: service.arn.clone(), operation: operation.with(progress, now_ms) },
    ]
}

/// An operation that goes back to the version before.
#[must_use]
pub(crate) fn rolling_back(service: &Service, operation: &Operation, now_ms: i64) -> Change {
    Change::Operation {
        arn: service.arn.clone(),
        operation: operation.with(OperationStatus::RollbackInProgress, now_ms),
    }
}

/// The service during maintenance, for one that runs: as if an operation were under way, though there is none.
#[must_use]
pub(crate) fn maintenance(_: &State, service: &Service) -> Option<Service> {
    let runs = service.status == Status::Running;
    runs.then(|| Service { status: Status::OperationInProgress, ..service.clone() })
}

/// The service after maintenance, for one that was in it.
#[must_use]
pub(crate) fn maintained(state: &State, service: &Service) -> Option<Service> {
    let was_in_it = service.status == Status::OperationInProgress && state.under_way(&service.arn).is_none();
    was_in_it.then(|| Service { status: Status::Running, ..service.clone() })
}

/// The configuration that serves: during an update the one before it.
#[must_use]
pub(crate) fn serving(service: &Service) -> &Settings {
    service.before.as_ref().unwrap_or(&service.settings)
}

/// An operation that ended with the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interrupted {
    /// The service as it was.
    pub(crate) service: Service,
    /// The operation as it was.
    pub(crate) operation: Operation,
    /// What comes of its end.
    pub(crate) changes: Vec<Change>,
}

/// What a restart finds under way: an update goes back, a creation has failed, a pause or a deletion is done when nothing
/// runs.
#[must_use]
pub(crate) fn interrupted(state: &State, now_ms: i64) -> Vec<Interrupted> {
    let of_service = |service: &Service| {
        let operation = state.under_way(&service.arn)?.clone();
        let ended = match operation.kind {
            OperationKind::PauseService | OperationKind::DeleteService => Ended::Well,
            _ => Ended::Badly,
        };
        let changes = end(service, &operation, ended, now_ms);
        Some(Interrupted { service: service.clone(), operation, changes })
    };
    state.services.values().filter_map(of_service).collect()
}
