//! What the service model asks of an input: lengths, ranges, patterns, values
//! (<https://docs.aws.amazon.com/apprunner/latest/api/API_Types.html>), and what App Runner's guide asks besides. Every mistake
//! is reported at once, in the words of AWS's validation.

use super::error::{ApiError, ApiResult};
use super::shapes::{CreateServiceRequest, ImageRepository, Settings, Tag, UpdateServiceRequest};
use crate::serve::service::settings::{image_configuration, with_defaults};

/// The memory (MB) that goes with each CPU size (<https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html>).
const SIZES: [(&str, &[&str]); 5] = [
    ("256", &["512", "1024"]),
    ("512", &["1024"]),
    ("1024", &["2048", "3072", "4096"]),
    ("2048", &["4096", "6144"]),
    ("4096", &["8192", "10240", "12288"]),
];
const CPUS: [&str; 10] = ["256", "512", "1024", "2048", "4096", "0.25 vCPU", "0.5 vCPU", "1 vCPU", "2 vCPU", "4 vCPU"];
const MEMORIES: [&str; 18] = [
    "512", "1024", "2048", "3072", "4096", "6144", "8192", "10240", "12288", "0.5 GB", "1 GB", "2 GB", "3 GB", "4 GB",
    "6 GB", "8 GB", "10 GB", "12 GB",
];
/// The name of a service, a connector.
const NAME: &str = "[A-Za-z0-9][A-Za-z0-9-_]{3,39}";
/// The ARN of a role.
const ROLE: &str =
    r"arn:(aws|aws-us-gov|aws-cn|aws-iso|aws-iso-b):iam::[0-9]{12}:(role|role\/service-role)\/[\w+=,.@\-/]{1,1000}";
/// Variables with this prefix are App Runner's own.
const RESERVED: &str = "AWSAPPRUNNER";

/// The mistakes of an input.
#[derive(Default)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    /// Records a member whose value is not accepted. Values of variables are not shown.
    pub(crate) fn add(&mut self, value: Option<&str>, member: &str, constraint: &str) {
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
        self.0.push(format!("Value {value} at '{member}' failed to satisfy constraint: Member must {constraint}"));
    }

    /// Records a member that must be there.
    pub(crate) fn missing(&mut self, member: &str) {
        self.add(None, member, "not be null");
    }

    /// A length in characters.
    pub(crate) fn length(&mut self, value: &str, member: &str, [least, most]: [usize; 2]) {
        let length = value.chars().count();
        if length < least {
            self.add(Some(value), member, &format!("have length greater than or equal to {least}"));
        } else if length > most {
            let start: String = value.chars().take(40).collect();
            self.add(Some(&format!("{start}…")), member, &format!("have length less than or equal to {most}"));
        }
    }

    fn one_of(&mut self, value: Option<&str>, member: &str, all: &[&str]) {
        if let Some(value) = value
            && !all.contains(&value)
        {
            self.add(Some(value), member, &format!("satisfy enum value set: [{}]", all.join(", ")));
        }
    }

    /// A number.
    pub(crate) fn range(&mut self, value: Option<i64>, member: &str, [least, most]: [i64; 2]) {
        let Some(value) = value else { return };
        let text = value.to_string();
        if value < least {
            self.add(Some(&text), member, &format!("have value greater than or equal to {least}"));
        } else if value > most {
            self.add(Some(&text), member, &format!("have value less than or equal to {most}"));
        }
    }

    /// A name of 4 to 40 characters.
    pub(crate) fn name(&mut self, name: &str, member: &str) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_good = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(word);
        match name {
            "" => self.missing(member),
            _ if !is_good => self.add(Some(name), member, &format!("satisfy regular expression pattern: {NAME}")),
            _ => self.length(name, member, [4, 40]),
        }
    }

    fn role(&mut self, role: &str, member: &str) {
        self.length(role, member, [29, 1024]);
        let mut parts = role.splitn(6, ':');
        let is_good = parts.next() == Some("arn")
            && parts.next().is_some_and(|partition| partition.starts_with("aws"))
            && parts.next() == Some("iam")
            && parts.next() == Some("")
            && parts.next().is_some_and(|account| account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit()))
            && parts.next().is_some_and(|resource| resource.starts_with("role/") && resource.len() > 5);
        if !is_good && role.len() >= 29 {
            self.add(Some(role), member, &format!("satisfy regular expression pattern: {ROLE}"));
        }
    }

    /// An ARN that must be there.
    pub(crate) fn needed_arn(&mut self, value: &str, member: &str) {
        match value {
            "" => self.missing(member),
            value => self.arn(value, member),
        }
    }

    fn arn(&mut self, value: &str, member: &str) {
        self.length(value, member, [1, 1011]);
        let mut parts = value.splitn(6, ':');
        let is_good = parts.next() == Some("arn")
            && parts.next().is_some_and(|partition| partition.starts_with("aws"))
            && parts.next().is_some_and(|service| !service.is_empty())
            && parts.next().is_some()
            && parts.next().is_some_and(|account| account.len() == 12 && account.bytes().all(|c| c.is_ascii_digit()))
            && parts.next().is_some_and(|resource| !resource.is_empty());
        if !is_good && !value.is_empty() {
            let pattern = r"arn:aws(-[\w]+)*:[a-z0-9-\\.]{0,63}:[a-z0-9-\\.]{0,63}:[0-9]{12}:(\w|\/|-){1,1011}";
            self.add(Some(value), member, &format!("satisfy regular expression pattern: {pattern}"));
        }
    }

    /// Fails with every mistake.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn finish(self) -> ApiResult<()> {
        self.finish_as(ApiError::invalid)
    }

    /// Fails with every mistake, as this error.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn finish_as(self, error: impl FnOnce(String) -> ApiError) -> ApiResult<()> {
        let count = self.0.len();
        let detected = if count == 1 { "validation error" } else { "validation errors" };
        if count == 0 { Ok(()) } else { Err(error(format!("{count} {detected} detected: {}", self.0.join("; ")))) }
    }
}

