//! What the platform adds to what the instances of a deployment do: its own times, and what may go wrong with it.

use std::time::Duration;

use super::service::{Operation, OperationKind, OperationStatus};
use crate::model::outcome::FailureClass;

/// How the platform behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Platform {
    /// The times of a deployment.
    pub(crate) pace: Pace,
    /// Whether the first deletion of each service fails.
    pub(crate) fails_deletions: bool,
    /// How long maintenance takes with which the server begins.
    pub(crate) maintenance: Option<Duration>,
}

impl Platform {
    /// Whether a deletion fails. "Retry the service deletion call"
    /// (<https://docs.aws.amazon.com/apprunner/latest/api/API_Service.html>): the next one succeeds.
    #[must_use]
    pub(crate) fn fails(&self, operation: &Operation, before: &[Operation]) -> bool {
        let failed = |known: &Operation| known.kind == operation.kind && known.status == OperationStatus::Failed;
        self.fails_deletions && operation.kind == OperationKind::DeleteService && !before.iter().any(failed)
    }
}

/// When the steps of a deployment come, counted from its start, if they do not come later by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Instances are provisioned.
    pub(crate) provisioned: Duration,
    /// An image that cannot be started has failed.
    refused: Duration,
    /// An instance that exited has failed.
    exited: Duration,
    /// An instance that is not healthy has failed.
    unhealthy: Duration,
    /// The new version serves.
    pub(crate) serves: Duration,
    /// From a failure until the version before is restored.
    pub(crate) restored: Duration,
}

impl Pace {
    /// App Runner's own, as service logs and `list-operations` of users have them. A health check is given up after 1, 6 or
    /// 19 minutes there: this is the middle.
    pub(crate) const REAL: Self = Self {
        provisioned: Duration::from_secs(21),
        refused: Duration::from_secs(28),
        exited: Duration::from_secs(85),
        unhealthy: Duration::from_secs(391),
        serves: Duration::from_secs(261),
        restored: Duration::from_secs(373),
    };

    /// When a failure is noticed; without a class something but the image failed.
    #[must_use]
    pub(crate) fn failed(&self, class: Option<FailureClass>) -> Duration {
        match class {
            Some(FailureClass::A) => self.refused,
            Some(FailureClass::B) => self.exited,
            Some(FailureClass::C) => self.unhealthy,
            None => Duration::ZERO,
        }
    }
}
