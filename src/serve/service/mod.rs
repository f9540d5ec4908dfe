//! Services and their operations: what the API may do in which state, and what comes of it. Pure: the time and new ids are
//! given.

pub(crate) mod settings;
mod transitions;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::api::error::{ApiError, ApiResult};
use super::api::shapes::Settings;

pub(crate) use transitions::{
    Ended, Identity, Interrupted, Stamp, create, delete, deploy, end, interrupted, maintained, maintenance, pause,
    resume, rolling_back, serving, update,
};

/// The status of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    /// Its first deployment failed.
    CreateFailed,
    /// It serves.
    Running,
    /// It is deleted; it can still be described.
    Deleted,
    /// Deleting it failed.
    DeleteFailed,
    /// It is paused.
    Paused,
    /// An operation is under way.
    OperationInProgress,
}

impl Status {
    /// Its name in the API and in the log.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateFailed => "CREATE_FAILED",
            Self::Running => "RUNNING",
            Self::Deleted => "DELETED",
            Self::DeleteFailed => "DELETE_FAILED",
            Self::Paused => "PAUSED",
            Self::OperationInProgress => "OPERATION_IN_PROGRESS",
        }
    }
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum OperationKind {
    /// Deploys the same configuration again.
    StartDeployment,
    /// Deploys for the first time.
    CreateService,
    /// Stops the instances.
    PauseService,
    /// Starts them again.
    ResumeService,
    /// Deletes the service.
    DeleteService,
    /// Deploys another configuration.
    UpdateService,
}

/// How far an operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum OperationStatus {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// It failed, and there was nothing to go back to.
    Failed,
    /// It succeeded.
    Succeeded,
    /// It failed; the version before is being restored.
    RollbackInProgress,
    /// The version before could not be restored.
    RollbackFailed,
    /// The version before serves.
    RollbackSucceeded,
}

impl OperationStatus {
    /// Whether it is over.
    #[must_use]
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress | Self::RollbackInProgress)
    }
}

/// An operation. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// What it does.
    pub(crate) kind: OperationKind,
    /// How far it is.
    pub(crate) status: OperationStatus,
    /// When it started.
    pub(crate) started_ms: i64,
    /// When it changed last.
    pub(crate) updated_ms: i64,
    /// When it ended.
    pub(crate) ended_ms: Option<i64>,
}

impl Operation {
    fn begin(kind: OperationKind, id: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            status: OperationStatus::InProgress,
            started_ms: now_ms,
            updated_ms: now_ms,
            ended_ms: None,
        }
    }

    fn with(&self, status: OperationStatus, now_ms: i64) -> Self {
        Self { status, updated_ms: now_ms, ended_ms: status.is_over().then_some(now_ms), ..self.clone() }
    }
}

/// A service. Times are milliseconds since 1970.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Its ARN.
    pub(crate) arn: String,
    /// Its name.
    pub(crate) name: String,
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// Its public address, without a scheme.
    pub(crate) url: String,
    /// Its status.
    pub(crate) status: Status,
    /// When it was created.
    pub(crate) created_ms: i64,
    /// When its configuration changed last.
    pub(crate) updated_ms: i64,
    /// When it was deleted.
    pub(crate) deleted_ms: Option<i64>,
    /// Its configuration, complete; during an update the new one.
    pub(crate) settings: Settings,
    /// The configuration that serves, if another is being deployed.
    pub(crate) before: Option<Settings>,
    /// How its source is encrypted, as it was sent.
    pub(crate) encryption: Option<Json>,
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A VPC connector. Nothing leads anywhere: it only says that egress goes through a VPC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Connector {
    /// Its ARN.
    pub(crate) arn: String,
    /// Its name.
    pub(crate) name: String,
    /// The revision of its name.
    pub(crate) revision: u32,
    /// Its subnets.
    pub(crate) subnets: Vec<String>,
    /// Its security groups.
    pub(crate) security_groups: Vec<String>,
    /// When it was created.
    pub(crate) created_ms: i64,
    /// When it was deleted.
    pub(crate) deleted_ms: Option<i64>,
}

/// A change: one line of the journal. Each replaces what has the same ARN or id.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A service is as this says.
    Service(Box<Service>),
    /// An operation of a service is as this says.
    Operation {
        /// The service.
        arn: String,
        /// The operation.
        operation: Operation,
    },
    /// A connector is as this says.
    Connector(Connector),
    /// An ECR repository exists; its images are the engine's.
    Repository {
        /// Its name.
        name: String,
        /// When it was created.
        created_ms: i64,
    },
}

/// Everything there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    /// By ARN, deleted ones among them.
    pub(crate) services: BTreeMap<String, Service>,
    /// Of each service, the oldest first.
    pub(crate) operations: BTreeMap<String, Vec<Operation>>,
    /// By ARN.
    pub(crate) connectors: BTreeMap<String, Connector>,
    /// Names of ECR repositories, and when each was created.
    pub(crate) repositories: BTreeMap<String, i64>,
}

impl State {
    /// Applies a change.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Service(service) => drop(self.services.insert(service.arn.clone(), *service)),
            Change::Operation { arn, operation } => {
                let all = self.operations.entry(arn).or_default();
                match all.iter_mut().rfind(|known| known.id == operation.id) {
                    Some(known) => *known = operation,
                    None => all.push(operation),
                }
            }
            Change::Connector(connector) => drop(self.connectors.insert(connector.arn.clone(), connector)),
            Change::Repository { name, created_ms } => drop(self.repositories.insert(name, created_ms)),
        }
    }

    /// The changes that make this state from nothing.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        let services = self.services.values().map(|service| Change::Service(Box::new(service.clone())));
        let operations = self.operations.iter().flat_map(|(arn, all)| {
            all.iter().map(|operation| Change::Operation { arn: arn.clone(), operation: operation.clone() })
        });
        let connectors = self.connectors.values().cloned().map(Change::Connector);
        let repositories = self
            .repositories
            .iter()
            .map(|(name, created_ms)| Change::Repository { name: name.clone(), created_ms: *created_ms });
        services.chain(operations).chain(connectors).chain(repositories)
    }

    /// The service with an ARN.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn find(&self, arn: &str) -> ApiResult<&Service> {
        let known = self.services.get(arn);
        known.ok_or_else(|| ApiError::not_found(format!("Service cannot be found with the provided ARN: {arn}")))
    }

    /// The operation of a service that is under way.
    #[must_use]
    pub(crate) fn under_way(&self, arn: &str) -> Option<&Operation> {
        self.operations.get(arn)?.iter().rfind(|operation| !operation.status.is_over())
    }
}

/// What must be done after a call.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Work {
    /// Start instances of the service's configuration; the old ones serve until they are healthy.
    Deploy,
    /// Stop the instances.
    Stop,
    /// The service is in that state already.
    Nothing,
}

/// The outcome of a call: what changed, the operation, and what must be done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Begun {
    /// What changed.
    pub(crate) changes: Vec<Change>,
    /// The service as the answer shows it.
    pub(crate) service: Service,
    /// The operation; `None` if there is nothing to do.
    pub(crate) operation: Option<Operation>,
    /// What must be done.
    pub(crate) work: Work,
}