/// Checks the input of CreateService.
///
/// # Errors
/// Every mistake in it.
pub(crate) fn create(request: &CreateServiceRequest) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    mistakes.name(&request.service_name, "serviceName");
    match &request.settings.source_configuration {
        None => mistakes.missing("sourceConfiguration"),
        Some(source) if source.image_repository.is_none() && source.code_repository.is_none() => {
            mistakes.add(None, "sourceConfiguration", "have codeRepository or imageRepository");
        }
        Some(_) => {}
    }
    if let Some(encryption) = &request.encryption_configuration {
        match encryption["KmsKey"].as_str() {
            None => mistakes.missing("encryptionConfiguration.kmsKey"),
            Some(key) => mistakes.length(key, "encryptionConfiguration.kmsKey", [0, 256]),
        }
    }
    settings(&request.settings, &mut mistakes);
    tags(request.tags.iter().flatten(), &mut mistakes);
    mistakes.finish()?;
    whole(&with_defaults(request.settings.clone()))
}

/// Checks the input of UpdateService by itself.
///
/// # Errors
/// Every mistake in it.
pub(crate) fn update(request: &UpdateServiceRequest) -> ApiResult<()> {
    let mut mistakes = Mistakes::default();
    mistakes.needed_arn(&request.service_arn, "serviceArn");
    settings(&request.settings, &mut mistakes);
    mistakes.finish()
}

/// Checks tags.
pub(crate) fn tags<'a>(all: impl Iterator<Item = &'a Tag>, mistakes: &mut Mistakes) {
    for (at, tag) in all.enumerate() {
        let member = format!("tags.{}.member", at + 1);
        match tag.key.as_deref() {
            None => mistakes.missing(&format!("{member}.key")),
            Some(key) if key.starts_with("aws:") => {
                mistakes.add(Some(key), &format!("{member}.key"), "not begin with aws:");
            }
            Some(key) => mistakes.length(key, &format!("{member}.key"), [1, 128]),
        }
        mistakes.length(tag.value.as_deref().unwrap_or_default(), &format!("{member}.value"), [0, 256]);
    }
}

