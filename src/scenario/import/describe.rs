//! `aws apprunner describe-service`: the configuration of the deployed service.
//!
//! Format: <https://docs.aws.amazon.com/apprunner/latest/api/API_Service.html>. Unknown fields are ignored: AWS adds
//! some.

use serde_json::Value as Json;

use super::Kind;
use super::draft::{Draft, Store, Value, Variable};
use super::json::{Object, shown};
use crate::scenario::node::Node;
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::yaml;

/// The health check's keys in both formats.
const HEALTH: [(&str, &str); 6] = [
    ("protocol", "Protocol"),
    ("path", "Path"),
    ("interval", "Interval"),
    ("timeout", "Timeout"),
    ("healthy_threshold", "HealthyThreshold"),
    ("unhealthy_threshold", "UnhealthyThreshold"),
];

/// Reads the document.
///
/// # Errors
/// When no service is described; errors in the description are kept next to its valid parts.
pub(crate) fn read(file: &str, text: &str, document: &Json) -> Result<Draft, Refused> {
    let mut problems = Vec::new();
    // JSON is YAML, which is read with places. If only the JSON parser accepts the document, errors have paths alone.
    let tree = yaml::tree(text).ok();
    let is_json = text.trim_start().starts_with(['{', '[']);
    // A YAML scalar may span several lines, each of which may be part of a secret.
    let shown = tree.as_ref().filter(|_| is_json).map(|root| shown(text, root)).unwrap_or_default();
    match the_service(document, tree.as_ref(), &mut problems).map(|service| service_of(&service, &mut problems)) {
        Some(draft) => Ok(Draft { shown, ..draft.finish(problems) }),
        None => Err(Refused::new(file, &shown, problems)),
    }
}

/// The service of a document: under `Service`, the document itself, or the only element of a list.
fn the_service<'a>(document: &'a Json, tree: Option<&'a Node>, problems: &mut Vec<Problem>) -> Option<Object<'a>> {
    let (list, node, path) = match document {
        Json::Array(list) => (Some(list), tree, String::new()),
        Json::Object(map) => match map.get("Services") {
            Some(Json::Array(list)) => (Some(list), tree.and_then(|root| root.get("Services")), "Services".to_owned()),
            _ => (None, tree, String::new()),
        },
        _ => (None, tree, String::new()),
    };
    let (value, node, path) = match list.map(Vec::as_slice) {
        None => (document, node, path),
        Some([one]) => (one, node.and_then(|list| list.items().first()), format!("{path}[0]")),
        Some(several) => {
            let message = format!("a list of {} services: pass the description of one", several.len());
            problems.push(Problem::of_file(message));
            return None;
        }
    };
    let object = Object::of(value, node, &path, problems)?;
    if object.has("Service") {
        return object.object("Service", problems);
    }
    if object.has("SourceConfiguration") {
        return Some(object);
    }
    problems.push(Problem::of_file(if object.has("ServiceSummaryList") {
        "this is the output of list-services, which has no configuration: aws apprunner describe-service \
         --service-arn ARN"
    } else {
        "this is not the output of `aws apprunner describe-service`: neither `Service` nor `SourceConfiguration` \
         stands in it"
    }));
    None
}

fn service_of(service: &Object, problems: &mut Vec<Problem>) -> Draft {
    let mut draft = Draft::new(Kind::Describe);
    draft.name = service.text("ServiceName", problems).map(|name| name.text);
    draft.notes.push(
        "Whether this is the version that failed: describe-service shows what is in force now, which after a rollback \
         is the version before, its image and its variables."
            .to_owned(),
    );
    match service.object("SourceConfiguration", problems) {
        Some(source) => source_of(&source, &mut draft, problems),
        None if service.has("SourceConfiguration") => {}
        None => problems.push(service.missing("SourceConfiguration")),
    }
    settings_of(service, &mut draft, problems);
    if draft.egress.as_ref().is_some_and(|egress| egress.text == "VPC") {
        through_a_vpc(&mut draft);
    }
    match draft.role {
        Some(true) => draft.notes.push(
            "What the instance role allows: the simulated credentials are accepted by the simulated internet, whatever \
             is asked with them (`metadata.denied` tries a refusal)."
                .to_owned(),
        ),
        _ => {
            draft.role = Some(false);
            without_role(&mut draft);
        }
    }
    draft
}

