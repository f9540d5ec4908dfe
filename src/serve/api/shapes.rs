//! The structures of App Runner's API, named as in its service model:
//! <https://docs.aws.amazon.com/apprunner/latest/api/API_Types.html>. What is absent is not written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Where a service's code comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SourceConfiguration {
    /// A source repository. Kept as sent: nothing here builds from source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code_repository: Option<Json>,
    /// An image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_repository: Option<ImageRepository>,
    /// Whether a new image under the same name starts a deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auto_deployments_enabled: Option<bool>,
    /// How the source is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authentication_configuration: Option<Json>,
}

/// An image and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageRepository {
    /// Its name.
    pub(crate) image_identifier: String,
    /// How it is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_configuration: Option<ImageConfiguration>,
    /// `ECR` or `ECR_PUBLIC`.
    pub(crate) image_repository_type: String,
}

/// How an image is run.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ImageConfiguration {
    /// Variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_environment_variables: Option<BTreeMap<String, String>>,
    /// Variables whose values are stored elsewhere: the place of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_environment_secrets: Option<BTreeMap<String, String>>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_command: Option<String>,
    /// The port; 8080 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<String>,
}

/// Values of variables are not shown: they may be secrets.
impl std::fmt::Debug for ImageConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageConfiguration").field("port", &self.port).finish_non_exhaustive()
    }
}

/// The size and the role of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct InstanceConfiguration {
    /// `"1024"`: thousandths of a vCPU times 1.024. Also accepted: `1 vCPU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<String>,
    /// `"2048"`: MB. Also accepted: `2 GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<String>,
    /// The role of its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_role_arn: Option<String>,
}

/// The health check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HealthCheckConfiguration {
    /// `TCP` or `HTTP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<String>,
    /// The path of an HTTP check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Seconds between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<i64>,
    /// Time limit of a check in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<i64>,
    /// Successes in a row that make it healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthy_threshold: Option<i64>,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unhealthy_threshold: Option<i64>,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkConfiguration {
    /// Traffic of the service to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) egress_configuration: Option<EgressConfiguration>,
    /// Traffic to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ingress_configuration: Option<IngressConfiguration>,
    /// `IPV4` or `DUAL_STACK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip_address_type: Option<String>,
}

/// Traffic of the service to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EgressConfiguration {
    /// `DEFAULT` or `VPC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) egress_type: Option<String>,
    /// The way into the VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_connector_arn: Option<String>,
}

/// Traffic to the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct IngressConfiguration {
    /// Whether it has a public address.
    pub(crate) is_publicly_accessible: bool,
}

/// Tracing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ServiceObservabilityConfiguration {
    /// Whether traces are sent.
    pub(crate) observability_enabled: bool,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observability_configuration_arn: Option<String>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
}

/// What a service is made of: the input of CreateService and, without its name and tags, of UpdateService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Settings {
    /// Its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_configuration: Option<SourceConfiguration>,
    /// Its size and role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_configuration: Option<InstanceConfiguration>,
    /// Its health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) health_check_configuration: Option<HealthCheckConfiguration>,
    /// Its scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auto_scaling_configuration_arn: Option<String>,
    /// Its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_configuration: Option<NetworkConfiguration>,
    /// Its tracing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observability_configuration: Option<ServiceObservabilityConfiguration>,
}

/// The input of CreateService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CreateServiceRequest {
    /// Its name.
    pub(crate) service_name: String,
    /// What it is made of.
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// Its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<Tag>>,
    /// How its source is encrypted. Kept as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_configuration: Option<Json>,
}

/// The input of UpdateService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct UpdateServiceRequest {
    /// The service.
    pub(crate) service_arn: String,
    /// What changes.
    #[serde(flatten)]
    pub(crate) settings: Settings,
}

/// The input of every operation on one service that needs nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OfService {
    /// The service.
    pub(crate) service_arn: String,
    /// Most results of a list.
    pub(crate) max_results: Option<i64>,
    /// Where a list goes on.
    pub(crate) next_token: Option<String>,
}
