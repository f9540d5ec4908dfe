//! A service as `describe-service` printed it, under its own ARN, so that commands that name it run as they are.

use serde::Deserialize;
use serde_json::Value as Json;

use super::api::shapes::Settings;
use super::service::settings::with_defaults;
use super::service::{Change, Operation, OperationKind, OperationStatus, Service, Status};
use super::shared::new_id;
use crate::scenario::import::operations::millis;

/// What is read of a description.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    service_name: String,
    service_id: Option<String>,
    service_arn: String,
    service_url: Option<String>,
    created_at: Option<Json>,
    #[serde(flatten)]
    settings: Settings,
}

/// A service to begin with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seed {
    /// The service, and the operation that is taken to have created it.
    pub(crate) changes: Vec<Change>,
    /// Its account.
    pub(crate) account: String,
    /// Its region.
    pub(crate) region: String,
    /// Its ARN.
    pub(crate) arn: String,
}

/// Reads a description.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(text: &str, now_ms: i64) -> Result<Seed, String> {
    let document: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let described = document.get("Service").unwrap_or(&document).clone();
    let described: Described = serde_json::from_value(described).map_err(|e| e.to_string())?;
    let arn = described.service_arn;
    let parts: Vec<&str> = arn.split(':').collect();
    let (region, account, resource) = match parts.as_slice() {
        ["arn", _, "apprunner", region, account, resource] => (*region, *account, *resource),
        _ => return Err(format!("`{arn}` is not the ARN of a service")),
    };
    let id = described.service_id.or_else(|| resource.rsplit('/').next().map(str::to_owned)).unwrap_or_else(new_id);
    let name = described.service_url.as_deref().and_then(|url| url.split('.').next()).unwrap_or_default();
    let name = if name.is_empty() { new_id()[..10].to_owned() } else { name.to_owned() };
    let created_ms = described.created_at.as_ref().and_then(time).unwrap_or(now_ms);
    let service = Service {
        name: described.service_name,
        id,
        url: format!("{name}.{region}"),
        // It runs when the server has started it.
        status: Status::Running,
        created_ms,
        updated_ms: created_ms,
        deleted_ms: None,
        settings: with_defaults(described.settings),
        before: None,
        encryption: None,
        tags: Default::default(),
        arn: arn.clone(),
    };
    let operation = Operation {
        id: new_id(),
        kind: OperationKind::CreateService,
        status: OperationStatus::Succeeded,
        started_ms: created_ms,
        updated_ms: created_ms,
        ended_ms: Some(created_ms),
    };
    let changes = vec![Change::Service(Box::new(service)), Change::Operation { arn: arn.clone(), operation }];
    Ok(Seed { changes, account: account.to_owned(), region: region.to_owned(), arn })
}

/// Seconds since 1970 (version 1 of the CLI), or ISO 8601 (version 2).
fn time(written: &Json) -> Option<i64> {
    written.as_str().map_or_else(|| millis(&written.to_string()), millis)
}