fn settings(settings: &Settings, mistakes: &mut Mistakes) {
    if let Some(source) = &settings.source_configuration {
        match (&source.image_repository, &source.code_repository) {
            (Some(image), None) => image_repository(image, mistakes),
            (None, Some(code)) => {
                let member = |name: &str| format!("sourceConfiguration.codeRepository.{name}");
                if code["RepositoryUrl"].as_str().unwrap_or_default().is_empty() {
                    mistakes.missing(&member("repositoryUrl"));
                }
                let version = &code["SourceCodeVersion"];
                for (name, shown) in [("Type", "sourceCodeVersion.type"), ("Value", "sourceCodeVersion.value")] {
                    if version[name].as_str().unwrap_or_default().is_empty() {
                        mistakes.missing(&member(shown));
                    }
                }
                mistakes.one_of(version["Type"].as_str(), &member("sourceCodeVersion.type"), &["BRANCH"]);
            }
            (Some(_), Some(_)) => {
                mistakes.add(None, "sourceConfiguration", "have either codeRepository or imageRepository");
            }
            (None, None) => {}
        }
        let access = source.authentication_configuration.as_ref();
        if let Some(role) = access.and_then(|access| access["AccessRoleArn"].as_str()) {
            mistakes.role(role, "sourceConfiguration.authenticationConfiguration.accessRoleArn");
        }
    }
    if let Some(instance) = &settings.instance_configuration {
        mistakes.one_of(instance.cpu.as_deref(), "instanceConfiguration.cpu", &CPUS);
        mistakes.one_of(instance.memory.as_deref(), "instanceConfiguration.memory", &MEMORIES);
        if let Some(role) = &instance.instance_role_arn {
            mistakes.role(role, "instanceConfiguration.instanceRoleArn");
        }
    }
    if let Some(health) = &settings.health_check_configuration {
        let member = |name: &str| format!("healthCheckConfiguration.{name}");
        mistakes.one_of(health.protocol.as_deref(), &member("protocol"), &["TCP", "HTTP"]);
        if let Some(path) = &health.path {
            mistakes.length(path, &member("path"), [1, 51_200]);
        }
        for (name, value) in [
            ("interval", health.interval),
            ("timeout", health.timeout),
            ("healthyThreshold", health.healthy_threshold),
            ("unhealthyThreshold", health.unhealthy_threshold),
        ] {
            mistakes.range(value, &member(name), [1, 20]);
        }
    }
    if let Some(network) = &settings.network_configuration {
        let member = |name: &str| format!("networkConfiguration.{name}");
        mistakes.one_of(network.ip_address_type.as_deref(), &member("ipAddressType"), &["IPV4", "DUAL_STACK"]);
        if let Some(egress) = &network.egress_configuration {
            let kind = egress.egress_type.as_deref();
            mistakes.one_of(kind, &member("egressConfiguration.egressType"), &["DEFAULT", "VPC"]);
            match &egress.vpc_connector_arn {
                Some(arn) => mistakes.arn(arn, &member("egressConfiguration.vpcConnectorArn")),
                None if kind == Some("VPC") => mistakes.missing(&member("egressConfiguration.vpcConnectorArn")),
                None => {}
            }
        }
    }
    if let Some(arn) = &settings.auto_scaling_configuration_arn {
        mistakes.arn(arn, "autoScalingConfigurationArn");
    }
    let tracing = settings.observability_configuration.as_ref();
    if let Some(arn) = tracing.and_then(|tracing| tracing.observability_configuration_arn.as_deref()) {
        mistakes.arn(arn, "observabilityConfiguration.observabilityConfigurationArn");
    }
}

fn image_repository(image: &ImageRepository, mistakes: &mut Mistakes) {
    let member = |name: &str| format!("sourceConfiguration.imageRepository.{name}");
    match image.image_identifier.as_str() {
        "" => mistakes.missing(&member("imageIdentifier")),
        name => mistakes.length(name, &member("imageIdentifier"), [1, 1024]),
    }
    match image.image_repository_type.as_str() {
        "" => mistakes.missing(&member("imageRepositoryType")),
        kind => mistakes.one_of(Some(kind), &member("imageRepositoryType"), &["ECR", "ECR_PUBLIC"]),
    }
    let Some(configuration) = &image.image_configuration else { return };
    let member = |name: &str| member(&format!("imageConfiguration.{name}"));
    if let Some(command) = &configuration.start_command
        && (command.is_empty() || command.contains(['\n', '\r']))
    {
        mistakes.add(
            Some(command.trim_end()),
            &member("startCommand"),
            r"satisfy regular expression pattern: [^\x0a\x0d]+",
        );
    }
    if let Some(port) = &configuration.port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        mistakes.add(Some(port), &member("port"), "be a port from 1 to 65535");
    }
    for (map, most, [least, longest]) in [
        (&configuration.runtime_environment_variables, "runtimeEnvironmentVariables", [0, 51_200]),
        (&configuration.runtime_environment_secrets, "runtimeEnvironmentSecrets", [1, 2_048]),
    ] {
        for (name, value) in map.iter().flatten() {
            mistakes.length(name, &member(most), [1, longest]);
            if name.starts_with(RESERVED) {
                mistakes.add(Some(name), &member(most), &format!("not begin with {RESERVED}"));
            }
            let length = value.chars().count();
            if !(least..=longest).contains(&length) {
                let constraint = format!("have a value of {least} to {longest} characters");
                mistakes.add(Some(name), &member(most), &constraint);
            }
        }
    }
}

/// Checks what only the whole of a service's settings shows.
///
/// # Errors
/// A pair of sizes that does not exist, secrets without a role.
pub(crate) fn whole(settings: &Settings) -> ApiResult<()> {
    let instance = settings.instance_configuration.clone().unwrap_or_default();
    if let (Some(cpu), Some(memory)) = (&instance.cpu, &instance.memory) {
        let sizes = SIZES.iter().find(|(size, _)| size == cpu).map(|(_, memories)| *memories);
        if let Some(memories) = sizes.filter(|memories| !memories.contains(&memory.as_str())) {
            let all = memories.join(", ");
            return Err(ApiError::invalid(format!(
                "Invalid combination of Cpu {cpu} and Memory {memory}: with that Cpu, Memory may be {all}."
            )));
        }
    }
    let secrets = image_configuration(settings).and_then(|image| image.runtime_environment_secrets.as_ref());
    let has_role = instance.instance_role_arn.is_some_and(|role| !role.is_empty());
    if secrets.is_some_and(|secrets| !secrets.is_empty()) && !has_role {
        return Err(ApiError::invalid("Instance Role have to be provided if passing in RuntimeEnvironmentSecrets"));
    }
    Ok(())
}
