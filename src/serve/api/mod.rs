//! The AWS APIs: App Runner, and of CloudWatch Logs, ECR and STS what goes with it. Their JSON protocol is one route: the
//! operation stands in a header (<https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>).

pub(crate) mod apprunner;
pub(crate) mod ecr;
pub(crate) mod error;
pub(crate) mod logs;
mod paging;
mod resources;
pub(crate) mod shapes;
mod shown;
pub(crate) mod sts;
mod validate;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::shared::{Place, Shared};
use super::store::journal::StoreError;
use crate::engine::{Engine, EngineError};
use error::{ApiError, ApiResult};

/// The prefix of each API's targets.
const APP_RUNNER: &str = "AppRunner.";
const LOGS: &str = "Logs_20140328.";
const ECR: &str = "AmazonEC2ContainerRegistry_V20150921.";

/// Carries out one call.
///
/// # Errors
/// As the service model of the API has them.
pub(crate) async fn call(shared: &Shared, engine: &dyn Engine, target: &str, body: &[u8]) -> ApiResult<Json> {
    if let Some(operation) = target.strip_prefix(APP_RUNNER) {
        return apprunner::call(shared, operation, body);
    }
    if let Some(operation) = target.strip_prefix(LOGS) {
        return logs::call(shared, operation, body);
    }
    if let Some(operation) = target.strip_prefix(ECR) {
        return ecr::call(shared, engine, operation, body).await;
    }
    Err(ApiError::unknown(target))
}

/// The content type of an API's answers.
#[must_use]
pub(crate) fn content_type(target: &str) -> &'static str {
    if target.starts_with(APP_RUNNER) { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" }
}

/// Reads the input of an operation.
///
/// # Errors
/// When it is not JSON, or a member has another type.
fn input<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    // A list would be read as the members in order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::serialization("invalid type: a list, expected an object"));
    }
    serde_json::from_slice(body).map_err(|e| ApiError::serialization(e.to_string()))
}

/// A change that cannot be written down, a log that cannot be read.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

/// The engine failed.
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::internal(error.to_string())
    }
}

/// Milliseconds as the seconds that the APIs write.
fn seconds(millis: i64) -> Json {
    json!(millis as f64 / 1000.0)
}

/// An ARN of this place.
fn arn(place: &Place, service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{}:{}:{resource}", place.region, place.account)
}