/// Everything but the source: name, sizes, role, health check, network.
fn settings_of(service: &Object, draft: &mut Draft, problems: &mut Vec<Problem>) {
    draft.arn = service.text("ServiceArn", problems).map(|arn| arn.text);
    draft.status = service.text("Status", problems).map(|status| status.text);
    draft.updated = service.number("UpdatedAt", problems).map(|time| time.text);
    let instance = service.object("InstanceConfiguration", problems);
    if let Some(instance) = &instance {
        draft.cpu = instance.number("Cpu", problems).filter(|f| !f.text.is_empty());
        draft.memory = instance.number("Memory", problems).filter(|f| !f.text.is_empty());
        let role = instance.text("InstanceRoleArn", problems);
        draft.role = role.map(|arn| !arn.text.is_empty());
    }
    if let Some(health) = service.object("HealthCheckConfiguration", problems) {
        for (key, theirs) in HEALTH {
            let field = match key {
                "protocol" | "path" => health.text(theirs, problems),
                _ => health.number(theirs, problems),
            };
            // A TCP check has an empty path or none.
            draft.health.extend(field.filter(|f| !(key == "path" && f.text.is_empty())).map(|field| (key, field)));
        }
    }
    let Some(network) = service.object("NetworkConfiguration", problems) else { return };
    let egress = network.object("EgressConfiguration", problems);
    draft.egress = egress.and_then(|egress| egress.text("EgressType", problems));
    draft.dual_stack = network.text("IpAddressType", problems).map(|kind| kind.text == "DUAL_STACK");
}

/// Reads the input of `aws apprunner update-service`, its output, or its event in CloudTrail. What it leaves out stays as
/// it was (<https://docs.aws.amazon.com/apprunner/latest/api/API_UpdateService.html>).
///
/// # Errors
/// When it is none of these; errors in it are kept next to its valid parts.
pub(crate) fn read_update(file: &str, text: &str, document: &Json) -> Result<Draft, Refused> {
    let mut problems = Vec::new();
    let event = document.get("requestParameters").or_else(|| document.get("detail")?.get("requestParameters"));
    let of_event = event.map(with_capitals);
    let tree = yaml::tree(text).ok().filter(|_| of_event.is_none());
    let is_json = text.trim_start().starts_with('{');
    let shown = tree.as_ref().filter(|_| is_json).map(|root| shown(text, root)).unwrap_or_default();
    let object = Object::of(of_event.as_ref().unwrap_or(document), tree.as_ref(), "", &mut problems);
    let object = object.and_then(|object| match object.has("Service") {
        true => object.object("Service", &mut problems),
        false => Some(object),
    });
    let known = ["ServiceArn", "SourceConfiguration", "InstanceConfiguration", "NetworkConfiguration"];
    let Some(object) = object.filter(|object| known.iter().any(|key| object.has(key))) else {
        problems.push(Problem::of_file(
            "this is not the input of `aws apprunner update-service`: none of ServiceArn, SourceConfiguration, \
             InstanceConfiguration and NetworkConfiguration is in it",
        ));
        return Err(Refused::new(file, &shown, problems));
    };
    let mut draft = Draft::new(Kind::Update);
    if let Some(source) = object.object("SourceConfiguration", &mut problems) {
        source_of(&source, &mut draft, &mut problems);
    }
    settings_of(&object, &mut draft, &mut problems);
    Ok(Draft { shown, problems, ..draft })
}

/// Maps whose keys are the user's own.
const MAPS: [&str; 2] = ["RuntimeEnvironmentVariables", "RuntimeEnvironmentSecrets"];

/// CloudTrail writes the keys of a request with a small first letter.
fn with_capitals(value: &Json) -> Json {
    let Json::Object(map) = value else { return value.clone() };
    let pair = |(key, value): (&String, &Json)| {
        let key: String = key.chars().take(1).flat_map(char::to_uppercase).chain(key.chars().skip(1)).collect();
        let value = if MAPS.contains(&key.as_str()) { value.clone() } else { with_capitals(value) };
        (key, value)
    };
    Json::Object(map.iter().map(pair).collect())
}

