//! App Runner's operations on services.

use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};
use super::paging::{page, with_token};
use super::resources;
use super::shapes::{CreateServiceRequest, OfService, UpdateServiceRequest};
use super::shown::{shown, shown_operation, summary};
use super::validate::{self, Mistakes};
use super::{arn, input};
use crate::serve::service::{self, Begun, Identity, Service, Stamp, Status};
use crate::serve::shared::{Shared, new_id};

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
    let begun = shared.carry_out(|state| service::create(state, request, identity, &shared.stamp()))?;
    Ok(answer(shared, &begun))
}

fn update(shared: &Shared, request: UpdateServiceRequest) -> ApiResult<Json> {
    validate::update(&request)?;
    let begun = shared.carry_out(|state| {
        let known = state.find(&request.service_arn)?;
        let begun = service::update(known, request.clone(), &shared.stamp())?;
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
    let begun = shared.carry_out(|state| begin(state.find(&of.service_arn)?, &shared.stamp()))?;
    Ok(answer(shared, &begun))
}

fn start(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    let answer = on_service(shared, of, service::deploy)?;
    Ok(json!({ "OperationId": answer["OperationId"] }))
}

fn describe(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    check_arn(&of.service_arn)?;
    let books = shared.books();
    Ok(json!({ "Service": shown(&shared.place, books.state.find(&of.service_arn)?) }))
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
    Ok(with_token(json!({ "ServiceSummaryList": listed }), "NextToken", next))
}

fn operations(shared: &Shared, of: &OfService) -> ApiResult<Json> {
    check_arn(&of.service_arn)?;
    check_most(of, 20)?;
    let books = shared.books();
    let arn = &books.state.find(&of.service_arn)?.arn;
    // The first is the one that started last.
    let known = books.state.operations.get(arn).into_iter().flatten().rev();
    let all: Vec<Json> = known.map(|operation| shown_operation(arn, operation)).collect();
    let list = format!("ListOperations {arn}");
    let (listed, next) = page(&list, all, of.max_results, of.next_token.as_deref(), ApiError::invalid)?;
    Ok(with_token(json!({ "OperationSummaryList": listed }), "NextToken", next))
}

fn check_arn(arn: &str) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    mistakes.needed_arn(arn, "serviceArn");
    mistakes.finish()
}

fn check_most(of: &OfService, most: i64) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    mistakes.range(of.max_results, "maxResults", [1, most]);
    mistakes.finish()
}
