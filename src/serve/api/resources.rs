//! App Runner's operations on what goes with services: tags, VPC connectors, the scaling that every account has, domains.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};
use super::paging::{page, with_token};
use super::shapes::Tag;
use super::shown::{DEFAULT_SCALING, address, scaling_summary};
use super::validate::{self, Mistakes};
use super::{arn, input, seconds};
use crate::serve::service::{Change, Connector, Service};
use crate::serve::shared::{Shared, new_id};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OfResource {
    resource_arn: String,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OfConnector {
    vpc_connector_name: String,
    vpc_connector_arn: String,
    subnets: Vec<String>,
    security_groups: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OfScaling {
    auto_scaling_configuration_arn: String,
    auto_scaling_configuration_name: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OfDomains {
    service_arn: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Carries out one operation.
///
/// # Errors
/// As the service model has them; an operation that does not exist.
pub(super) fn call(shared: &Shared, operation: &str, body: &[u8]) -> ApiResult<Json> {
    match operation {
        "TagResource" => tag(shared, input(body)?),
        "UntagResource" => untag(shared, input(body)?),
        "ListTagsForResource" => tags(shared, &input(body)?),
        "CreateVpcConnector" => create(shared, input(body)?),
        "DescribeVpcConnector" => describe(shared, &input(body)?),
        "ListVpcConnectors" => list(shared, &input(body)?),
        "DeleteVpcConnector" => delete(shared, &input(body)?),
        "DescribeAutoScalingConfiguration" => scaling(shared, &input(body)?),
        "ListAutoScalingConfigurations" => scalings(shared, &input(body)?),
        "DescribeCustomDomains" => domains(shared, &input(body)?),
        _ => Err(ApiError::unknown(&format!("AppRunner.{operation}"))),
    }
}

/// Changes the tags of a service.
fn with_tags(shared: &Shared, arn: &str, change: impl FnOnce(&mut Service)) -> ApiResult<Json> {
    let mut books = shared.books();
    let mut service = books.state.find(arn)?.clone();
    change(&mut service);
    books.change(vec![Change::Service(Box::new(service))])?;
    Ok(json!({}))
}

/// Checks the members of an input.
fn check(check: impl FnOnce(&mut Mistakes)) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    check(&mut mistakes);
    mistakes.finish()
}

fn tag(shared: &Shared, of: OfResource) -> ApiResult<Json> {
    check(|mistakes| {
        mistakes.needed_arn(&of.resource_arn, "resourceArn");
        if of.tags.is_none() {
            mistakes.missing("tags");
        }
        validate::tags(of.tags.iter().flatten(), mistakes);
    })?;
    let new = of.tags.into_iter().flatten().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())));
    with_tags(shared, &of.resource_arn, |service| service.tags.extend(new))
}

fn untag(shared: &Shared, of: OfResource) -> ApiResult<Json> {
    check(|mistakes| {
        mistakes.needed_arn(&of.resource_arn, "resourceArn");
        if of.tag_keys.is_none() {
            mistakes.missing("tagKeys");
        }
        for (at, key) in of.tag_keys.iter().flatten().enumerate() {
            mistakes.length(key, &format!("tagKeys.{}.member", at + 1), [1, 128]);
        }
    })?;
    let keys = of.tag_keys.unwrap_or_default();
    with_tags(shared, &of.resource_arn, |service| service.tags.retain(|key, _| !keys.contains(key)))
}

fn tags(shared: &Shared, of: &OfResource) -> ApiResult<Json> {
    check(|mistakes| mistakes.needed_arn(&of.resource_arn, "resourceArn"))?;
    let books = shared.books();
    let service = books.state.find(&of.resource_arn)?;
    let tags: Vec<Json> = service.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "Tags": tags }))
}

fn create(shared: &Shared, of: OfConnector) -> ApiResult<Json> {
    check(|mistakes| {
        mistakes.name(&of.vpc_connector_name, "vpcConnectorName");
        if of.subnets.is_empty() {
            mistakes.missing("subnets");
        }
    })?;
    let mut books = shared.books();
    let name = of.vpc_connector_name;
    let same = books.state.connectors.values().filter(|connector| connector.name == name);
    let revision = same.map(|connector| connector.revision).max().unwrap_or_default() + 1;
    let connector = Connector {
        arn: arn(&shared.place, "apprunner", &format!("vpcconnector/{name}/{revision}/{}", new_id())),
        name,
        revision,
        subnets: of.subnets,
        security_groups: of.security_groups,
        created_ms: shared.now_ms(),
        deleted_ms: None,
    };
    books.change(vec![Change::Connector(connector.clone())])?;
    Ok(json!({ "VpcConnector": shown(&connector) }))
}

fn known<'a>(all: impl Iterator<Item = &'a Connector>, arn: &str) -> ApiResult<&'a Connector> {
    // A partial ARN names the newest revision.
    let is_meant = |connector: &&Connector| connector.arn == arn || connector.arn.starts_with(&format!("{arn}/"));
    let newest = all.filter(is_meant).max_by_key(|connector| connector.revision);
    newest.ok_or_else(|| ApiError::not_found(format!("VpcConnector cannot be found with the provided ARN: {arn}")))
}

