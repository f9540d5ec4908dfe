//! App Runner's operations on services.

use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};
use super::paging::page;
use super::resources;
use super::shapes::{CreateServiceRequest, OfService, UpdateServiceRequest};
use super::shown::{find, shown, shown_operation, summary, with_token};
use super::validate::{self, Mistakes};
use super::{arn, input};
use crate::serve::service::{self, Begun, Change, Identity, Service, Stamp, State, Status, Work};
use crate::serve::shared::{Order, Shared, new_id};

/// Operations that are not simulated.
const LEFT_OUT: [&str; 18] = [
    "AssociateCustomDomain",
    "CreateAutoScalingConfiguration",
    "CreateConnection",
    "CreateObservabilityConfiguration",
    "CreateVpcIngressConnection",
    "DeleteAutoScalingConfiguration",
    "DeleteConnection",
    "DeleteObservabilityConfiguration",
    "DeleteVpcIngressConnection",
    "DescribeObservabilityConfiguration",
    "DescribeVpcIngressConnection",
    "DisassociateCustomDomain",
    "ListConnections",
    "ListObservabilityConfigurations",
    "ListServicesForAutoScalingConfiguration",
    "ListVpcIngressConnections",
    "UpdateDefaultAutoScalingConfiguration",
    "UpdateVpcIngressConnection",
];

/// Carries out one operation.
///
/// # Errors
/// As the service model has them.
pub(crate) fn call(shared: &Shared, operation: &str, body: &[u8]) -> ApiResult<Json> {
    match operation {
        "CreateService" => create(shared, input(body)?),
        "DescribeService" => describe(shared, &input(body)?),
        "ListServices" => list(shared, &input(body)?),
        "UpdateService" => update(shared, input(body)?),
        "DeleteService" => on_service(shared, &input(body)?, service::delete),
        "PauseService" => on_service(shared, &input(body)?, service::pause),
        "ResumeService" => on_service(shared, &input(body)?, service::resume),
        "StartDeployment" => start(shared, &input(body)?),
        "ListOperations" => operations(shared, &input(body)?),
        _ if LEFT_OUT.contains(&operation) => Err(ApiError::not_implemented(&format!("AppRunner.{operation}"))),
        _ => resources::call(shared, operation, body),
    }
}

fn stamp(shared: &Shared) -> Stamp {
    Stamp { now_ms: shared.now_ms(), operation: new_id() }
}

/// Writes down what a call changes, orders its work, and returns what it answers.
fn carry_out(shared: &Shared, begin: impl FnOnce(&State) -> ApiResult<Begun>) -> ApiResult<Begun> {
    // Nothing comes between the check of the state and the change.
    let begun = {
        let mut books = shared.books();
        let begun = begin(&books.state)?;
        let written = books.change(begun.changes.clone());
        written.map_err(|e| ApiError::internal(e.to_string()))?;
        begun
    };
    if begun.work != Work::Nothing {
        let arn = begun.service.arn.clone();
        shared.order(Order { arn, operation: begun.operation.clone(), work: begun.work.clone() });
    }
    shared.tell();
    Ok(begun)
}

fn answer(shared: &Shared, begun: &Begun) -> Json {
    let mut answer = json!({ "Service": shown(&shared.place, &begun.service) });
    if let Some(operation) = &begun.operation {
        answer["OperationId"] = json!(operation.id);
    }
    answer
}

fn create(shared: &Shared, request: CreateServiceRequest) -> ApiResult<Json> {
    validate::create(&request)?;
    let id = new_id();
    let resource = format!("service/{}/{id}", request.service_name);
    let url = format!("{}.{}", &new_id()[..10], shared.place.region);
    let identity = Identity { arn: arn(&shared.place, "apprunner", &resource), id, url };
    let begun = carry_out(shared, |state| service::create(state, request, identity, &stamp(shared)))?;
    Ok(answer(shared, &begun))
}

fn update(shared: &Shared, request: UpdateServiceRequest) -> ApiResult<Json> {
    validate::update(&request)?;
    let begun = carry_out(shared, |state| {
        let known = find(state, &request.service_arn)?;
        let begun = service::update(known, request.clone(), &stamp(shared))?;
        validate::whole(&begun.service.settings)?;
        Ok(begun)
    })?;
    Ok(answer(shared, &begun))
}

fn on_service(
    shared: &Shared,
    of: &OfService,
    begin: impl FnOnce(&Service, &Stamp) -> ApiResult<Begun>,
) -> ApiResult<Json> {
    check_arn(&of.service_arn)?;
    let begun = carry_out(shared, |state| begin(find(state, &of.service_arn)?, &stamp(shared)))?;
    Ok(answer(shared, &begun))
}

fn start(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    let answer = on_service(shared, of, service::deploy)?;
    Ok(json!({ "OperationId": answer["OperationId"] }))
}

fn describe(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    check_arn(&of.service_arn)?;
    let books = shared.books();
    Ok(json!({ "Service": shown(&shared.place, find(&books.state, &of.service_arn)?) }))
}

fn list(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    check_most(of, 20)?;
    let books = shared.books();
    // https://docs.aws.amazon.com/apprunner/latest/dg/manage-delete.html: a deleted service disappears from the list.
    let services = books.state.services.values().filter(|service| service.status != Status::Deleted);
    let mut all: Vec<&Service> = services.collect();
    all.sort_by_key(|service| (service.created_ms, &service.arn));
    let all = all.into_iter().map(|service| summary(&shared.place, service)).collect();
    let (listed, next) = page("ListServices", all, of.max_results, of.next_token.as_deref(), ApiError::invalid)?;
    Ok(with_token(json!({ "ServiceSummaryList": listed }), next))
}

fn operations(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    check_arn(&of.service_arn)?;
    check_most(of, 20)?;
    let books = shared.books();
    let arn = &find(&books.state, &of.service_arn)?.arn;
    // The first is the one that started last.
    let known = books.state.operations.get(arn).into_iter().flatten().rev();
    let all: Vec<Json> = known.map(|operation| shown_operation(arn, operation)).collect();
    let list = format!("ListOperations {arn}");
    let (listed, next) = page(&list, all, of.max_results, of.next_token.as_deref(), ApiError::invalid)?;
    Ok(with_token(json!({ "OperationSummaryList": listed }), next))
}

fn check_arn(arn: &str) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    validate::service_arn(arn, &mut mistakes);
    mistakes.finish()
}

fn check_most(of: &OfService, most: i64) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    mistakes.range(of.max_results, "maxResults", [1, most]);
    mistakes.finish()
}

/// What a restart finds under way ended with the server: an update went back, a creation failed, a pause or a deletion is
/// done when nothing runs.
#[must_use]
pub(crate) fn interrupted(state: &State, now_ms: i64) -> Vec<(String, Vec<Change>)> {
    let mut all = Vec::new();
    for service in state.services.values() {
        let Some(operation) = state.under_way(&service.arn) else { continue };
        let ended = match operation.kind {
            service::OperationKind::PauseService | service::OperationKind::DeleteService => service::Ended::Well,
            _ => service::Ended::Badly,
        };
        all.push((service.arn.clone(), service::end(service, operation, ended, now_ms)));
    }
    all
}
