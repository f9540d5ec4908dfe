//! Services and operations as App Runner's answers show them.

use serde_json::{Map, Value as Json, json};

use super::{arn, seconds};
use crate::serve::service::settings::is_public;
use crate::serve::service::{Operation, Service};
use crate::serve::shared::Place;

/// The scaling that every account has: 100 requests at a time, 1 to 25 instances.
pub(super) const DEFAULT_SCALING: &str =
    "autoscalingconfiguration/DefaultConfiguration/1/00000000000000000000000000000001";
/// When it was created: with the account.
const SCALING_CREATED_MS: i64 = 1_577_836_800_000;

/// The address of a service, without a scheme.
#[must_use]
pub(super) fn address(place: &Place, service: &Service) -> String {
    if !is_public(&service.settings) {
        return String::new();
    }
    format!("{}.awsapprunner.localhost:{}", service.url, place.port)
}

/// A service as DescribeService shows it.
#[must_use]
pub(super) fn shown(place: &Place, service: &Service) -> Json {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Json| drop(shown.insert(name.to_owned(), value));
    put("ServiceName", json!(service.name));
    put("ServiceId", json!(service.id));
    put("ServiceArn", json!(service.arn));
    put("ServiceUrl", json!(address(place, service)));
    put("CreatedAt", seconds(service.created_ms));
    put("UpdatedAt", seconds(service.updated_ms));
    if let Some(at) = service.deleted_ms {
        put("DeletedAt", seconds(at));
    }
    put("Status", json!(service.status));
    if let Ok(Json::Object(settings)) = serde_json::to_value(&service.settings) {
        for (name, value) in settings {
            if name != "AutoScalingConfigurationArn" {
                put(&name, value);
            }
        }
    }
    if let Some(encryption) = &service.encryption {
        put("EncryptionConfiguration", encryption.clone());
    }
    let scaling = service.settings.auto_scaling_configuration_arn.as_deref();
    put("AutoScalingConfigurationSummary", scaling_summary(place, scaling));
    Json::Object(shown)
}

/// A service as ListServices shows it.
#[must_use]
pub(super) fn summary(place: &Place, service: &Service) -> Json {
    json!({
        "ServiceName": service.name,
        "ServiceId": service.id,
        "ServiceArn": service.arn,
        "ServiceUrl": address(place, service),
        "CreatedAt": seconds(service.created_ms),
        "UpdatedAt": seconds(service.updated_ms),
        "Status": service.status,
    })
}

/// An operation as ListOperations shows it.
#[must_use]
pub(super) fn shown_operation(arn: &str, operation: &Operation) -> Json {
    let mut shown = json!({
        "Id": operation.id,
        "Type": operation.kind,
        "Status": operation.status,
        "TargetArn": arn,
        "StartedAt": seconds(operation.started_ms),
        "UpdatedAt": seconds(operation.updated_ms),
    });
    if let Some(at) = operation.ended_ms {
        shown["EndedAt"] = seconds(at);
    }
    shown
}

/// The scaling of a service, or the one that every account has. Its status has small letters there, whatever the service
/// model says.
#[must_use]
pub(super) fn scaling_summary(place: &Place, named: Option<&str>) -> Json {
    let default = arn(place, "apprunner", DEFAULT_SCALING);
    let arn = named.unwrap_or(&default);
    let mut parts = arn.rsplit('/').skip(1);
    let revision = parts.next().and_then(|revision| revision.parse::<u32>().ok()).unwrap_or(1);
    let name = parts.next().unwrap_or("DefaultConfiguration");
    json!({
        "AutoScalingConfigurationArn": arn,
        "AutoScalingConfigurationName": name,
        "AutoScalingConfigurationRevision": revision,
        "Status": "active",
        "CreatedAt": seconds(SCALING_CREATED_MS),
        "HasAssociatedService": true,
        "IsDefault": arn == default,
    })
}