fn check_connector(of: &OfConnector) -> ApiResult<()> {
    check(|mistakes| mistakes.needed_arn(&of.vpc_connector_arn, "vpcConnectorArn"))
}

fn describe(shared: &Shared, of: &OfConnector) -> ApiResult<Json> {
    check_connector(of)?;
    let books = shared.books();
    Ok(json!({ "VpcConnector": shown(known(books.state.connectors.values(), &of.vpc_connector_arn)?) }))
}

fn list(shared: &Shared, of: &OfConnector) -> ApiResult<Json> {
    check(|mistakes| mistakes.range(of.max_results, "maxResults", [1, 100]))?;
    let books = shared.books();
    let active = books.state.connectors.values().filter(|connector| connector.deleted_ms.is_none());
    let all: Vec<Json> = active.map(shown).collect();
    let token = of.next_token.as_deref();
    let (listed, next) = page("ListVpcConnectors", all, of.max_results, token, ApiError::invalid)?;
    Ok(with_token(json!({ "VpcConnectors": listed }), "NextToken", next))
}

fn delete(shared: &Shared, of: &OfConnector) -> ApiResult<Json> {
    check_connector(of)?;
    let mut books = shared.books();
    let connector = known(books.state.connectors.values(), &of.vpc_connector_arn)?;
    let connector = Connector { deleted_ms: Some(shared.now_ms()), ..connector.clone() };
    books.change(vec![Change::Connector(connector.clone())])?;
    Ok(json!({ "VpcConnector": shown(&connector) }))
}

fn shown(connector: &Connector) -> Json {
    let mut shown = json!({
        "VpcConnectorName": connector.name,
        "VpcConnectorArn": connector.arn,
        "VpcConnectorRevision": connector.revision,
        "Subnets": connector.subnets,
        "SecurityGroups": connector.security_groups,
        "Status": if connector.deleted_ms.is_some() { "INACTIVE" } else { "ACTIVE" },
        "CreatedAt": seconds(connector.created_ms),
    });
    if let Some(at) = connector.deleted_ms {
        shown["DeletedAt"] = seconds(at);
    }
    shown
}

fn scaling(shared: &Shared, of: &OfScaling) -> ApiResult<Json> {
    let default = arn(&shared.place, "apprunner", DEFAULT_SCALING);
    let asked = &of.auto_scaling_configuration_arn;
    check(|mistakes| mistakes.needed_arn(asked, "autoScalingConfigurationArn"))?;
    if *asked != default && !default.starts_with(&format!("{asked}/")) {
        let message = format!("AutoScalingConfiguration cannot be found with the provided ARN: {asked}");
        return Err(ApiError::not_found(message));
    }
    let mut shown = scaling_summary(&shared.place, None);
    for (name, value) in [("Latest", json!(true)), ("MaxConcurrency", json!(100)), ("MinSize", json!(1))] {
        shown[name] = value;
    }
    shown["MaxSize"] = json!(25);
    Ok(json!({ "AutoScalingConfiguration": shown }))
}

fn scalings(shared: &Shared, of: &OfScaling) -> ApiResult<Json> {
    check(|mistakes| mistakes.range(of.max_results, "maxResults", [1, 100]))?;
    let is_other = of.auto_scaling_configuration_name.as_deref().is_some_and(|name| name != "DefaultConfiguration");
    let all = if is_other { Vec::new() } else { vec![scaling_summary(&shared.place, None)] };
    let token = of.next_token.as_deref();
    let (listed, next) = page("ListAutoScalingConfigurations", all, of.max_results, token, ApiError::invalid)?;
    Ok(with_token(json!({ "AutoScalingConfigurationSummaryList": listed }), "NextToken", next))
}

fn domains(shared: &Shared, of: &OfDomains) -> ApiResult<Json> {
    check(|mistakes| {
        mistakes.needed_arn(&of.service_arn, "serviceArn");
        mistakes.range(of.max_results, "maxResults", [1, 5]);
    })?;
    let books = shared.books();
    let service = books.state.find(&of.service_arn)?;
    let domains = shared.place.domains.iter().filter(|(_, arn)| **arn == service.arn);
    // https://docs.aws.amazon.com/apprunner/latest/api/API_CustomDomain.html
    let domain = |(name, _)| json!({ "DomainName": name, "EnableWWWSubdomain": false, "Status": "active" });
    let list = format!("DescribeCustomDomains {}", service.arn);
    let token = of.next_token.as_deref();
    let (listed, next) = page(&list, domains.map(domain).collect(), of.max_results, token, ApiError::invalid)?;
    let answer = json!({
        "DNSTarget": address(&shared.place, service),
        "ServiceArn": service.arn,
        "CustomDomains": listed,
        "VpcDNSTargets": [],
    });
    Ok(with_token(answer, "NextToken", next))
}