fn through_a_vpc(draft: &mut Draft) {
    draft.propose("egress.drop", "egress goes through a VPC: without a NAT gateway it silently drops packets");
    draft.notes.push(
        "What the VPC really lets through: a VPC without a NAT gateway silently drops everything to the internet, also \
         from public subnets; route tables, security groups and VPC endpoints are not in this file. Hosts inside the \
         VPC go under `upstreams`; `egress.drop:except=10.0.0.0/8` leaves them open."
            .to_owned(),
    );
}

fn without_role(draft: &mut Draft) {
    draft.propose("metadata.none", "the service has no instance role: SDK calls find no credentials");
    let mut note = "There is no instance role (InstanceRoleArn): SDK calls have no credentials there, but in the \
                    baseline they have; `metadata.none` takes them away."
        .to_owned();
    if !draft.secrets().is_empty() {
        // https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html
        note.push_str(" Secrets need a role: without one the deployment fails before the container starts.");
    }
    draft.notes.push(note);
}

fn source_of(source: &Object, draft: &mut Draft, problems: &mut Vec<Problem>) {
    if let Some(image) = source.object("ImageRepository", problems) {
        draft.image = image.text("ImageIdentifier", problems);
        match &draft.image {
            Some(field) if field.text.trim().is_empty() => {
                problems.push(field.from.problem("the image's name is empty"))
            }
            None if !image.has("ImageIdentifier") => problems.push(image.missing("ImageIdentifier")),
            _ => {}
        }
        if let Some(configuration) = image.object("ImageConfiguration", problems) {
            configuration_of(&configuration, draft, problems);
        }
        if draft.start_command.is_none() {
            draft.notes.push("No start command in this file: the image's ENTRYPOINT and CMD run.".to_owned());
        }
    } else if let Some(code) = source.object("CodeRepository", problems) {
        of_code(&code, draft, problems);
    } else if !source.has("ImageRepository") && !source.has("CodeRepository") {
        problems.push(source.problem("missing key: `ImageRepository` or `CodeRepository`"));
    }
}

/// A service that App Runner builds itself: its configuration is used, but an image must be supplied.
fn of_code(code: &Object, draft: &mut Draft, problems: &mut Vec<Problem>) {
    draft.notes.push(
        "The image: App Runner builds this service from source; exitone runs images. Build one (a Dockerfile that \
         does what App Runner's build does) and name it; it is not the very one that runs there."
            .to_owned(),
    );
    let Some(configuration) = code.object("CodeConfiguration", problems) else { return };
    let source = configuration.text("ConfigurationSource", problems);
    if source.is_some_and(|source| source.text == "REPOSITORY") {
        draft.notes.push(
            "The configuration stands in the repository's apprunner.yaml (ConfigurationSource is REPOSITORY): import \
             that file for its variables and its start command."
                .to_owned(),
        );
    }
    let Some(values) = configuration.object("CodeConfigurationValues", problems) else { return };
    configuration_of(&values, draft, problems);
    if let Some(runtime) = values.text("Runtime", problems) {
        let build = values.text("BuildCommand", problems).map(|_| ", and its build command").unwrap_or_default();
        let shown: String = runtime.text.chars().filter(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).collect();
        draft.notes.push(format!("What App Runner's runtime {shown} brings along{build}: the image must have it."));
    }
}

/// Variables, secrets, start command and port: the same keys for images and for code.
fn configuration_of(configuration: &Object, draft: &mut Draft, problems: &mut Vec<Problem>) {
    draft.port = configuration.number("Port", problems).filter(|f| !f.text.is_empty());
    draft.start_command = configuration.text("StartCommand", problems).filter(|f| !f.text.trim().is_empty());
    draft.maps = MAPS.map(|map| configuration.is_given(map));
    for (name, value, from) in configuration.texts("RuntimeEnvironmentVariables", problems) {
        // CloudTrail does not record values.
        let value = if value == HIDDEN { Value::Secret(Store::ParameterStore) } else { Value::Plain(value) };
        draft.add(Variable { name, value, from }, problems);
    }
    for (name, reference, from) in configuration.texts("RuntimeEnvironmentSecrets", problems) {
        draft.add(Variable { name, value: Value::Secret(Store::of(&reference)), from }, problems);
    }
}

/// What CloudTrail writes in place of a value.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
