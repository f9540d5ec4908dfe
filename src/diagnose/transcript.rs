//! The service log as App Runner would write it, line by line (from field logs; apprunner facts, section 4).

use crate::model::outcome::{FailureClass, OperationStatus, ServiceStatus};
use crate::model::service::{HealthCheck, Protocol};

/// What started a deployment; the log has its own words for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    /// The service is being created.
    Create,
    /// Its configuration changes.
    Update,
    /// The same configuration is deployed again.
    Deploy,
}

/// The input of a transcript.
pub(crate) struct Deployment<'a> {
    /// 32 hexadecimal digits.
    pub(crate) id: &'a str,
    /// The image's name.
    pub(crate) image: &'a str,
    /// The health check.
    pub(crate) check: &'a HealthCheck,
    /// The port.
    pub(crate) port: u16,
    /// How it failed; `None` if it succeeded.
    pub(crate) class: Option<FailureClass>,
    /// The exit code, for class B.
    pub(crate) exit_code: Option<i64>,
    /// What started it.
    pub(crate) trigger: Trigger,
}

impl Deployment<'_> {
    /// The lines of the service log.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        let (repository, tag) = match self.image.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (self.image, "latest"),
        };
        let event = match self.trigger {
            Trigger::Create => "SERVICE_CREATE",
            Trigger::Update => "SERVICE_UPDATE",
            Trigger::Deploy => "SERVICE_DEPLOY",
        };
        let mut lines = vec![
            format!("Deployment with ID : {} started. Triggering event : {event}", self.id),
            format!("Deployment Artifact: [Repo Type: ECR], [Image URL: {repository}], [Image Tag: {tag}]"),
            format!("Pulling image {} from ECR repository.", self.image),
            "Successfully pulled your application image from ECR.".to_owned(),
        ];
        if self.class != Some(FailureClass::A) {
            lines.push("Provisioning instances and deploying image for publicly accessible service.".to_owned());
            lines.push(format!("Performing health check on protocol {}.", self.check_text(" ")));
        }
        match self.class {
            None => lines.extend(
                [
                    "Health check is successful. Routing traffic to application.",
                    "Successfully routed incoming traffic to application.",
                    "Service update completed successfully. New configuration is deployed.",
                    "Service status is set to RUNNING.",
                ]
                .map(ToOwned::to_owned),
            ),
            Some(FailureClass::A) => lines.push("Failed to deploy your application image.".to_owned()),
            // Two spaces before "Container", as in the original.
            Some(FailureClass::B) => lines.push(format!(
                "Your application stopped or failed to start. See logs for more information.  Container exit code: {}",
                self.exit_code.unwrap_or(1)
            )),
            Some(FailureClass::C) => lines.push(format!(
                "Health check failed on protocol {}. Check your configured port number. For more information, see the \
                 application logs.",
                self.check_text("")
            )),
        }
        if self.class.is_some() {
            lines.push(format!("Deployment with ID : {} failed.", self.id));
        }
        lines.into_iter().map(|line| format!("[AppRunner] {line}")).collect()
    }

    /// The failure's line has no space before the bracket; the other one does.
    fn check_text(&self, space: &str) -> String {
        match self.check.protocol {
            Protocol::Http => format!("`HTTP`{space}[Path: '{}'], [Port: '{}']", self.check.path, self.port),
            Protocol::Tcp => format!("`TCP`{space}[Port: '{}']", self.port),
        }
    }

    /// What `list-operations` would report.
    #[must_use]
    pub(crate) fn operation_status(&self) -> OperationStatus {
        match (self.class, self.trigger) {
            (None, _) => OperationStatus::Succeeded,
            (Some(_), Trigger::Create) => OperationStatus::Failed,
            (Some(_), Trigger::Update | Trigger::Deploy) => OperationStatus::RollbackSucceeded,
        }
    }

    /// What `describe-service` would report afterwards: after a rollback it is RUNNING, with the old image.
    #[must_use]
    pub(crate) fn service_status(&self) -> ServiceStatus {
        if self.class.is_some() && self.trigger == Trigger::Create {
            ServiceStatus::CreateFailed
        } else {
            ServiceStatus::Running
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(class: Option<FailureClass>, protocol: Protocol) -> String {
        lines_of(class, protocol, false)
    }

    fn lines_of(class: Option<FailureClass>, protocol: Protocol, first: bool) -> String {
        let check = HealthCheck {
            protocol,
            path: "/healthz".to_owned(),
            interval: 5,
            timeout: 2,
            healthy_threshold: 1,
            unhealthy_threshold: 5,
        };
        let deployment = Deployment {
            id: "0123456789abcdef0123456789abcdef",
            image: "registry:5000/nerava-backend:v20-otp-fix",
            check: &check,
            port: 8000,
            class,
            exit_code: Some(1),
            trigger: if first { Trigger::Create } else { Trigger::Update },
        };
        deployment.lines().join("\n")
    }

    #[test]
    fn log_of_a_success() {
        insta::assert_snapshot!(lines(None, Protocol::Http), @"
        [AppRunner] Deployment with ID : 0123456789abcdef0123456789abcdef started. Triggering event : SERVICE_UPDATE
        [AppRunner] Deployment Artifact: [Repo Type: ECR], [Image URL: registry:5000/nerava-backend], [Image Tag: v20-otp-fix]
        [AppRunner] Pulling image registry:5000/nerava-backend:v20-otp-fix from ECR repository.
        [AppRunner] Successfully pulled your application image from ECR.
        [AppRunner] Provisioning instances and deploying image for publicly accessible service.
        [AppRunner] Performing health check on protocol `HTTP` [Path: '/healthz'], [Port: '8000'].
        [AppRunner] Health check is successful. Routing traffic to application.
        [AppRunner] Successfully routed incoming traffic to application.
        [AppRunner] Service update completed successfully. New configuration is deployed.
        [AppRunner] Service status is set to RUNNING.
        ");
    }

    /// The log uses other words than an operation's type, which is `CREATE_SERVICE`.
    #[test]
    fn first_deployment_is_triggered_by_service_create() {
        let text = lines_of(None, Protocol::Http, true);
        assert!(text.lines().next().is_some_and(|line| line.ends_with("Triggering event : SERVICE_CREATE")), "{text}");
    }

    #[test]
    fn line_of_each_failure() {
        let last_two = |class, protocol| {
            let text = lines(Some(class), protocol);
            let all: Vec<&str> = text.lines().collect();
            (all.len(), all[all.len() - 2].to_owned())
        };
        assert_eq!(
            last_two(FailureClass::B, Protocol::Http),
            (
                8,
                "[AppRunner] Your application stopped or failed to start. See logs for more information.  Container \
                 exit code: 1"
                    .to_owned()
            )
        );
        assert_eq!(
            last_two(FailureClass::C, Protocol::Http),
            (
                8,
                "[AppRunner] Health check failed on protocol `HTTP`[Path: '/healthz'], [Port: '8000']. Check your \
                 configured port number. For more information, see the application logs."
                    .to_owned()
            )
        );
        let never = last_two(FailureClass::A, Protocol::Tcp);
        assert_eq!(never, (6, "[AppRunner] Failed to deploy your application image.".to_owned()));
    }
}
